"""AWS IoT Core: authorities, names, policies and types. Rules stand in `iot_rules`, settings in `iot_settings`."""

from typing import Any

from local.appliers.applier import Answer, Applier, Request, gone

MAX_POLICY_VERSIONS = 5
"""AWS IoT Core quota."""


def _register_ca(request: Request) -> Answer:
    inputs = request.inputs
    extra: dict[str, Any] = {"tags": request.tags} if request.tags else {}
    if inputs.get("verificationCertificatePem"):
        extra["verificationCertificate"] = inputs["verificationCertificatePem"]
    if inputs.get("registrationConfig"):
        extra["registrationConfig"] = dict(inputs["registrationConfig"])
    registered = request.client("iot").register_ca_certificate(
        caCertificate=inputs["caCertificatePem"],
        setAsActive=inputs["active"],
        allowAutoRegistration=inputs["allowAutoRegistration"],
        certificateMode=inputs.get("certificateMode", "DEFAULT"),
        **extra,
    )
    return Answer(registered["certificateId"], {"arn": registered["certificateArn"]})


def _update_ca(request: Request, former: Answer) -> Answer:
    request.client("iot").update_ca_certificate(
        certificateId=former.id,
        newStatus="ACTIVE" if request.inputs["active"] else "INACTIVE",
        newAutoRegistrationStatus="ENABLE" if request.inputs["allowAutoRegistration"] else "DISABLE",
    )
    return former


def _delete_ca(request: Request, former: Answer) -> None:
    iot = request.client("iot")
    gone(lambda: iot.update_ca_certificate(certificateId=former.id, newStatus="INACTIVE"))
    gone(lambda: iot.delete_ca_certificate(certificateId=former.id))


def _create_domain(request: Request) -> Answer:
    name, inputs = request.physical_name(), request.inputs
    extra: dict[str, Any] = {"tags": request.tags} if request.tags else {}
    for key in ("domainName", "serverCertificateArns", "validationCertificateArn", "authenticationType"):
        if inputs.get(key):
            extra[key] = inputs[key]
    if inputs.get("applicationProtocol"):
        extra["applicationProtocol"] = inputs["applicationProtocol"]
    created = request.client("iot").create_domain_configuration(
        domainConfigurationName=name,
        serviceType=inputs.get("serviceType", "DATA"),
        **_tls(inputs),
        **extra,
    )
    configuration = Answer(name, {"arn": created["domainConfigurationArn"], "domainType": "CUSTOMER_MANAGED"})
    return _update_domain(request, configuration) if inputs.get("status") == "DISABLED" else configuration


def _update_domain(request: Request, former: Answer) -> Answer:
    status = request.inputs.get("status", "ENABLED")
    request.client("iot").update_domain_configuration(
        domainConfigurationName=former.id, domainConfigurationStatus=status, **_tls(request.inputs)
    )
    return former


def _tls(inputs: Any) -> dict[str, Any]:
    return {"tlsConfig": dict(inputs["tlsConfig"])} if inputs.get("tlsConfig") else {}


def _delete_domain(request: Request, former: Answer) -> None:
    """Disable, then delete: AWS refuses to delete an enabled one."""
    iot = request.client("iot")
    gone(
        lambda: iot.update_domain_configuration(domainConfigurationName=former.id, domainConfigurationStatus="DISABLED")
    )
    gone(lambda: iot.delete_domain_configuration(domainConfigurationName=former.id))


def _create_policy(request: Request) -> Answer:
    name = request.physical_name()
    created = request.client("iot").create_policy(
        policyName=name,
        policyDocument=request.inputs["policy"],
        **({"tags": request.tags} if request.tags else {}),
    )
    return Answer(name, {"arn": created["policyArn"], "name": name, "defaultVersionId": created["policyVersionId"]})


