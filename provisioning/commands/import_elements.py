"""`python -m provisioning import-elements`: secure elements that their vendor gave keys and certificates."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from provisioning.commands.options import AsJson, Authorities, Factory, Profiles, Stack, now
from provisioning.commands.progress import counted
from provisioning.commands.telling import REFUSED, errors_told, tell_error, tell_rows
from provisioning.errors import RefusedError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.schema import LEDGER_FILE
from provisioning.read_factory import factory_of
from provisioning.refused_keys import read_refused_keys
from provisioning.secure_elements.element import Defect, Element
from provisioning.secure_elements.espressif import read_espressif
from provisioning.secure_elements.infineon import SerialFrom, Slot, read_infineon
from provisioning.secure_elements.microchip import ManifestSigners, read_microchip
from provisioning.secure_elements.plan import SERIAL, Acceptable, Terms, check
from provisioning.secure_elements.taking_in import Known, Place, places, take_in
from stacks.environment import AuthorityKey, Environment, KeyStorage
from stacks.load import AUTHORITIES, find_ca_certificates

SHOWN_DEFECTS = 50
"""More than a person mends by hand; the rest is counted."""


class Kind(StrEnum):
    """Whose file it is."""

    MICROCHIP = "microchip"
    INFINEON = "infineon"
    ESPRESSIF = "espressif"


def import_elements(
    file: Annotated[Path, typer.Argument(help="The vendor's file, as downloaded.")],
    *,
    kind: Annotated[Kind, typer.Option(help="Whose file it is.")],
    stack: Stack,
    model: Annotated[str, typer.Option(help="The hardware model the elements go into, as the stack names it.")],
    authority: Annotated[list[str], typer.Option(help="A vendor's authority, as the stack names it; repeatable.")],
    factory: Factory,
    authorities: Authorities = None,
    device_id: Annotated[str, typer.Option(help="The device id of an element, with its serial number in it.")] = SERIAL,
    manifest_signer: Annotated[
        Path | None, typer.Option(help="microchip: certificates of who may sign manifests, in PEM.")
    ] = None,
    slot: Annotated[Slot, typer.Option(help="infineon: which certificate of the chip.")] = Slot.E0E0,
    serial_from: Annotated[SerialFrom, typer.Option(help="infineon: what names a chip.")] = SerialFrom.COMMON_NAME,
    profiles: Profiles = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; otherwise this only says what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check FILE whole; with --apply, its elements become identities for `sync` to upload. A rerun is harmless."""
    with errors_told():
        plan, environment = factory_of(stack, profiles)
        terms = Terms(
            model=_checked_model(environment, model),
            device_id=_checked_template(device_id),
            authorities=_vendors(environment, authority, authorities or AUTHORITIES / stack),
            now=now(),
            refused_keys=read_refused_keys(plan, profiles),
        )
        checked = check(_read(file, kind, manifest_signer, slot, serial_from), terms)
        standing, refused = _standing(checked.acceptable, factory, stack, model)
        if defects := (*checked.defects, *refused):
            _tell_defects(file, defects)
            raise typer.Exit(REFUSED)
        if apply:
            _take_in(standing, factory, stack, terms)
    _tell(standing, model, is_applied=apply, as_json=as_json)


def _read(
    file: Path, kind: Kind, signers: Path | None, slot: Slot, serial_from: SerialFrom
) -> Iterator[Element | Defect]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise RefusedError(f"{file}: cannot be read ({error.strerror}); give the vendor's file") from error
    match kind:
        case Kind.MICROCHIP:
            if signers is None:
                raise RefusedError(
                    "--manifest-signer: a Microchip manifest is believed by its signature; give the certificate of its "
                    "signer, from Microchip's own site"
                )
            return read_microchip(data, ManifestSigners(_certificates(signers)))
        case Kind.INFINEON:
            return read_infineon(data, slot, serial_from)
        case Kind.ESPRESSIF:
            return read_espressif(data)


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError, x509.InvalidVersion) as error:
        raise RefusedError(f"--manifest-signer: {path} holds no certificates in PEM ({error})") from error


def _checked_model(environment: Environment, name: str) -> str:
    model = environment.models.get(name)
    if model is None:
        known = ", ".join(environment.models)
        raise RefusedError(f"--model: stack {environment.name} has no model {name!r}; it has {known}")
    if model.key_storage is KeyStorage.FLASH:
        raise RefusedError(
            f"--model: the stack says that a {name} keeps its key in flash, so it has no secure element; correct "
            f"one of the two"
        )
    return name


def _checked_template(template: str) -> str:
    if template.count(SERIAL) != 1:
        raise RefusedError(f"--device-id: {template!r} does not hold {SERIAL} once, so devices would share a name")
    return template


def _vendors(environment: Environment, names: Sequence[str], folder: Path) -> dict[str, x509.Certificate]:
    vendors = {name: each for name, each in environment.authorities.items() if each.key is AuthorityKey.VENDOR}
    if unknown := [name for name in names if name not in vendors]:
        known = ", ".join(vendors) or "none"
        raise RefusedError(
            f"--authority: {', '.join(unknown)} is no vendor's authority of stack {environment.name}, which has "
            f"{known}; add it to flotilla:authorities with key: vendor"
        )
    certificates = find_ca_certificates(environment, folder, today=now().date())
    if missing := [name for name in names if name not in certificates]:
        paths = ", ".join(str(folder / f"{name}.pem") for name in missing)
        raise RefusedError(f"{paths}: is not there; put the vendor's certificate there, and deploy it")
    return {name: x509.load_pem_x509_certificate(certificates[name].pem.encode("ascii")) for name in names}


def _standing(
    elements: Sequence[Acceptable], factory: Path, stack: str, model: str
) -> tuple[tuple[Place, ...], tuple[Defect, ...]]:
    if not (factory / LEDGER_FILE).exists():
        return places(elements, None, model)
    with Ledger.open(factory, stack) as ledger:
        return places(elements, ledger, model)


def _take_in(standing: Sequence[Place], factory: Path, stack: str, terms: Terms) -> None:
    new = [each for each in standing if each.known is Known.NEW]
    with Ledger.open(factory, stack, create=True) as ledger, counted("taking elements in", len(new)) as advance:
        for _ in take_in(new, ledger, terms.model, terms.authorities, now):
            advance(1)


def _tell_defects(file: Path, defects: Sequence[Defect]) -> None:
    for defect in defects[:SHOWN_DEFECTS]:
        tell_error(RefusedError(f"{file}: {defect.place}: {defect.rule}"))
    if (more := len(defects) - SHOWN_DEFECTS) > 0:
        tell_error(RefusedError(f"{file}: and {more} more"))
    tell_error(RefusedError(f"{file}: nothing of it was taken in; ask its vendor for a whole one"))


def _tell(standing: Sequence[Place], model: str, *, is_applied: bool, as_json: bool) -> None:
    done = "taken in" if is_applied else "would be taken in"
    rows = [
        {
            "element": each.found.element.serial,
            "part": each.found.element.part,
            "device": each.found.device,
            "model": model,
            "authority": each.found.authority,
            "fingerprint": each.found.fingerprint,
            "result": done if each.known is Known.NEW else each.known,
        }
        for each in standing
    ]
    tell_rows("elements", rows, as_json=as_json, columns=("element", "part", "device", "authority", "result"))
    if not as_json and not is_applied:
        new = sum(each.known is Known.NEW for each in standing)
        typer.echo(f"nothing was changed; {new} of {len(standing)} are new: run this again with --apply")
