"""The provider functions the program calls, answered by the embedded AWS."""

import base64
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from local.cloud import Cloud


def _caller(cloud: Cloud, _arguments: dict[str, Any]) -> dict[str, Any]:
    identity = cloud.client("sts", cloud.home_region).get_caller_identity()
    return {
        "accountId": identity["Account"],
        "arn": identity["Arn"],
        "userId": identity["UserId"],
        "id": identity["Account"],
    }


def _iot_endpoint(cloud: Cloud, arguments: dict[str, Any]) -> dict[str, Any]:
    """The data endpoint without MiniStack's gateway port: on AWS it is a bare host name."""
    region = arguments.get("region") or cloud.home_region
    kind = arguments.get("endpointType") or "iot:Data-ATS"
    address = cloud.client("iot", region).describe_endpoint(endpointType=kind)["endpointAddress"]
    host = address.partition(":")[0]
    return {"endpointAddress": host, "endpointType": kind, "id": host, "region": region}


def _public_key(cloud: Cloud, arguments: dict[str, Any]) -> dict[str, Any]:
    region = arguments.get("region") or cloud.home_region
    key = cloud.client("kms", region).get_public_key(KeyId=arguments["keyId"])
    return {
        "arn": key["KeyId"],
        "id": key["KeyId"],
        "keyId": arguments["keyId"],
        "keyUsage": key["KeyUsage"],
        "publicKey": base64.b64encode(key["PublicKey"]).decode(),
        "publicKeyPem": _pem(key["PublicKey"]),
        "region": region,
    }


def _pem(der: bytes) -> str:
    return load_der_public_key(der).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _region(cloud: Cloud, arguments: dict[str, Any]) -> dict[str, Any]:
    region = arguments.get("region") or cloud.home_region
    return {"id": region, "name": region, "region": region, "description": region, "endpoint": cloud.endpoints[region]}


FUNCTIONS: dict[str, Callable[[Cloud, dict[str, Any]], dict[str, Any]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": _caller,
    "aws:index/getRegion:getRegion": _region,
    "aws:iot/getEndpoint:getEndpoint": _iot_endpoint,
    "aws:kms/getPublicKey:getPublicKey": _public_key,
}
"""By token."""
