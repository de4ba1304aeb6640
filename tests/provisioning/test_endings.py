"""Identities that end, many at a time: planned, looked at, carried out, cut off and carried on."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from protocol.device_id import DeviceId
from provisioning.crl.withdrawn import read_withdrawn
from provisioning.ending.carry_out import Outcome, end
from provisioning.ending.plan_file import Row
from provisioning.ending.rotation import NAMES, wave_sizes
from provisioning.ending.selection import of_signer
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Intent, Reason, Step
from tests.provisioning.connected import Connected
from tests.provisioning.factory import Factory, Finished, provisioning

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def intent(device: str, *, authority: str = "line-a", serial: int, at: datetime = NOW) -> Intent:
    return Intent(
        device=DeviceId(device),
        model="fl50",
        authority=authority,
        key_hash=f"{serial:064x}",
        serial=serial,
        not_before=at,
        not_after=at + timedelta(days=5000),
        to_be_signed=device.encode(),
    )


def populated(folder: Path, count: int, authority: str = "line-a") -> None:
    with Ledger.open(folder, "dev", create=True) as ledger:
        ledger.prepare_all(
            [intent(f"device{each:04}", authority=authority, serial=each + 1) for each in range(count)], at=NOW
        )


def write_list(factory: Factory, *devices: str) -> Path:
    path = factory.home / "devices.csv"
    path.write_text("device,why\n" + "".join(f"{device},\n" for device in devices), encoding="utf-8")
    return path


def plan(factory: Factory, *more: str | Path, reason: str = "key-compromise") -> Finished:
    return provisioning(
        *("revocation", "plan", "--stack", "dev", "--factory", factory.folder, "--reason", reason),
        *("--out", factory.home / "plan.jsonl", "--authorities", factory.authorities, "--json", *more),
    )


def apply(factory: Factory, *more: str | Path) -> Finished:
    return provisioning(
        *("revocation", "apply", factory.home / "plan.jsonl", "--stack", "dev", "--factory", factory.folder),
        *("--json", *more),
    )


def standing(factory: Factory) -> set[str]:
    with Ledger.open(factory.folder, "dev") as ledger:
        return {each.device for each in of_signer(ledger, "line-a")}


def test_a_list_is_planned_looked_at_and_carried_out_once(factory: Factory) -> None:
    populated(factory.folder, 5)
    path = write_list(factory, "device0001", "device0003")
    made = plan(factory, path, "--since", "2026-11-20T08:00:00Z", "--note", "the van")
    assert made.code == 0, made.err
    assert [row["device"] for row in made.json["devices"]] == ["device0001", "device0003"]
    assert len(standing(factory)) == 5, "a plan changes nothing"
    done = apply(factory)
    assert (done.code, done.json["ended"]) == (0, 2), done.err
    assert f"crl --stack dev --authority NAME --factory {factory.folder}" in done.json["next"], "as it is typed"
    assert standing(factory) == {"device0000", "device0002", "device0004"}
    again = apply(factory)
    assert (again.code, again.json["ended before"]) == (0, 2)
    (revoked,) = [
        row for row in factory.ledger("show", "--device", "device0001").json["steps"] if row["step"] == "revoked"
    ]
    assert revoked["note"] == "key-compromise: since 2026-11-20T08:00:00Z; the van"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("serial\n1\n", ":1: there is no column `device`"),
        ("device\ndevice0001\nDEVICE2\n", ":3: device id 'DEVICE2' has capitals"),
        ("device\ndevice0001\nnobody\n", ":3: device nobody is not in this ledger"),
        ("device\ndevice0001\ndevice0001\n", ":3: device device0001 stands in line 2 already"),
        ("device\n\ndevice0001\n\n\n,\n", ":6: a device id is empty"),
    ],
)
def test_a_list_with_a_mistake_is_no_plan(content: str, reason: str, factory: Factory) -> None:
    populated(factory.folder, 3)
    path = factory.home / "devices.csv"
    path.write_text(content, encoding="utf-8")
    refused = plan(factory, path)
    assert refused.code == 2
    assert reason in refused.err
    assert not (factory.home / "plan.jsonl").exists()


def test_a_plan_that_cannot_be_written_where_it_shall_go_is_refused_by_its_option(factory: Factory) -> None:
    refused = plan(factory, write_list(factory, "device0001"), "--out", factory.home)
    assert (refused.code, f"--out: {factory.home} is a folder; name a file to write" in refused.err) == (2, True)
    refused = plan(factory, write_list(factory, "device0001"), "--out", factory.home / "nowhere" / "plan")
    assert (refused.code, f"{factory.home / 'nowhere'} is no folder; make it first" in refused.err) == (2, True)


def test_an_authority_is_taken_back_alone_or_with_what_it_signed(factory: Factory) -> None:
    populated(factory.folder, 4)
    alone = plan(factory, "--authority", "line-a")
    assert alone.code == 0, alone.err
    assert (alone.json["identities"], len(alone.json["devices"])) == (0, 4), "what it signed is listed all the same"
    assert plan(factory, "--authority", "line-a", "--issued-since", "2026-11-25T12:00:00Z").json["identities"] == 4
    some = plan(factory, "--authority", "line-a", "--issued-since", "2026-11-25T12:00:01Z")
    assert some.json["identities"] == 0, some.err
    every = plan(factory, "--authority", "line-a", "--devices")
    assert every.json["identities"] == 4
    done = apply(factory)
    assert done.code == 0, done.err
    assert (done.json["signer"], done.json["ended"]) == ("line-a taken back", 4)
    assert "crl --stack dev --authority root" in done.json["next"]
    (withdrawn,) = read_withdrawn(factory.folder)
    certificate = x509.load_pem_x509_certificate((factory.authorities / "line-a.pem").read_bytes())
    assert (withdrawn.issuer, int(withdrawn.serial, 16)) == ("root", certificate.serial_number)
    assert apply(factory).json["signer"] == "line-a was taken back before"
    refused = factory.issue("device9")
    assert refused.code == 2
    assert "line-a: was taken back on" in refused.err


def test_many_are_taken_back_only_by_who_says_how_many(factory: Factory) -> None:
    populated(factory.folder, 101)
    assert "--yes-really 101" in plan(factory, "--authority", "line-a", "--devices").json["next"]
    for more in ((), ("--yes-really", "100")):
        refused = apply(factory, *more)
        assert refused.code == 2
        assert "takes 101 identities back, more than 100" in refused.err
    assert len(standing(factory)) == 101
    assert list(read_withdrawn(factory.folder)) == [], "nothing of a refused plan is done"
    assert apply(factory, "--yes-really", "101").json["ended"] == 101


def test_a_plan_that_was_touched_is_no_plan(factory: Factory) -> None:
    populated(factory.folder, 3)
    assert plan(factory, write_list(factory, "device0000", "device0001")).code == 0
    path = factory.home / "plan.jsonl"
    whole = path.read_text(encoding="utf-8").splitlines()
    for text, reason in (
        ("\n".join(whole[:-1]), "has 1 identities and was made with 2"),
        ("\n".join([whole[0], "{}", whole[2]]), "plan.jsonl:2: is no line of a plan"),
        ("", "plan.jsonl:1: is no line of a plan"),
        (whole[0].replace('"version":2', '"version":1'), "is a plan of version 1"),
        ("\n".join(whole).replace('"environment":"dev"', '"environment":"production"'), "is a plan for production"),
    ):
        path.write_text(text + "\n", encoding="utf-8")
        refused = apply(factory)
        assert refused.code == 2
        assert reason in refused.err
    assert len(standing(factory)) == 3


def test_a_device_that_was_given_another_identity_meanwhile_keeps_it(factory: Factory) -> None:
    populated(factory.folder, 2)
    assert plan(factory, write_list(factory, "device0000", "device0001")).code == 0
    with Ledger.open(factory.folder, "dev") as ledger:
        ledger.retire(DeviceId("device0000"), Reason.SUPERSEDED, "a new board", at=NOW)
        ledger.prepare(intent("device0000", serial=99), at=NOW)
    done = apply(factory)
    assert (done.json["ended"], done.json["has another identity by now"]) == (1, 1)
    assert standing(factory) == {"device0000"}


KILLED = """
import os, sys
import provisioning.commands.revocation as command
from provisioning.cli import app
from provisioning.ending.carry_out import end

