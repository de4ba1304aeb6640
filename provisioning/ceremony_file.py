"""A ceremony, as its one reviewed file describes it: the root, and the authorities it issues.

Pure parsing: a `CeremonyFile` that exists is free of contradictions in itself. That it agrees with the stack is checked
by `disagreements`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from provisioning.profile import MAX_NAME_CHARACTERS
from stacks.document import Document, KeyPath, read_document, spell
from stacks.environment import GATEWAY_AUTHORITY, AuthorityKey, Environment, Frozen
from stacks.errors import Problem, StackError
from stacks.explain import explain, place
from stacks.grammar import Label, StackName, refusal

ENVIRONMENT_WITH_FILE_KEYS = "dev"
"""Design decision 6: only here may an issuing key be a file."""
MAX_LIFETIME_YEARS = 50
"""Longer than any algorithm we sign with is expected to last (BSI TR-02102-1 looks a few years ahead only)."""

_Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARACTERS, strip_whitespace=True)]
_Years = Annotated[int, Field(ge=1, le=MAX_LIFETIME_YEARS)]


class RootProfile(Frozen):
    """The offline root."""

    common_name: _Name
    organization: _Name
    """Stands in the subject of the root and of every authority."""
    key: Literal["file"]
    """Encrypted, in the factory folder, kept offline."""
    lifetime_years: _Years


class IssuingProfile(Frozen):
    """An issuing authority of one supplier or line."""

    common_name: _Name
    key: AuthorityKey = Field(strict=False)
    lifetime_years: _Years
    path_length: Annotated[int, Field(ge=0, le=0)]
    """How many authorities may stand below it: none, it signs devices only."""


class GatewayProfile(Frozen):
    """The authority of gateways: self-signed, and good for names under `gw.<domain>` only."""

    common_name: _Name
    key: AuthorityKey = Field(strict=False)
    lifetime_years: _Years


class CeremonyFile(Frozen):
    """Everything a ceremony file says."""

    environment: StackName
    """The stack whose authorities these are."""
    root: RootProfile
    issuing: dict[Label, IssuingProfile]
    gateway: GatewayProfile | None = None
    """Absent where no device may be redirected to a gateway on a desk."""

    @field_validator("issuing")
    @classmethod
    def _some(cls, issuing: dict[str, IssuingProfile]) -> dict[str, IssuingProfile]:
        if not issuing:
            raise refusal("a ceremony without an issuing authority makes nothing that can issue", "name one")
        if GATEWAY_AUTHORITY in issuing:
            raise refusal(f"{GATEWAY_AUTHORITY} signs no devices", "describe it under `gateway`, beside `issuing`")
        return issuing

    @model_validator(mode="after")
    def _agree(self) -> Self:
        breaches = list(self._breaches())
        if breaches:
            raise _BreachError(breaches)
        return self

    def _breaches(self) -> Iterator[tuple[KeyPath, str, str]]:
        owners = {self.root.common_name: "the root"}
        for name, authority in self.issuing.items():
            if authority.lifetime_years >= self.root.lifetime_years:
                rule = (
                    f"an authority of {authority.lifetime_years} years outlives its root of {self.root.lifetime_years}"
                )
                yield ("issuing", name, "lifetime_years"), rule, "shorten it, or lengthen the root's"
            if authority.key is AuthorityKey.FILE and self.environment != ENVIRONMENT_WITH_FILE_KEYS:
                rule = f"an issuing key in a file is allowed in {ENVIRONMENT_WITH_FILE_KEYS} only"
                yield ("issuing", name, "key"), rule, "write kms"
            if authority.common_name in owners:
                rule = f"{authority.common_name!r} is the name of {owners[authority.common_name]} already"
                yield ("issuing", name, "common_name"), rule, "give every authority a name of its own"
            owners[authority.common_name] = name
        if self.gateway is not None:
            if self.gateway.key is AuthorityKey.FILE and self.environment != ENVIRONMENT_WITH_FILE_KEYS:
                rule = f"a signing key in a file is allowed in {ENVIRONMENT_WITH_FILE_KEYS} only"
                yield ("gateway", "key"), rule, "write kms"
            if self.gateway.common_name in owners:
                rule = f"{self.gateway.common_name!r} is the name of {owners[self.gateway.common_name]} already"
                yield ("gateway", "common_name"), rule, "give every authority a name of its own"


class _BreachError(Exception):
    """Rules between values that are broken; not a `ValueError`, so that pydantic lets it through whole."""

    def __init__(self, breaches: list[tuple[KeyPath, str, str]]) -> None:
        super().__init__(breaches)
        self.breaches = breaches


def read_ceremony_file(path: Path) -> CeremonyFile:
    """The ceremony in a YAML file; `StackError` names every problem with its line, its rule and the way out."""
    document = read_document(path)
    try:
        return CeremonyFile.model_validate(document.values)
    except ValidationError as error:
        raise StackError(_problem(document, place(each), *_explain(each)) for each in error.errors()) from error
    except _BreachError as error:
        raise StackError(_problem(document, *breach) for breach in error.breaches) from error


def disagreements(ceremony: CeremonyFile, environment: Environment) -> tuple[str, ...]:
    """Where the ceremony and the stack say different things of an authority, one sentence each."""
    told = []
    described: dict[str, tuple[str, IssuingProfile | GatewayProfile]] = {
        f"issuing.{name}": (name, authority) for name, authority in ceremony.issuing.items()
    }
    if ceremony.gateway is not None:
        described["gateway"] = GATEWAY_AUTHORITY, ceremony.gateway
    for place_, (name, authority) in described.items():
        known = environment.authorities.get(name)
        if known is None:
            told.append(f"{place_}: stack {environment.name} has no such authority; add it there, or remove it here")
            continue
        for key in ("common_name", "key"):
            here, there = getattr(authority, key), getattr(known, key)
            if here != there:
                told.append(f"{place_}.{key}: is {here!s} here and {there!s} in stack {environment.name}; agree")
    return tuple(told)


def _problem(document: Document, path: KeyPath, rule: str, way_out: str) -> Problem:
    return Problem(file=document.file, line=document.line(path), key=spell(path), rule=rule, way_out=way_out)


def _explain(error: ErrorDetails) -> tuple[str, str]:
    """As for stack files, but with this file's own keys."""
    way_out = "provisioning/ceremony_file.py says what each key is for"
    match error["type"]:
        case "extra_forbidden":
            return "nothing reads this key", f"remove it; {way_out}"
        case "missing":
            return "this key is missing", f"add it; {way_out}"
    return explain(error)
