"""What somebody at the line orders, checked against the factory file before anything is touched."""

from dataclasses import dataclass
from typing import Self

from protocol.device_id import DeviceId, InvalidDeviceIdError, parse_device_id
from provisioning.birth import BirthProfile
from provisioning.errors import RefusedError
from provisioning.factory_file import FactoryFile, KeyMade, birth_profile


@dataclass(frozen=True, kw_only=True)
class Order:
    """An identity that this factory may make."""

    device: DeviceId
    model: str
    authority: str
    profile: BirthProfile
    """Of the model's certificates."""
    is_key_generated: bool
    """Whether the factory makes the key; otherwise the device sent a certificate request."""

    @classmethod
    def checked(
        cls, factory: FactoryFile, *, domain: str, device: str, model: str, authority: str, is_key_generated: bool
    ) -> Self:
        """The order; `RefusedError` names the rule it breaks and the way out."""
        described = factory.models.get(model)
        if described is None:
            raise RefusedError(
                f"--model: factory {factory.environment} makes no model {model!r}; it makes {', '.join(factory.models)}"
            )
        _check_authority(factory, authority, model)
        if is_key_generated and described.key_made is not KeyMade.FACTORY:
            raise RefusedError(
                f"--generate-key: a {model} makes its key itself and never shows it; send its request with --csr FILE"
            )
        return cls(
            device=checked_device(device),
            model=model,
            authority=authority,
            profile=birth_profile(described, domain),
            is_key_generated=is_key_generated,
        )


def checked_device(text: str) -> DeviceId:
    """The device id in `text`, or `RefusedError`."""
    try:
        return parse_device_id(text)
    except InvalidDeviceIdError as error:
        raise RefusedError(f"--device: {error}") from error


def check_signer(factory: FactoryFile, name: str) -> None:
    """Refuse a name that no authority and no station of the factory has."""
    if name not in factory.signers:
        known = ", ".join(factory.signers)
        raise RefusedError(f"--authority: factory {factory.environment} has no authority {name!r}; it has {known}")


def _check_authority(factory: FactoryFile, name: str, model: str) -> None:
    check_signer(factory, name)
    if model not in factory.models_of(name):
        able = [signer for signer in factory.signers if model in factory.models_of(signer)]
        raise RefusedError(
            f"--authority: no line of {name} makes model {model}; ask {' or '.join(able)}, or add the model to a line"
        )
