"""A plan is read back as it was written, or not at all."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.errors import RefusedError
from fleet.routing.plan import Change, Header
from fleet.routing.plan_file import UnsortedPlanError, read_plan, write_plan
from fleet.routing.plan_line import InvalidLineError
from fleet.routing.target import Target
from tests.fleet.plans import CHANGES, HEADERS, change, header

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
US = Target(cluster="us1")


@same_folder
@given(HEADERS, CHANGES)
def test_any_plan_is_read_back_as_it_was_written(tmp_path: Path, heading: Header, changes: tuple[Change, ...]) -> None:
    written = write_plan(tmp_path / "plan", heading, changes)
    read = read_plan(tmp_path / "plan")
    assert read == written
    assert (read.header, read.count, tuple(read.changes())) == (heading, len(changes), changes)


@same_folder
@given(CHANGES, st.data())
def test_any_flipped_bit_is_refused(tmp_path: Path, changes: tuple[Change, ...], data: st.DataObject) -> None:
    path = tmp_path / "plan"
    write_plan(path, header(), changes)
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    with pytest.raises(RefusedError, match=rf"{path}:\d+: "):
        read_plan(path)


def test_every_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    write_plan(path, header(), [change("device1", after=US)])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(RefusedError):
            read_plan(path)


def test_the_digest_is_over_everything_before_the_line_that_states_it(tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan", header(), [change("device1", after=US)])
    *before, last = plan.path.read_bytes().splitlines(keepends=True)
    assert json.loads(last) == {"digest": hashlib.sha256(b"".join(before)).hexdigest(), "changes": 1}
    assert plan.digest == json.loads(last)["digest"]


def forged(path: Path, *lines: dict[str, Any] | str) -> Path:
    """A file whose digest is right, whatever its lines say."""
    body = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    digest = hashlib.sha256(body.encode()).hexdigest()
    path.write_text(f'{body}{{"digest": "{digest}", "changes": {len(lines) - 1}}}\n')
    return path


def good_lines(tmp_path: Path, *devices: str) -> list[dict[str, Any]]:
    plan = write_plan(tmp_path / "good", header(), [change(device, after=US) for device in devices])
    return [json.loads(line) for line in plan.path.read_text().splitlines()[:-1]]


def test_a_forged_file_with_good_lines_is_read(tmp_path: Path) -> None:
    assert read_plan(forged(tmp_path / "forged", *good_lines(tmp_path, "a", "b"))).count == 2, (
        "or the refusals below would prove nothing"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("device", "Device1"),
        ("device", 7),
        ("revision", 0),
        ("revision", True),
        ("revision", "1"),
        ("revision", 1.0),
        ("before", "no such thing"),
        ("after", "2001:DB8::1"),
        ("after", None),
        ("removes", {}),
        ("removes", [7]),
        ("creates", [{"name": "n", "type": "A", "ttl": 60}]),
        ("creates", [{"name": "n", "type": "A", "ttl": -1, "values": ["192.0.2.1"]}]),
        ("creates", [{"name": "n", "type": "A", "ttl": True, "values": ["192.0.2.1"]}]),
        ("creates", [{"name": "n", "type": "A", "ttl": 60, "values": []}]),
        ("creates", [{"name": "n", "type": "A", "ttl": 60, "values": [1]}]),
        ("creates", [{"name": 1, "type": "A", "ttl": 60, "values": ["192.0.2.1"]}]),
        ("kind", "party"),
        ("owner", None),
        ("reason", ["because"]),
        ("expires", "2026-05-04T12:00:00"),
        ("expires", "tomorrow"),
        ("expires", 7),
        ("returns_to", ""),
        ("surprise", 1),
    ],
)
def test_a_change_with_a_wrong_field_is_refused_with_its_line(tmp_path: Path, field: str, value: Any) -> None:
    first, *changes = good_lines(tmp_path, "a", "b")
    changes[1][field] = value
    with pytest.raises(RefusedError, match=r"forged:3: ") as told:
        read_plan(forged(tmp_path / "forged", first, *changes))
    assert field in str(told.value), "the message names the field"


@pytest.mark.parametrize("field", list(Change.__dataclass_fields__))
def test_a_change_that_lacks_a_field_is_refused(tmp_path: Path, field: str) -> None:
    first, only = good_lines(tmp_path, "a")
    del only[field]
    with pytest.raises(RefusedError, match=rf"forged:2: lacks \['{field}'\]"):
        read_plan(forged(tmp_path / "forged", first, only))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("version", True),
        ("version", "1"),
        ("environment", 1),
        ("clusters", ["eu1"]),
        ("clusters", {"eu1": 1}),
        ("made_at", "2026-05-04T12:00:00"),
        ("surprise", 1),
    ],
)
def test_a_header_with_a_wrong_field_is_refused(tmp_path: Path, field: str, value: Any) -> None:
    first = good_lines(tmp_path)[0] | {field: value}
    with pytest.raises(RefusedError, match=r"forged:1: ") as told:
        read_plan(forged(tmp_path / "forged", first))
    assert field in str(told.value)


@pytest.mark.parametrize("line", ["[]", "{", "7", "", '{"device": NaN}'])
def test_a_line_that_is_no_object_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(RefusedError, match=r"forged:2: "):
        read_plan(forged(tmp_path / "forged", good_lines(tmp_path)[0], line))


@pytest.mark.parametrize("order", [("b", "a"), ("a", "a")])
def test_changes_out_of_order_or_twice_are_neither_read_nor_written(tmp_path: Path, order: tuple[str, str]) -> None:
    lines = {line["device"]: line for line in good_lines(tmp_path, "a", "b")[1:]}
    with pytest.raises(RefusedError, match=r"forged:3: .*sorted by device"):
        read_plan(forged(tmp_path / "forged", good_lines(tmp_path)[0], *(lines[device] for device in order)))
    with pytest.raises(UnsortedPlanError):
        write_plan(tmp_path / "plan", header(), [change(device) for device in order])


def test_no_plan_and_no_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "alone").write_bytes(b'{"digest": "%s", "changes": 0}\n' % hashlib.sha256(b"").hexdigest().encode())
    for name in ("empty", "alone", "absent", "."):
        with pytest.raises(RefusedError):
            read_plan(tmp_path / name)


def test_a_plan_that_cannot_be_finished_leaves_what_was_there(tmp_path: Path) -> None:
    def broken() -> Iterator[Change]:
        yield change("a", after=US)
        raise ZeroDivisionError

    path = tmp_path / "plan"
    path.write_text("the plan before")
    with pytest.raises(ZeroDivisionError):
        write_plan(path, header(), broken())
    assert path.read_text() == "the plan before"
    assert list(tmp_path.iterdir()) == [path], "and nothing beside it"


def test_a_file_exchanged_after_it_was_read_is_refused_before_its_first_change(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    read = write_plan(path, header(), [change("a", after=US)])
    write_plan(path, header(), [change("b", after=US)])
    with pytest.raises(RefusedError, match="another plan"):
        next(read.changes())


def test_a_target_that_would_be_read_back_as_another_is_not_written(tmp_path: Path) -> None:
    for target in (Target(cluster="default"), Target(address="2001:DB8::1"), Target(cluster="No")):
        with pytest.raises(InvalidLineError):
            write_plan(tmp_path / "plan", header(), [replace(change("a", after=US), after=target)])
