"""AWS Certificate Manager."""

import time
from typing import Any

from local.appliers.applier import Answer, Applier, Request, gone, keep

ISSUE_PATIENCE_S = 30.0
"""MiniStack issues at once; a certificate that stays pending is a mistake in its validation record."""
POLL_S = 0.2


def _request_certificate(request: Request) -> Answer:
    acm = request.client("acm")
    domain = request.inputs["domainName"]
    names = request.inputs.get("subjectAlternativeNames", [])
    arn = acm.request_certificate(
        DomainName=domain,
        ValidationMethod=request.inputs.get("validationMethod", "DNS"),
        **({"SubjectAlternativeNames": names} if names else {}),
        **({"KeyAlgorithm": request.inputs["keyAlgorithm"]} if "keyAlgorithm" in request.inputs else {}),
        **({"Tags": request.tags} if request.tags else {}),
    )["CertificateArn"]
    certificate = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    options = [_validation_option(option) for option in certificate["DomainValidationOptions"]]
    return Answer(
        arn,
        {"arn": arn, "domainName": domain, "status": certificate["Status"], "domainValidationOptions": options},
    )


def _validation_option(option: dict[str, Any]) -> dict[str, str]:
    record = option["ResourceRecord"]
    return {
        "domainName": option["DomainName"],
        "resourceRecordName": record["Name"],
        "resourceRecordType": record["Type"],
        "resourceRecordValue": record["Value"],
    }


def _retag(request: Request, former: Answer) -> Answer:
    if request.tags:
        request.client("acm").add_tags_to_certificate(CertificateArn=former.id, Tags=request.tags)
    return former


def _delete_certificate(request: Request, former: Answer) -> None:
    gone(lambda: request.client("acm").delete_certificate(CertificateArn=former.id))


def _wait_until_issued(request: Request) -> Answer:
    arn = request.inputs["certificateArn"]
    deadline = time.monotonic() + ISSUE_PATIENCE_S
    while (status := _status(request, arn)) != "ISSUED":
        if status != "PENDING_VALIDATION" or time.monotonic() > deadline:
            raise TimeoutError(f"certificate {arn} is {status}, not ISSUED; look at its validation record")
        time.sleep(POLL_S)
    return Answer(arn, {"certificateArn": arn})


def _status(request: Request, arn: str) -> str:
    return str(request.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]["Status"])


APPLIERS = {
    "aws:acm/certificate:Certificate": Applier(
        _request_certificate,
        _delete_certificate,
        _retag,
        fixed=("domainName", "subjectAlternativeNames", "validationMethod", "keyAlgorithm", "region"),
    ),
    "aws:acm/certificateValidation:CertificateValidation": Applier(_wait_until_issued, keep),
}
