"""How often an account may call AWS IoT's registry, and how somebody says that theirs may more."""

from collections.abc import Iterable, Mapping

from provisioning.errors import RefusedError

DEFAULT_PER_SECOND: Mapping[str, float] = {
    "RegisterCertificate": 10,
    "RegisterCertificateWithoutCA": 10,
    "UpdateCertificate": 10,
    "DescribeCertificate": 10,
    "AttachPolicy": 15,
    "CreateThing": 100,
    "AttachThingPrincipal": 100,
    "AddThingToThingGroup": 100,
    "DescribeThing": 350,
    "ListCertificates": 10,
    "ListThings": 10,
    "ListThingPrincipals": 10,
    "ListThingsInThingGroup": 10,
    "ListTargetsForPolicy": 10,
}
"""Calls a second, an account and region: AWS General Reference, "AWS IoT Core endpoints and quotas", API throttling.
Quotas are raised on request: Service Quotas in the account's console says what holds there."""
OTHER_PER_SECOND = 10.0
"""Of every other call: the least that any call of the registry has there."""
MAX_PER_SECOND = 10_000.0
"""No account has more; a larger number is a typing mistake."""


def quotas(overrides: Iterable[str]) -> dict[str, float]:
    """The quotas with overrides such as `RegisterCertificate=50`; `RefusedError` names the one that is none."""
    found = dict(DEFAULT_PER_SECOND)
    for override in overrides:
        call, _, text = override.partition("=")
        if call not in found:
            raise RefusedError(f"--rate: {override!r} names no call of the registry; those are {', '.join(found)}")
        try:
            rate = float(text)
        except ValueError:
            rate = 0.0
        if not 0 < rate <= MAX_PER_SECOND:
            raise RefusedError(f"--rate: {override!r} gives no number of calls a second; give such as {call}=50")
        found[call] = rate
    return found