def _update_policy(request: Request, former: Answer) -> Answer:
    """Write a new default version, dropping the oldest when there are as many as AWS keeps."""
    iot = request.client("iot")
    versions = iot.list_policy_versions(policyName=former.id)["policyVersions"]
    if len(versions) >= MAX_POLICY_VERSIONS:
        oldest = min((v for v in versions if not v["isDefaultVersion"]), key=lambda v: int(v["versionId"]))
        iot.delete_policy_version(policyName=former.id, policyVersionId=oldest["versionId"])
    created = iot.create_policy_version(
        policyName=former.id, policyDocument=request.inputs["policy"], setAsDefault=True
    )
    return Answer(former.id, {**former.outputs, "defaultVersionId": created["policyVersionId"]})


def _delete_policy(request: Request, former: Answer) -> None:
    iot = request.client("iot")

    def delete() -> None:
        for version in iot.list_policy_versions(policyName=former.id)["policyVersions"]:
            if not version["isDefaultVersion"]:
                iot.delete_policy_version(policyName=former.id, policyVersionId=version["versionId"])
        iot.delete_policy(policyName=former.id)

    gone(delete)


def _create_thing_type(request: Request) -> Answer:
    name = request.physical_name()
    properties = request.inputs.get("properties", {})
    shaped = {"thingTypeDescription": properties["description"]} if properties.get("description") else {}
    if properties.get("searchableAttributes"):
        shaped["searchableAttributes"] = properties["searchableAttributes"]
    created = request.client("iot").create_thing_type(
        thingTypeName=name, thingTypeProperties=shaped, **({"tags": request.tags} if request.tags else {})
    )
    return Answer(name, {"arn": created["thingTypeArn"], "name": name})


def _delete_thing_type(request: Request, former: Answer) -> None:
    """Deprecate, then delete; AWS makes one wait five minutes in between, the embedded cloud does not."""
    iot = request.client("iot")
    gone(lambda: iot.deprecate_thing_type(thingTypeName=former.id))
    gone(lambda: iot.delete_thing_type(thingTypeName=former.id))


def _create_group(request: Request) -> Answer:
    name = request.physical_name()
    description = request.inputs.get("properties", {}).get("description")
    created = request.client("iot").create_thing_group(
        thingGroupName=name,
        thingGroupProperties={"thingGroupDescription": description} if description else {},
        **({"tags": request.tags} if request.tags else {}),
    )
    return Answer(name, {"arn": created["thingGroupArn"], "name": name})


def _delete_group(request: Request, former: Answer) -> None:
    gone(lambda: request.client("iot").delete_thing_group(thingGroupName=former.id))


def _attach_policy(request: Request) -> Answer:
    policy, target = request.inputs["policy"], request.inputs["target"]
    request.client("iot").attach_policy(policyName=policy, target=target)
    is_group = ":thinggroup/" in target
    gaps = ("a thing group's policy: stored, and not asked when a device connects",) if is_group else ()
    return Answer(f"{policy}|{target}", {}, gaps)


def _detach_policy(request: Request, former: Answer) -> None:
    policy, _, target = former.id.partition("|")
    gone(lambda: request.client("iot").detach_policy(policyName=policy, target=target))


APPLIERS = {
    "aws:iot/caCertificate:CaCertificate": Applier(
        _register_ca,
        _delete_ca,
        _update_ca,
        fixed=("caCertificatePem", "certificateMode", "verificationCertificatePem", "registrationConfig", "region"),
    ),
    "aws:iot/domainConfiguration:DomainConfiguration": Applier(
        _create_domain,
        _delete_domain,
        _update_domain,
        fixed=("name", "domainName", "serverCertificateArns", "serviceType", "region"),
    ),
    "aws:iot/policy:Policy": Applier(_create_policy, _delete_policy, _update_policy),
    "aws:iot/policyAttachment:PolicyAttachment": Applier(_attach_policy, _detach_policy),
    "aws:iot/thingGroup:ThingGroup": Applier(_create_group, _delete_group),
    "aws:iot/thingType:ThingType": Applier(_create_thing_type, _delete_thing_type),
}
