"""`python -m provisioning profiles`: whether every factory file is in order, and what it lets be made."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from provisioning.alternative_name import NameKind
from provisioning.commands.options import AsJson, Profiles, Stack
from provisioning.commands.telling import REFUSED, errors_told, tell_error, tell_rows
from provisioning.factory_file import Authority, FactoryFile, Gateway, Model, Reach, Root, Station
from provisioning.read_factory import available_factories, factory_of, factory_path, read_factory
from provisioning.refused_keys import RefusedKeys, read_refused_keys
from stacks.errors import Problem, StackError

commands = typer.Typer(help="The factory files: what each environment may make.", no_args_is_help=True)


@commands.command()
def check(
    stack: Annotated[list[str] | None, typer.Option(help="An environment to check; all of them without.")] = None,
    file: Profiles = None,
    as_json: AsJson = False,
) -> None:
    """Check factory files, alone and against their stacks, and tell every mistake at once."""
    paths = [file] if file is not None else []
    with errors_told():
        paths = paths or [factory_path(name) for name in stack or available_factories()]
    rows, problems = [], list[Problem]()
    for path in paths:
        try:
            factory, _ = read_factory(path)
            if file is not None and stack and stack != [factory.environment]:
                raise _of_another(path, factory.environment, stack)
            refused_keys = read_refused_keys(factory, path)
        except StackError as error:
            problems += error.problems
            if not as_json:
                tell_error(error)
            rows.append({"file": str(path.name), "result": f"{len(error.problems)} to correct"})
        else:
            rows.append({"file": str(path.name), "result": _counted(factory, refused_keys)})
    if as_json:
        tell_rows("problems", [_as_text(asdict(problem)) for problem in problems], as_json=True)
    else:
        tell_rows("factory files", rows, as_json=False)
    if problems:
        raise typer.Exit(REFUSED)


@commands.command()
def show(stack: Stack, file: Profiles = None, as_json: AsJson = False) -> None:
    """Every profile of one environment: who signs, with what, how long, and what it is limited to."""
    with errors_told():
        factory, _ = factory_of(stack, file)
    tell_rows("profiles", list(_profiles(factory)), as_json=as_json)


def _of_another(path: Path, environment: str, asked: list[str]) -> StackError:
    """For one factory file that was named together with other environments."""
    rule = f"is the factory of {environment}, and --stack says {', '.join(asked)}"
    way_out = f"give --stack {environment}, or another file"
    return StackError([Problem(file=path.name, key="environment", rule=rule, way_out=way_out)])


def _profiles(factory: FactoryFile) -> list[dict[str, str]]:
    rows = [_row("root", "", factory.root, "signs authorities")]
    for name, authority in factory.authorities.items():
        lines = ", ".join(factory.lines_of(name))
        limits = [f"signs {', '.join(factory.models_of(name))}", f"lines {lines}", *_serials(authority.serials)]
        if below := [each for each in factory.stations if factory.issuer_of(each) == name]:
            limits.append(f"stations {', '.join(below)}")
        if authority.name_constraints is not Reach.ANY:
            limits.append(str(authority.name_constraints))
        rows.append(_row("authority", name, authority, "; ".join(limits)))
    for name, station in factory.stations.items():
        rows.append(_row("station", name, station, "; ".join((_lease(station), *_serials(station.serials)))))
    if factory.gateway is not None:
        rows.append(_row("gateway", "", factory.gateway, "signs servers under gw.<domain>"))
    for name, model in factory.models.items():
        lines = ", ".join(line for line, each in factory.lines.items() if name in each.models)
        named = [] if model.alternative_name is NameKind.NONE else [f"has its {model.alternative_name} name"]
        rows.append(_row("model", name, model, "; ".join((f"made on {lines}", *named))))
    if factory.refused_keys:
        never = f"never certifies a key of {', '.join(factory.refused_keys)}"
        rows.append({**dict.fromkeys(rows[0], ""), "profile": "refused keys", "limits": never})
    return rows


def _row(kind: str, name: str, profile: Root | Authority | Station | Gateway | Model, limits: str) -> dict[str, str]:
    if isinstance(profile, Model):
        algorithm, key, subject = profile.key_type.value, f"made by the {profile.key_made}", "the device's id"
    else:
        algorithm, key, subject = profile.algorithm.value, str(profile.key), profile.common_name
    return {
        "profile": " ".join(filter(None, (kind, name))),
        "subject": subject,
        "key type": algorithm,
        "key": key,
        "years": str(profile.lifetime_years),
        "limits": limits,
    }


def _lease(station: Station) -> str:
    lease = station.lease
    return (
        f"on {station.line} from {lease.begins} to {lease.ends}, {lease.from_hour} to {lease.to_hour} o'clock UTC, "
        f"{lease.certificates} certificates"
    )


def _counted(factory: FactoryFile, refused_keys: RefusedKeys) -> str:
    listed = "".join(f", never certified: {len(each):,} of {each.name}" for each in refused_keys.lists)
    return (
        f"in order: {len(factory.authorities)} authorities, {len(factory.lines)} lines, "
        f"{len(factory.stations)} stations, {len(factory.models)} models{listed}"
    )


def _serials(prefix: str | None) -> tuple[str, ...]:
    return () if prefix is None else (f"serial numbers {prefix}…",)


def _as_text(values: dict[str, Any]) -> dict[str, str]:
    return {key: "" if value is None else str(value) for key, value in values.items()}
