"""The golden vectors hold, in Python and in a decoder in another language.

Written again with `REGENERATE=1 pytest tests/protocol/test_vectors.py`; a change of them is a change of the contract.
"""

import json
import os
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from protocol.senml import since_epoch
from protocol.telemetry import BatchRefusedError, decode_batch, decode_batch_columns, encode_batch
from tests.protocol.vectors import GOOD, HOSTILE, HOSTILE_VECTORS, NOT_OURS, VECTORS, spelled_out

JAVASCRIPT = VECTORS / "javascript"
INDEX = VECTORS / "hostile.json"


@pytest.fixture(scope="session", autouse=True)
def _regenerated() -> None:
    if not os.environ.get("REGENERATE"):
        return
    HOSTILE.mkdir(exist_ok=True)
    for name, make in GOOD.items():
        wire = make()
        (VECTORS / f"{name}.cbor").write_bytes(wire)
        write(VECTORS / f"{name}.json", spelled_out(decode_batch(wire)))
    for name, (_, make) in HOSTILE_VECTORS.items():
        (HOSTILE / f"{name}.cbor").write_bytes(make())
    write(INDEX, {name: {"code": code, "reason": reason(name)} for name, (code, _) in HOSTILE_VECTORS.items()})


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def reason(name: str) -> str:
    with pytest.raises(BatchRefusedError) as caught:
        decode_batch((HOSTILE / f"{name}.cbor").read_bytes())
    return str(caught.value)


def meaning(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", GOOD)
def test_golden_bytes_hold_and_say_what_they_mean(name: str) -> None:
    wire = (VECTORS / f"{name}.cbor").read_bytes()
    assert wire == GOOD[name](), "what is in the field is what is written today"
    decoded = decode_batch(wire)
    assert spelled_out(decoded) == meaning(name)
    assert (encode_batch(decoded) == wire) is (name not in NOT_OURS)


@pytest.mark.parametrize("name", HOSTILE_VECTORS)
def test_hostile_bytes_are_refused_for_their_reason(name: str) -> None:
    wire = (HOSTILE / f"{name}.cbor").read_bytes()
    expected = json.loads(INDEX.read_text(encoding="utf-8"))[name]["reason"]
    assert reason(name) == expected
    with pytest.raises(BatchRefusedError) as caught:
        decode_batch_columns(wire)
    assert str(caught.value) == expected, "as columns too"


def test_no_vector_lies_there_that_nothing_makes() -> None:
    assert {path.stem for path in VECTORS.glob("*.cbor")} == GOOD.keys()
    assert {path.stem for path in HOSTILE.glob("*.cbor")} == HOSTILE_VECTORS.keys()
    index = json.loads(INDEX.read_text(encoding="utf-8"))
    assert {name: said["code"] for name, said in index.items()} == {n: code for n, (code, _) in HOSTILE_VECTORS.items()}


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What the JavaScript decoder says of every vector, by file."""
    assert (JAVASCRIPT / "node_modules").is_dir(), "its library is not there; install it with: make judges"
    files = sorted([*VECTORS.glob("*.cbor"), *HOSTILE.glob("*.cbor")])
    done = subprocess.run(
        ["node", str(JAVASCRIPT / "tell.mjs"), *map(str, files)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {path.stem: json.loads(line) for path, line in zip(files, done.stdout.splitlines(), strict=True)}


@pytest.mark.judge
@pytest.mark.parametrize("name", GOOD)
def test_another_language_reads_the_same(name: str, told: dict[str, Any]) -> None:
    expected = meaning(name)
    found = told[name]["batch"]
    for field in ("device", "firmware", "clock"):
        assert found[field] == expected[field]
    for field in ("epoch", "boot_count"):
        assert int(found[field]) == expected[field]
    assert [(int(row["sequence"]), int(row["time"]), row["readings"]) for row in found["rows"]] == [
        (row["sequence"], since_epoch(datetime.fromisoformat(row["time"])), row["readings"]) for row in expected["rows"]
    ]


@pytest.mark.judge
@pytest.mark.parametrize("name", HOSTILE_VECTORS)
def test_another_language_refuses_for_the_same_reason(name: str, told: dict[str, Any]) -> None:
    assert told[name] == {"refused": HOSTILE_VECTORS[name][0]}
