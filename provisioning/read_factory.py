"""From a factory file to its profiles: read, parse, judge, compare with the stack, and tell every mistake at once."""

from pathlib import Path

from pydantic import ValidationError

from provisioning.errors import RefusedError
from provisioning.factory_agreement import disagreements
from provisioning.factory_file import FactoryFile
from provisioning.factory_rules import RULES
from stacks.document import Document, KeyPath, read_document, spell
from stacks.environment import Environment
from stacks.errors import Problem, StackError
from stacks.explain import explain, place
from stacks.load import STACKS, load_environment
from stacks.rules.judge import judge
from stacks.sound_values import sound_values

FACTORIES = STACKS / "factories"
"""One file per environment: `<environment>.yaml`."""


def available_factories(directory: Path = FACTORIES) -> tuple[str, ...]:
    """The environments that have a factory file, by name."""
    return tuple(sorted(path.stem for path in directory.glob("*.yaml")))


def factory_path(environment: str) -> Path:
    """The factory file of an environment; `StackError` when it has none."""
    if environment not in (known := available_factories()):
        rule, way_out = "there is no such factory file", f"environments are: {', '.join(known)}"
        raise StackError([Problem(file=f"{environment}.yaml", rule=rule, way_out=way_out)])
    return FACTORIES / f"{environment}.yaml"


def factory_of(stack: str, path: Path | None) -> tuple[FactoryFile, Environment]:
    """The factory file of a stack, and the stack it agrees with."""
    factory, environment = read_factory(path or factory_path(stack))
    if factory.environment != stack:
        raise RefusedError(f"{path}: is the factory of {factory.environment}, not of {stack}; give that of {stack}")
    return factory, environment


def read_factory(path: Path) -> tuple[FactoryFile, Environment]:
    """The factory in a YAML file and the stack it agrees with; `StackError` names every problem."""
    document = read_document(path, begins="environment")
    factory = parse_factory(document)
    environment = load_environment(factory.environment, today=None)
    if told := list(disagreements(factory, environment)):
        raise StackError(_problem(document, breach.path, breach.rule, breach.way_out) for breach in told)
    return factory, environment


def parse_factory(document: Document) -> FactoryFile:
    """The factory in a document; a section that is wrong in itself hides nothing of the others."""
    try:
        factory: FactoryFile | None = FactoryFile.model_validate(document.values)
        wrong: list[tuple[KeyPath, str, str]] = []
    except ValidationError as error:
        factory = None
        wrong = [(place(each), *explain(each, FactoryFile)) for each in error.errors()]
    sound = sound_values(FactoryFile, document.values, wrong={path[0] for path, _, _ in wrong if path})
    wrong += [(breach.path, breach.rule, breach.way_out) for breach in judge(sound, rules=RULES)]
    if factory is None or wrong:
        raise StackError(_problem(document, *told) for told in wrong)
    return factory


def _problem(document: Document, path: KeyPath, rule: str, way_out: str) -> Problem:
    """A problem with the value at `path` of a factory file."""
    return Problem(file=document.file, line=document.line(path), key=spell(path), rule=rule, way_out=way_out)
