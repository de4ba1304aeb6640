"""What somebody at the line orders, checked against the stack before anything is touched."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from protocol.device_id import DeviceId, InvalidDeviceIdError, parse_device_id
from provisioning.ceremony_file import ENVIRONMENT_WITH_FILE_KEYS, MAX_LIFETIME_YEARS
from provisioning.errors import RefusedError
from stacks.environment import Authority, AuthorityKey, Environment, KeyStorage

MAX_LIFETIME_DAYS = round(MAX_LIFETIME_YEARS * 365.25)
"""No authority lasts longer, so no device certificate can."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """An identity that this stack allows."""

    device: DeviceId
    model: str
    authority: str
    lifetime: timedelta
    is_key_generated: bool
    """Whether the factory makes the key; otherwise the device sent a certificate request."""

    @classmethod
    def checked(
        cls,
        environment: Environment,
        *,
        device: str,
        model: str,
        authority: str,
        lifetime_days: int,
        is_key_generated: bool,
    ) -> Self:
        """The order; `RefusedError` names the rule it breaks and the way out."""
        _check_model(environment, model, is_key_generated=is_key_generated)
        _check_authority(environment, authority)
        if not 1 <= lifetime_days <= MAX_LIFETIME_DAYS:
            raise RefusedError(
                f"--lifetime-days: {lifetime_days} is not between 1 and {MAX_LIFETIME_DAYS}; give such a number"
            )
        return cls(
            device=checked_device(device),
            model=model,
            authority=authority,
            lifetime=timedelta(days=lifetime_days),
            is_key_generated=is_key_generated,
        )


def checked_device(text: str) -> DeviceId:
    """The device id in `text`, or `RefusedError`."""
    try:
        return parse_device_id(text)
    except InvalidDeviceIdError as error:
        raise RefusedError(f"--device: {error}") from error


def _check_model(environment: Environment, name: str, *, is_key_generated: bool) -> None:
    model = environment.models.get(name)
    if model is None:
        known = ", ".join(environment.models)
        raise RefusedError(f"--model: stack {environment.name} has no model {name!r}; it has {known}")
    if is_key_generated and model.key_storage is not KeyStorage.FLASH:
        raise RefusedError(
            f"--generate-key: model {name} keeps its key in {model.key_storage}, which makes it and never shows it; "
            f"send the device's request with --csr FILE"
        )


def _check_authority(environment: Environment, name: str) -> Authority:
    authority = environment.issuing.get(name)
    if authority is None:
        known = ", ".join(environment.issuing)
        raise RefusedError(f"--authority: stack {environment.name} has no authority {name!r}; it has {known}")
    if authority.key is AuthorityKey.FILE and environment.name != ENVIRONMENT_WITH_FILE_KEYS:
        raise RefusedError(
            f"--authority: {name} keeps its key in a file, which only {ENVIRONMENT_WITH_FILE_KEYS} may; use a KMS key"
        )
    return authority
