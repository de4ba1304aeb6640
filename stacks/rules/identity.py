"""Who signs devices, which hardware they are, and how long their firmware is kept."""

from collections.abc import Mapping
from datetime import date

from stacks.environment import GATEWAY_AUTHORITY, Authority, AuthorityKey, Firmware, HardwareModel
from stacks.rules.breach import Breach, Breaches

DESK = "dev"
"""The one environment whose authorities may keep a key in a file (design decision 6)."""
FIELD = "production"
"""The environment whose firmware devices in the field depend on."""


def some_authority(authorities: Mapping[str, Authority]) -> Breaches:
    """Without one no device can have an identity."""
    if not set(authorities) - {GATEWAY_AUTHORITY}:
        yield Breach(("authorities",), "an environment has at least one authority", "add one, such as line-a")


def keys_in_files_at_the_desk_only(name: str, authorities: Mapping[str, Authority]) -> Breaches:
    """A file can be copied without a trace; a KMS key cannot."""
    for authority, settings in authorities.items():
        if settings.key is AuthorityKey.FILE and name != DESK:
            rule = f"a key in a file is for {DESK} only, and this is {name}"
            yield Breach(("authorities", authority, "key"), rule, "write key: kms")


def common_names_differ(authorities: Mapping[str, Authority]) -> Breaches:
    """Issuers with one subject cannot be told apart in a certificate (design decision 6: unique subjects)."""
    first: dict[str, str] = {}
    for name, authority in authorities.items():
        other = first.setdefault(authority.common_name.casefold(), name)
        if other != name:
            rule = f"the common name {authority.common_name!r} is that of authority {other} already"
            yield Breach(("authorities", name, "common_name"), rule, "give each authority a common name of its own")


def some_model(models: Mapping[str, HardwareModel]) -> Breaches:
    """Every identity is issued for a model."""
    if not models:
        yield Breach(("models",), "an environment has at least one hardware model", "add one, such as fl100")


def models_are_supported(models: Mapping[str, HardwareModel], today: date) -> Breaches:
    """A model past its support gets no security updates, so it gets no new identities either."""
    for name, model in models.items():
        if model.support_until < today:
            rule = f"support of model {name} ended on {model.support_until}"
            yield Breach(
                ("models", name, "support_until"), rule, "extend the support with its vendor, or remove the model"
            )


def production_firmware_is_kept(name: str, firmware: Firmware) -> Breaches:
    """What the field runs must be there to repair it, whoever's credentials are stolen (S3 Object Lock)."""
    if name == FIELD and firmware.retention_mode != "COMPLIANCE":
        rule = f"released firmware in {FIELD} is locked so that nobody can delete it, and GOVERNANCE can be bypassed"
        yield Breach(("firmware", "retention_mode"), rule, "write retention_mode: COMPLIANCE")
