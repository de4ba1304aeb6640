"""The factory of one environment, as its one reviewed file describes it: frozen profiles that exist only if valid.

`stacks/factories/<environment>.yaml` says what the factory needs: who signs whom, for which models, how long, where and
when. `provisioning.read_factory` makes these. Rules that one value can break stand on its type, here; rules between
values in `provisioning.factory_rules`. docs/factory-files.md describes every key.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from provisioning.algorithm import Algorithm, KeyType
from provisioning.alternative_name import AlternativeName, HardwareModule, HostName, NameKind
from provisioning.birth import BirthProfile
from provisioning.profile import MAX_NAME_CHARACTERS, years
from provisioning.serials import SerialRange
from stacks.environment import AuthorityKey, Frozen
from stacks.grammar import Day, Label, StackName, matching, refusal

MAX_LIFETIME_YEARS = 50
"""Longer than any algorithm we sign with is expected to last (BSI TR-02102-1 looks a few years ahead only)."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARACTERS, strip_whitespace=True)]
Years = Annotated[int, Field(ge=1, le=MAX_LIFETIME_YEARS)]
_Algorithm = Annotated[Algorithm, Field(strict=False)]
_Key = Annotated[AuthorityKey, Field(strict=False)]


def _serials(text: str) -> str:
    try:
        SerialRange(text)
    except ValueError as error:
        rule, _, way_out = str(error).partition("; ")
        raise refusal(rule, way_out) from error
    return text


Serials = Annotated[str, AfterValidator(_serials)]
HardwareType = Annotated[
    str,
    matching(
        r"1\.3\.6\.1\.4\.1(\.(0|[1-9][0-9]{0,8})){1,20}",
        longest=120,
        rule="a type of hardware is an object identifier below 1.3.6.1.4.1, where makers have their numbers",
        way_out='write it in quotes, as "1.3.6.1.4.1.32473.1"',
    ),
]


KeyListFile = Annotated[
    str,
    matching(
        r"[A-Za-z0-9][A-Za-z0-9._-]*\.(txt|dat)",
        longest=100,
        rule="a list of keys is a file beside this one: .txt with a fingerprint a line, or .dat as badkeys has it",
        way_out="write its name alone, such as refused-keys.txt",
    ),
]


class Reach(StrEnum):
    """Which names an authority may sign, for whoever verifies (RFC 5280, name constraints)."""

    ANY = "any"
    """The certificate says nothing of names: every verifier takes it."""
    DEVICE_HOSTS = "device-hosts"
    """Of hosts only those under `gw.<domain>`, and no address: a critical extension, so that a verifier that does not
    know it refuses."""


class KeyMade(StrEnum):
    """Who makes a device's private key."""

    DEVICE = "device"
    """The device: the factory sees a request, and never the key."""
    FACTORY = "factory"
    """The station, for devices that have no good source of chance; only where the stack says `key_storage: flash`."""


class Root(Frozen):
    """The offline root. It signs authorities, and nothing else."""

    common_name: Name
    organization: Name
    """Stands in the subject of the root and of everything that signs."""
    algorithm: _Algorithm = Algorithm.ECDSA_P256_SHA256
    key: Literal["file"]
    """Encrypted, in the factory folder, kept offline."""
    lifetime_years: Years


class Authority(Frozen):
    """An issuing authority of one supplier or line."""

    common_name: Name
    algorithm: _Algorithm = Algorithm.ECDSA_P256_SHA256
    key: _Key
    lifetime_years: Years
    path_length: Annotated[int, Field(ge=0, le=1)]
    """How many authorities may stand below it: 0 where it signs devices only, 1 where it has stations."""
    name_constraints: Annotated[Reach, Field(strict=False)] = Reach.ANY
    serials: Serials | None = None
    """The first octets, in hexadecimal, of every serial number it gives; all of them where it says nothing."""


class Line(Frozen):
    """A manufacturing line: who signs for it, and what it makes."""

    authority: Label
    models: tuple[Label, ...] = Field(min_length=1, strict=False)


