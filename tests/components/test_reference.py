"""What stands in a plan for a value only a deployment can know."""

import pytest

from local.reference import ReferenceBackend, UnknownFunctionError, output_shapes
from local.registration import Registration


def _registration(token: str, name: str = "thing", **inputs: object) -> Registration:
    return Registration(urn="urn", type=token, name=name, parent=None, custom=True, inputs=inputs)


def test_an_output_is_a_reference_to_its_resource() -> None:
    identifier, outputs = ReferenceBackend().create(_registration("aws:sqs/queue:Queue", "letters"))
    assert identifier == "${letters.id}"
    assert outputs["arn"] == "${letters.arn}"


def test_an_input_is_not_replaced_by_a_reference() -> None:
    _, outputs = ReferenceBackend().create(_registration("aws:sqs/queue:Queue", name="letters"))
    assert "name" in outputs
    _, named = ReferenceBackend().create(
        Registration(
            urn="urn", type="aws:sqs/queue:Queue", name="letters", parent=None, custom=True, inputs={"name": "mine"}
        )
    )
    assert "name" not in named


def test_an_output_with_a_structure_can_be_indexed() -> None:
    _, outputs = ReferenceBackend().create(_registration("aws:acm/certificate:Certificate", "seal"))
    proof = outputs["domainValidationOptions"][0]
    assert proof["resourceRecordName"] == "${seal.domainValidationOptions[0].resourceRecordName}"
    assert ReferenceBackend().create(_registration("aws:route53/zone:Zone", "zone"))[1]["nameServers"] == [
        "${zone.nameServers[0]}"
    ]


def test_a_number_has_no_reference() -> None:
    assert "visibilityTimeoutSeconds" in output_shapes("aws:sqs/queue:Queue")
    _, outputs = ReferenceBackend().create(_registration("aws:sqs/queue:Queue"))
    assert "visibilityTimeoutSeconds" not in outputs


def test_a_module_with_the_name_of_a_python_keyword_is_found() -> None:
    assert "qualifiedArn" in output_shapes("aws:lambda/function:Function")


def test_the_public_key_of_the_authority_that_is_meant_is_found() -> None:
    backend = ReferenceBackend({"line-a": "first", "line-a-two": "second"})
    token = "aws:kms/getPublicKey:getPublicKey"  # noqa: S105 - the name of a function
    assert backend.invoke(token, {"keyId": "${authority-line-a-key.arn}"})["publicKey"] == "first"
    assert backend.invoke(token, {"keyId": "${authority-line-a-two-key.arn}"})["publicKey"] == "second"
    with pytest.raises(UnknownFunctionError, match="authority-line-b-key"):
        backend.invoke(token, {"keyId": "${authority-line-b-key.arn}"})


def test_a_function_the_plan_does_not_know_is_an_error_that_names_it() -> None:
    with pytest.raises(UnknownFunctionError, match=r"aws:ec2/getAmi:getAmi.*local/reference\.py"):
        ReferenceBackend().invoke("aws:ec2/getAmi:getAmi", {})
