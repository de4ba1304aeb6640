"""Pulumi's wire form of property values, read into plain Python.

The wire (a protobuf `Struct`) knows only JSON; what is more than JSON is a struct with a signature key. Sources:
`pulumi/runtime/rpc.py` and the "Property values" part of Pulumi's provider protocol.
"""

from typing import Any

from pulumi.runtime import rpc

UNKNOWN: str = rpc.UNKNOWN
"""What stands for a value that only a real deployment can know, in inputs and in outputs."""
ARCHIVE = "archive"
"""The one key of a decoded archive: `{"archive": "build/functions/x.zip"}`, as the program wrote the path."""
ASSET = "asset"
"""The one key of a decoded asset; its value is the path or the text itself."""

_SIGNATURE: str = rpc._special_sig_key  # noqa: SLF001 - the wire's constant has no public name
_SECRET: str = rpc._special_secret_sig  # noqa: SLF001 - as above
_RESOURCE: str = rpc._special_resource_sig  # noqa: SLF001 - as above
_ARCHIVE: str = rpc._special_archive_sig  # noqa: SLF001 - as above
_ASSET: str = rpc._special_asset_sig  # noqa: SLF001 - as above


def decode_properties(properties: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """The properties of a `Struct` without their nulls, and the names of those that hold a secret somewhere."""
    decoded: dict[str, Any] = {}
    secrets: set[str] = set()
    for name, value in properties.items():
        plain, secret = _decode(value)
        if plain is None:
            continue
        decoded[name] = plain
        if secret:
            secrets.add(name)
    return decoded, frozenset(secrets)


def _decode(value: Any) -> tuple[Any, bool]:
    """A value, and whether any part of it is secret. The wire has one number type: whole numbers become int."""
    if isinstance(value, float):
        return (int(value) if value.is_integer() else value), False
    if value is None or isinstance(value, bool | str):
        return value, False
    if hasattr(value, "fields"):
        return _decode_struct(value)
    items = [_decode(item) for item in value]
    return [plain for plain, _ in items], any(secret for _, secret in items)


def _decode_struct(struct: Any) -> tuple[Any, bool]:
    fields = dict(struct.items())
    signature = fields.pop(_SIGNATURE, None)
    if signature == _SECRET:
        plain, _ = _decode(fields["value"])
        return plain, True
    if signature == _RESOURCE:
        return fields.get("id") or fields["urn"], False
    if signature in (_ARCHIVE, _ASSET):
        marker = ARCHIVE if signature == _ARCHIVE else ASSET
        content = next(fields[key] for key in ("path", "uri", "text", "assets") if key in fields)
        plain, secret = _decode(content)
        return {marker: plain}, secret
    if signature is not None:
        raise ValueError(f"a property value has the signature {signature}, which this reader does not know")
    plain_fields, secrets = decode_properties(fields)
    return plain_fields, bool(secrets)
