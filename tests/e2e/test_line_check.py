"""A new identity proves itself at the station: a real connection to the embedded cloud, as the device makes it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.world import World

pytestmark = pytest.mark.cloud


def verify(world: World, device: str, *more: str, succeeds: bool = True, folder: Path | None = None) -> str:
    return world.run(
        *("provisioning", "verify", "--stack", world.stack, "--factory", str(world.home / "factory")),
        *("--device", device, "--bundle", str(folder or world.home / "devices" / device)),
        *("--resolver", world.deployment.record.dns, "--proxy", world.deployment.record.proxy, "--json", *more),
        succeeds=succeeds,
    )


def pending(world: World) -> list[str]:
    out = world.run(
        *("provisioning", "verify", "--pending", "--stack", world.stack),
        *("--factory", str(world.home / "factory"), "--json"),
    )
    return [row["device"] for row in json.loads(out)["pending"]]


def steps(world: World, device: str) -> list[tuple[str, str]]:
    out = world.run(
        *("provisioning", "ledger", "show", "--stack", world.stack, "--device", device, "--json"),
        *("--factory", str(world.home / "factory")),
    )
    return [(row["step"], row["note"]) for row in json.loads(out)["steps"]]


def test_a_new_identity_is_admitted_proves_what_it_may_and_the_ledger_keeps_the_proof(dev: World) -> None:
    dev.make_device("proof-a", "line-a")
    assert "proof-a" in pending(dev)
    answers: list[dict[str, Any]] = json.loads(verify(dev, "proof-a"))["answers"]
    assert [answer["answer"] for answer in answers] == ["yes"] * 9
    asked = {answer["question"]: answer["detail"] for answer in answers}
    assert asked["it may not speak for another device"] in ("refused with 0x87", "the broker hung up (NOT_AUTHORIZED)")
    assert asked["it may not listen to another device"] == "refused with 0x87"
    server = asked["its name leads to a cluster"]
    assert ("proven", server) in steps(dev, "proof-a")
    assert "proof-a" not in pending(dev)
    again = json.loads(verify(dev, "proof-a"))["answers"]
    assert {answer["question"]: answer["detail"] for answer in again}["it connects as itself"] == "at once"
    assert steps(dev, "proof-a").count(("proven", server)) == 1


def test_a_device_that_may_more_than_its_own_is_not_to_be_shipped(dev: World) -> None:
    dev.make_device("proof-b", "line-a")
    server = json.loads(verify(dev, "proof-b"))["answers"][2]["detail"]
    iot = dev.client("iot", server.partition(".")[0])
    described = iot.describe_certificate(certificateId=dev.fingerprint("proof-b"))["certificateDescription"]
    for action, said in (("iot:Subscribe", "was let subscribe to cmd/"), ("iot:Publish", "was let publish on dt/")):
        statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
        name = f"wide-{action.partition(':')[2]}"
        iot.create_policy(
            policyName=name, policyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        )
        iot.attach_policy(policyName=name, target=described["certificateArn"])
        told = verify(dev, "proof-b", succeeds=False)
        assert said in told
        assert "do not ship it" in told
        iot.detach_policy(policyName=name, target=described["certificateArn"])
        iot.delete_policy(policyName=name)


def test_without_a_network_nothing_is_proven_and_the_device_stays_on_the_list(dev: World) -> None:
    dev.issue("proof-c", "line-a")
    offline = verify(dev, "proof-c", "--resolver", "127.0.0.1:9", succeeds=False)
    assert "not proven yet; it stays on `verify --pending`" in offline
    assert "proof-c" in pending(dev)


def test_a_server_that_is_not_ours_is_named_at_once(dev: World, tmp_path: Path) -> None:
    mine = dev.make_device("proof-d", "line-a")
    strange = tmp_path / "strange"
    shutil.copytree(mine, strange)
    shutil.copy(dev.home / "authorities" / "line-a.pem", strange / "trust-anchors.pem")
    told = verify(dev, "proof-d", succeeds=False, folder=strange)
    assert "its certificate is refused" in told
    assert "Who acts: operator" in told


def test_a_device_that_was_revoked_or_never_synced_is_not_let_in_and_both_say_who_acts(dev: World) -> None:
    dev.make_device("proof-e", "line-a")
    dev.revoke("proof-e")
    told = verify(dev, "proof-e", succeeds=False)
    assert "no identity of this device in this ledger is delivered and in good standing" in told
    dev.issue("proof-f", "line-a")
    told = verify(dev, "proof-f", succeeds=False)
    assert "was it synced to this cluster?" in told
    assert "do not ship it" in told
    dev.sync()