class Lease(Frozen):
    """When and how much a station may sign. Its certificate outlasts this: see docs/adr/0010."""

    begins: Day
    ends: Day
    """The last day, counted in full. UTC, like every time here."""
    certificates: Annotated[int, Field(ge=1, le=100_000_000)]
    """How many certificates, over the whole lease."""
    from_hour: Annotated[int, Field(ge=0, le=23)] = 0
    to_hour: Annotated[int, Field(ge=1, le=24)] = 24
    """Not in this hour any more. Before `from_hour`: a night shift, over midnight."""

    @property
    def lasts(self) -> timedelta:
        """From the first to the last day, both counted."""
        return self.ends - self.begins + timedelta(days=1)


class Station(Frozen):
    """A place at a line that signs with an intermediate of its own, so that it works for weeks without a network."""

    line: Label
    common_name: Name
    algorithm: _Algorithm = Algorithm.ECDSA_P256_SHA256
    key: _Key
    lifetime_years: Years
    """Of its certificate: as long as the devices it signed need it."""
    serials: Serials | None = None
    lease: Lease


class Model(Frozen):
    """The birth certificate of a hardware model."""

    key_type: Annotated[KeyType, Field(strict=False)] = KeyType.P256
    key_made: Annotated[KeyMade, Field(strict=False)] = KeyMade.DEVICE
    lifetime_years: Years
    """A device is supported for ten years, may wait some on a shelf, and this certificate must outlast both."""
    alternative_name: Annotated[NameKind, Field(strict=False)] = NameKind.NONE
    hardware_type: HardwareType | None = None
    """With `hardware-module` only: the object identifier of this hardware, below its maker's enterprise number."""

    @property
    def lifetime(self) -> timedelta:
        """Of every certificate of this model."""
        return years(self.lifetime_years)


def birth_profile(model: Model, domain: str) -> BirthProfile:
    """What the certificates of a model have in common, in an environment of that domain."""
    name: AlternativeName | None = None
    if model.alternative_name is NameKind.HOST_NAME:
        name = HostName(domain)
    elif model.alternative_name is NameKind.HARDWARE_MODULE and model.hardware_type is not None:
        name = HardwareModule(model.hardware_type)
    return BirthProfile(key_type=model.key_type, lifetime=model.lifetime, alternative_name=name)


class Gateway(Frozen):
    """The authority of gateways: self-signed, and good for names under `gw.<domain>` only."""

    common_name: Name
    algorithm: _Algorithm = Algorithm.ECDSA_P256_SHA256
    key: _Key
    lifetime_years: Years


class FactoryFile(Frozen):
    """Everything a factory file says."""

    environment: StackName
    """The stack whose factory this is."""
    root: Root
    authorities: dict[Label, Authority]
    lines: dict[Label, Line]
    stations: dict[Label, Station] = Field(default={})
    models: dict[Label, Model]
    gateway: Gateway | None = None
    """Absent where no device may be redirected to a gateway on a desk."""
    refused_keys: tuple[KeyListFile, ...] = Field(default=(), strict=False)
    """Lists of keys that are never certified (`provisioning.refused_keys`)."""

    @property
    def signers(self) -> tuple[str, ...]:
        """The authorities and the stations, in the file's order."""
        return (*self.authorities, *self.stations)

    def signer(self, name: str) -> Authority | Station:
        """What stands of an authority or a station."""
        return self.stations[name] if name in self.stations else self.authorities[name]

    def issuer_of(self, signer: str) -> str:
        """Who certifies an authority or a station: `root`, or the authority of the station's line."""
        station = self.stations.get(signer)
        return "root" if station is None else self.lines[station.line].authority

    def lines_of(self, signer: str) -> dict[str, Line]:
        """The lines that an authority or a station signs for."""
        if (station := self.stations.get(signer)) is not None:
            return {station.line: self.lines[station.line]}
        return {name: line for name, line in self.lines.items() if line.authority == signer}

    def models_of(self, signer: str) -> tuple[str, ...]:
        """The models that an authority or a station may sign for, in the file's order."""
        made = {model for line in self.lines_of(signer).values() for model in line.models}
        return tuple(model for model in self.models if model in made)
