"""Where a factory file and its stack say different things.

The stack owns what the cloud needs to know of an authority and a model; the factory file owns the rest. What both name
must be the same. A stack may know more than this factory makes. Pure.
"""

from collections.abc import Iterator, Mapping

from provisioning.factory_file import Authority, FactoryFile, Gateway, KeyMade, Station
from stacks.document import KeyPath
from stacks.environment import GATEWAY_AUTHORITY, Environment, KeyStorage
from stacks.rules.breach import Breach, Breaches


def disagreements(factory: FactoryFile, environment: Environment) -> Breaches:
    """Everything they do not agree on, by the place in the factory file."""
    yield from _signers(factory, environment)
    yield from _models(factory, environment)


def _signers(factory: FactoryFile, environment: Environment) -> Breaches:
    for path, signer in _described(factory):
        name = str(path[-1])
        known = environment.authorities.get(name)
        if known is None:
            rule = f"stack {environment.name} has no authority {name}, so no cluster would know it"
            yield Breach(path, rule, "add it there under flotilla:authorities, or remove it here")
            continue
        for key in ("common_name", "key"):
            here, there = getattr(signer, key), getattr(known, key)
            if here != there:
                yield Breach((*path, key), f"is {here!s} here and {there!s} in stack {environment.name}", "agree")


def _models(factory: FactoryFile, environment: Environment) -> Breaches:
    for name, model in factory.models.items():
        known = environment.models.get(name)
        if known is None:
            rule = f"stack {environment.name} has no model {name}"
            yield Breach(("models", name), rule, "add it there under flotilla:models, or remove it here")
        elif model.key_made is KeyMade.FACTORY and known.key_storage is not KeyStorage.FLASH:
            rule = (
                f"stack {environment.name} says this model keeps its key in {known.key_storage}, which makes it and "
                f"never shows it"
            )
            yield Breach(("models", name, "key_made"), rule, f"write {KeyMade.DEVICE}")


def _described(factory: FactoryFile) -> Iterator[tuple[KeyPath, Authority | Station | Gateway]]:
    sections: Mapping[str, Mapping[str, Authority | Station]] = {
        "authorities": factory.authorities,
        "stations": factory.stations,
    }
    for section, signers in sections.items():
        for name, signer in signers.items():
            yield (section, name), signer
    if factory.gateway is not None:
        yield (GATEWAY_AUTHORITY,), factory.gateway