def dying(rows, *arguments, **named):
    for number, done in enumerate(end(rows, *arguments, **named, batch=10)):
        if number == 25:
            os.kill(os.getpid(), 9)
        yield done

command.end = dying
app(sys.argv[1:], prog_name="provisioning")
"""


def test_a_revocation_that_was_killed_goes_on_where_it_was(factory: Factory) -> None:
    populated(factory.folder, 60)
    assert plan(factory, "--authority", "line-a", "--devices").code == 0
    words = ["revocation", "apply", str(factory.home / "plan.jsonl"), "--stack", "dev"]
    words += ["--factory", str(factory.folder)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], capture_output=True, check=False, env=os.environ)
    assert killed.returncode == -9, killed.stderr
    left = len(standing(factory))
    assert left == 30, "three batches of ten were on the disk"
    done = apply(factory)
    assert (done.json["ended"], done.json["ended before"]) == (30, 30)
    assert standing(factory) == set()


def test_what_is_told_is_durable_and_a_batch_is_one_transaction(tmp_path: Path) -> None:
    populated(tmp_path, 5)
    with Ledger.open(tmp_path, "dev") as ledger:
        rows = [Row(issuance=each.issuance, device=each.device, fingerprint="") for each in of_signer(ledger, "line-a")]
        done = end(rows, ledger, Step.RETIRED, Reason.SUPERSEDED, "", clock=lambda: NOW, batch=2)
        next(done)
        with Ledger.open(tmp_path, "dev") as other:
            assert len(list(of_signer(other, "line-a"))) == 3
        assert len([*done]) == 4
        again = end(rows, ledger, Step.RETIRED, Reason.SUPERSEDED, "", clock=lambda: NOW)
        assert {each.outcome for each in again} == {Outcome.ENDED_BEFORE}


def retire(factory: Factory, *more: str | Path) -> Finished:
    return provisioning("retire", "--stack", "dev", "--factory", factory.folder, "--json", *more)


def test_a_device_is_retired_in_good_order_and_may_come_back_with_a_new_key(factory: Factory) -> None:
    assert factory.issue("device1").code == 0
    words = ("--device", "device1", "--note", "repaired with a new board")
    shown = retire(factory, *words)
    assert [row["device"] for row in shown.json["would_end"]] == ["device1"]
    assert "device1" in standing(factory)
    assert retire(factory, *words, "--apply").json["ended"] == 1
    assert retire(factory, *words, "--apply").json["ended before"] == 1
    refused = factory.issue("device1")
    assert refused.code == 2, "the old key is not certified again"
    for path in factory.device("device1").iterdir():
        path.unlink()
    assert factory.issue("device1").code == 0
    steps = [row["step"] for row in factory.ledger("show", "--device", "device1").json["steps"]]
    assert steps.count("retired") == 1


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--note", "scrapped"), "give either FILE, or --device ID"),
        (("--device", "device0001", "--note", " "), "say why in your own words"),
        (("--device", "nobody", "--note", "scrapped"), "device nobody is not in this ledger"),
        (("devices.csv", "--note", "scrapped", "--apply"), "that is 101 devices, more than 100"),
    ],
)
def test_a_retirement_that_cannot_be_is_refused(more: tuple[str, ...], reason: str, factory: Factory) -> None:
    populated(factory.folder, 101)
    path = write_list(factory, *(f"device{number:04}" for number in range(101)))
    refused = retire(factory, *(path if word == "devices.csv" else word for word in more))
    assert refused.code == 2
    assert reason in refused.err


@given(count=st.integers(min_value=0, max_value=100_000))
def test_the_waves_of_a_rotation_have_every_device_once_and_grow(count: int) -> None:
    sizes = wave_sizes(count)
    assert sum(sizes.values()) == count
    assert all(size > 0 for size in sizes.values())
    assert list(sizes) == [name for name in NAMES if name in sizes]
    assert sizes.get("test", 0) < 10


ROTATION = """\
environment: dev
root: { common_name: Test Root CA, organization: Test Fleet, key: file, lifetime_years: 30 }
models:
  fl50: { key_made: factory, lifetime_years: 15 }
  fl100: { lifetime_years: 15 }
