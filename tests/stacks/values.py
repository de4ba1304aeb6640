"""Values of an environment for tests of single rules, valid unless a test says otherwise."""

from datetime import date
from typing import Any

from stacks.environment import (
    Authority,
    AuthorityKey,
    Cluster,
    ClusterKind,
    HardwareModel,
    KeyStorage,
    Pin,
    Residency,
)


def cluster(region: str = "eu-west-1", residency: str = "EU", kind: str = "managed") -> Cluster:
    return Cluster(region=region, residency=Residency(residency), kind=ClusterKind(kind))


def clusters() -> dict[str, Cluster]:
    return {"eu1": cluster(), "us1": cluster("us-east-1", "US"), "ap1": cluster("ap-southeast-2", "AP")}


def authority(key: str = "kms", common_name: str = "Line A Issuing CA") -> Authority:
    return Authority(key=AuthorityKey(key), common_name=common_name)


def model(support_until: date = date(2041, 6, 30)) -> HardwareModel:
    return HardwareModel(
        vendor="Nordwind Elektronik",
        soc="Nordic nRF9161",
        modem="Nordic nRF9161",
        key_storage=KeyStorage.SECURE_ELEMENT,
        support_until=support_until,
    )


def pin(device: str = "device1", **changes: Any) -> Pin:
    settings: dict[str, Any] = {"cluster": "eu1", "owner": "qa", "reason": "A test.", "expires": date(2036, 12, 31)}
    return Pin.model_validate({"device": device, **settings, **changes})
