"""The backend of a plan: whatever only a deployment can know is a readable reference, as `${eu1-lake.arn}`.

Which outputs a resource has, and of which shape, is read from its class in `pulumi_aws`; so the program may index a
list or read a field of an output and still gets a reference. Needs no credentials, network or build artefacts.
"""

import keyword
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from pulumi._types import output_type_types, resource_types

from local.registration import Registration

ACCOUNT = "${account}"
"""Stands for the id of the AWS account."""


class UnknownFunctionError(ValueError):
    """The program asks a provider function a plan has no reference for; says where to add one."""


@dataclass(frozen=True)
class ReferenceBackend:
    """Answers a program with references."""

    public_keys: Mapping[str, str] = field(default_factory=dict)
    """Authority to its public key (base64 of the DER): the one output the program reads, and does not only pass on."""

    def create(self, registration: Registration) -> tuple[str, dict[str, Any]]:
        """References for the id and for every output that is not an input."""
        outputs = {
            name: reference_value(shape, f"{registration.name}.{name}")
            for name, shape in output_shapes(registration.type).items()
            if name not in registration.inputs
        }
        known = {name: value for name, value in outputs.items() if value is not None}
        return f"${{{registration.name}.id}}", known

    def invoke(self, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The references of a provider function."""
        match token:
            case "aws:index/getCallerIdentity:getCallerIdentity":
                return {"id": ACCOUNT, "accountId": ACCOUNT, "arn": "${caller.arn}", "userId": "${caller.userId}"}
            case "aws:iot/getEndpoint:getEndpoint":
                region = arguments.get("region", "home")
                return {"id": region, "region": region, "endpointAddress": f"${{iot-endpoint.{region}}}"}
            case "aws:kms/getPublicKey:getPublicKey":
                return {"id": arguments["keyId"], "publicKey": self._public_key(arguments["keyId"])}
        raise UnknownFunctionError(f"a plan has no reference for {token}; add one to local/reference.py")

    def _public_key(self, key: str) -> str:
        """The key of the authority that a reference to a KMS key names."""
        named = [authority for authority in self.public_keys if f"-{authority}-" in key]
        if not named:
            raise UnknownFunctionError(f"a plan has no public key for {key}; its authority has no certificate")
        return self.public_keys[max(named, key=len)]


def output_shapes(token: str) -> dict[str, Any]:
    """The outputs of a resource type such as `aws:sqs/queue:Queue`: camelCase name to Python type."""
    return resource_types(resource_class(token))


def resource_class(token: str) -> type:
    """The class of an AWS resource type."""
    _, module, name = token.split(":")
    package = module.split("/", maxsplit=1)[0]
    python_name = f"{package}_" if keyword.iskeyword(package) else package
    found: type = getattr(import_module(f"pulumi_aws.{python_name}"), name)
    return found


def reference_value(shape: Any, path: str) -> Any:
    """A reference of the shape of an output; None for what has no text form (numbers, truth values, mappings)."""
    origin, arguments = typing.get_origin(shape), typing.get_args(shape)
    if shape is str:
        return f"${{{path}}}"
    if origin is not None and isinstance(origin, type) and issubclass(origin, Sequence):
        item = reference_value(arguments[0], f"{path}[0]")
        return None if item is None else [item]
    if isinstance(shape, type) and hasattr(shape, "_pulumi_output_type"):
        fields = {name: reference_value(kind, f"{path}.{name}") for name, kind in output_type_types(shape).items()}
        return {name: value for name, value in fields.items() if value is not None}
    return None