lines:
  bench-a: { authority: line-a, models: [fl50, fl100] }
  bench-b: { authority: line-b, models: [%s] }
authorities:
  line-a: { common_name: Flotilla Dev Line A Issuing CA, key: file, lifetime_years: 20, path_length: 0 }
  line-b: { common_name: Flotilla Dev Line B Issuing CA, key: kms, lifetime_years: %d, path_length: 0 }
"""


def rotate(
    factory: Factory,
    *,
    models: str = "fl50, fl100",
    years: int = 20,
    to: str = "line-b",
    more: tuple[str | Path, ...] = (),
) -> Finished:
    file = factory.home / "rotation.yaml"
    file.write_text(ROTATION % (models, years), encoding="utf-8")
    return provisioning(
        *("rotate", "--stack", "dev", "--factory", factory.folder, "--authority", "line-a", "--to", to),
        *("--profiles", file, "--authorities", factory.authorities, "--out", factory.home / "waves.csv", "--json"),
        *more,
    )


def test_a_rotation_says_who_is_left_in_which_wave_and_what_stands_in_the_way(factory: Factory) -> None:
    populated(factory.folder, 200)
    blocked = rotate(factory, models="fl100")
    assert blocked.code == 2
    assert blocked.json["obstacles"] == [
        "line-b has no certificate; hold its ceremony (or certify the station), commit it, and deploy",
        "line-b signs no fl50, and 200 devices are; add the model to one of its lines",
    ]
    kept = (factory.authorities / "line-a.pem").read_bytes()
    (factory.authorities / "line-b.pem").write_bytes(kept)
    ready = rotate(factory)
    assert ready.code == 0, ready.err
    assert [(row["wave"], row["devices"]) for row in ready.json["waves"]] == [
        ("test", "9"),
        ("canary", "10"),
        ("expansion", "20"),
        ("complete", "161"),
    ]
    assert (ready.json["to_reissue"], ready.json["standing_under_new"]) == (200, 0)
    lines = (factory.home / "waves.csv").read_text().splitlines()
    assert len({line.split(",")[1] for line in lines[1:]}) == 200
    assert lines[1].startswith("test,")
    assert rotate(factory).json["waves"] == ready.json["waves"], "the same waves every time"


def test_a_rotation_that_is_done_says_so(factory: Factory) -> None:
    populated(factory.folder, 3, authority="line-b")
    (factory.authorities / "line-b.pem").write_bytes((factory.authorities / "line-a.pem").read_bytes())
    done = rotate(factory)
    assert (done.json["to_reissue"], done.json["standing_under_new"]) == (0, 3)
    assert "nothing that line-a signed stands any more" in done.json["next"]


def test_nobody_rotates_to_where_he_is_or_to_nobody(factory: Factory) -> None:
    populated(factory.folder, 1)
    same = rotate(factory, to="line-a")
    assert same.code == 2
    assert same.json["obstacles"] == ["line-a is both the old and the new authority; name another one as --to"]
    assert "factory dev has no authority 'line-z'" in rotate(factory, to="line-z").err


@pytest.mark.cloud
def test_every_cluster_is_told_what_a_plan_took_back_and_asked_who_knows_the_next_authority(
    connected: Connected,
) -> None:
    factory = connected.factory
    for device in ("plan-a", "plan-b"):
        assert factory.issue(device).code == 0
    assert connected.sync().code == 0
    assert plan(factory, write_list(factory, "plan-a")).code == 0
    told = provisioning(
        *("revocation", "apply", factory.home / "plan.jsonl", "--stack", "dev", "--factory", factory.folder),
        *("--outputs", connected.outputs, "--json"),
        variables=connected.variables,
    )
    assert told.code == 0, told.err
    assert {(row["cluster"], row["device"], row["manifest"]) for row in told.json["told"]} == {
        ("eu1", "plan-a", "revoked"),
        ("us1", "plan-a", "revoked"),
    }
    for device, standing_there in (("plan-a", "revoked"), ("plan-b", "good")):
        for cluster in ("eu1", "us1"):
            item = connected.item(cluster, connected.fingerprint(device))
            assert item is not None
            assert item["standing"] == standing_there
    asked = rotate(factory, more=("--outputs", connected.outputs))
    assert (
        "cluster eu1 does not know line-b; deploy, so that devices it signs are admitted there"
        in asked.json["obstacles"]
    )


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        ("yesterday", "is no moment; write one such as"),
        ("2026-11-20T08:00:00", "says no time zone"),
        ("2999-01-01T00:00:00Z", "is yet to come"),
    ],
)
def test_a_moment_is_past_and_has_a_zone(moment: str, reason: str, factory: Factory) -> None:
    populated(factory.folder, 1)
    refused = plan(factory, "--authority", "line-a", "--since", moment)
    assert refused.code == 2
    assert reason in refused.err
