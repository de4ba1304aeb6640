"""Policies as the embedded AWS needs them."""

import json

from local.appliers.iam_gaps import widened

CERTIFICATES = "arn:aws:iot:eu-north-1:111122223333:cert/*"


def _policy(*statements: dict[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]})


def test_an_action_the_emulator_checks_on_everything_is_allowed_on_everything_and_told() -> None:
    given = _policy({"Action": ["iot:AttachPolicy", "iot:UpdateCertificate"], "Resource": [CERTIFICATES]})
    text, gaps = widened(given)
    kept, added = json.loads(text)["Statement"]
    assert kept == json.loads(given)["Statement"][0], "what the program asked for stays as it is"
    assert added == {"Effect": "Allow", "Action": ["iot:AttachPolicy"], "Resource": ["*"]}
    assert [gap for gap in gaps if "iot:AttachPolicy" in gap]


def test_a_condition_is_kept() -> None:
    condition = {"StringEquals": {"aws:PrincipalAccount": "111122223333"}}
    text, _ = widened(_policy({"Action": "iot:AttachPolicy", "Resource": CERTIFICATES, "Condition": condition}))
    assert json.loads(text)["Statement"][1]["Condition"] == condition


def test_a_condition_key_the_emulator_does_not_fill_is_left_out_and_told() -> None:
    condition = {"StringEquals": {"cloudwatch:namespace": "Flotilla", "aws:PrincipalAccount": "111122223333"}}
    given = _policy({"Action": ["cloudwatch:PutMetricData"], "Resource": ["*"], "Condition": condition})
    text, (gap,) = widened(given)
    kept, added = json.loads(text)["Statement"]
    assert kept["Condition"] == condition
    assert added["Condition"] == {"StringEquals": {"aws:PrincipalAccount": "111122223333"}}
    assert "cloudwatch:namespace" in gap


def test_a_key_that_stands_in_several_tests_is_told_once() -> None:
    key = "dynamodb:LeadingKeys"
    condition = {"ForAllValues:StringLike": {key: ["#*"]}, "Null": {key: "false"}}
    text, (gap,) = widened(_policy({"Action": ["dynamodb:DeleteItem"], "Resource": ["table"], "Condition": condition}))
    assert json.loads(text)["Statement"][1] == {
        "Effect": "Allow",
        "Action": ["dynamodb:DeleteItem"],
        "Resource": ["table"],
    }
    assert gap == f"the condition {key} of dynamodb:DeleteItem: it is not asked"


def test_a_refusal_that_never_bites_is_told_and_left_as_it_is() -> None:
    key = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
    refusal = {
        "Effect": "Deny",
        "Action": ["route53:ChangeResourceRecordSets"],
        "Resource": ["zone"],
        "Condition": {"ForAnyValue:StringEquals": {key: ["x"]}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [refusal]})
    text, (gap,) = widened(policy)
    assert text == policy
    assert gap == f"the refusal of route53:ChangeResourceRecordSets by {key}: it is never met"


def test_every_other_policy_is_left_as_it_is() -> None:
    for policy in (
        _policy({"Action": ["iot:UpdateCertificate"], "Resource": [CERTIFICATES]}),
        _policy({"Action": "iot:AttachPolicy", "Resource": "*"}),
    ):
        assert widened(policy) == (policy, ())


def test_a_refusal_is_never_widened() -> None:
    policy = json.dumps({"Statement": [{"Effect": "Deny", "Action": "iot:AttachPolicy", "Resource": CERTIFICATES}]})
    assert widened(policy) == (policy, ())
