"""Read one cluster's side: whole lists, page by page, at the account's pace. A page without its list is an error."""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from provisioning.manifest import Manifest
from provisioning.reconcile.spool import Spool
from provisioning.registry.calls import Calls, error_code

PAGE = 250
"""What one page of AWS IoT's lists holds at most; MiniStack gives everything in one."""
DEVICE_ATTRIBUTES = frozenset({"model", "authority", "serial"})
"""What the registrar and `sync --eager` write on the thing of a device."""


def read_cloud(spool: Spool, manifest: Manifest, calls: Calls, *, policy: str, group: str, is_deep: bool) -> None:
    """Manifest, certificates, things, who has the policy; `is_deep` asks of every certificate which thing it has."""
    spool.put_rows(manifest.scan())
    spool.put_certificates(
        (each["certificateId"], each["status"])
        for each in _listed(calls, "ListCertificates", "certificates", ("pageSize", "marker", "nextMarker"))
    )
    spool.put_things(
        (
            each["thingName"],
            each.get("thingTypeName") or "",
            each.get("attributes", {}).get("model", ""),
            each.get("attributes", {}).keys() >= DEVICE_ATTRIBUTES,
        )
        for each in _listed(calls, "ListThings", "things", ("maxResults", "nextToken", "nextToken"))
    )
    targets = _listed(calls, "ListTargetsForPolicy", "targets", ("pageSize", "marker", "nextMarker"), policyName=policy)
    spool.put_granted(target.rpartition("/")[2] for target in targets if ":cert/" in target)
    if group and _carries(calls, group, policy):
        spool.put_members(
            _listed(
                calls,
                "ListThingsInThingGroup",
                "things",
                ("maxResults", "nextToken", "nextToken"),
                thingGroupName=group,
            )
        )
    if is_deep:
        for fingerprint, device in spool.active():
            spool.put_attached(fingerprint, is_attached=fingerprint in _principals(calls, device))


def _carries(calls: Calls, group: str, policy: str) -> bool:
    """Whether the group is there and has the policy: without it membership gives a device nothing."""
    try:
        arn = calls.call("DescribeThingGroup", "thingGroupArn", thingGroupName=group)["thingGroupArn"]
    except ClientError as error:
        if error_code(error) == "ResourceNotFoundException":
            return False
        raise
    answer = calls.call("ListAttachedPolicies", target=arn)
    return policy in [each["policyName"] for each in answer.get("policies", [])]


def _principals(calls: Calls, device: str) -> set[str]:
    try:
        names = ("maxResults", "nextToken", "nextToken")
        found = _listed(calls, "ListThingPrincipals", "principals", names, thingName=device)
        return {principal.rpartition("/")[2] for principal in found}
    except ClientError as error:
        if error_code(error) == "ResourceNotFoundException":
            return set()
        raise


def _listed(calls: Calls, name: str, field: str, names: tuple[str, str, str], **arguments: Any) -> Iterator[Any]:
    """Every element of a list. `names`: of the page's size, of where it goes on, and of where the next one does."""
    size, going_on, following = names
    where: dict[str, Any] = {}
    while True:
        answer = calls.call(name, may_be_empty=(field,), **{size: PAGE}, **where, **arguments)
        yield from answer[field]
        if not answer.get(following):
            return
        where = {going_on: answer[following]}
