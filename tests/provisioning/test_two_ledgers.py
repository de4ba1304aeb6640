"""Two stations with a ledger each give one device an identity: the clusters get one, and people are told of both."""

import shutil
from pathlib import Path

import pytest

from tests.provisioning.connected import Connected
from tests.provisioning.factory import Factory
from tests.provisioning.reconcile.test_reconcile import reconcile
from tests.provisioning.registry.test_eager import eager

pytestmark = pytest.mark.cloud
DEVICE = "two-ledgers"


@pytest.fixture
def other(opened_factory: Factory, connected: Connected, tmp_path: Path) -> Connected:
    """A second station of the same authorities, whose ledger and whose own key are its own."""
    home = tmp_path / "other"
    shutil.copytree(opened_factory.home, home)
    for left in (*home.glob("**/station.*"), *home.glob("**/ledger.db*")):
        left.unlink()
    return Connected(Factory(home), connected.desk)


def test_the_second_identity_is_held_back_named_by_both_sides_and_told_once_the_first_has_ended(
    connected: Connected, other: Connected
) -> None:
    for station in (connected, other):
        assert station.factory.issue(DEVICE).code == 0
    first, second = connected.fingerprint(DEVICE), other.fingerprint(DEVICE)
    assert first != second
    assert connected.sync().code == 0

    held = eager(other)
    assert held.code == 1
    assert {(row["device"], row["manifest"]) for row in held.json["told"]} == {(DEVICE, "held back")}
    assert f"cluster eu1, device {DEVICE}: the manifest lists certificate {first} of line-a as good for it" in held.err
    assert other.item("eu1", second) is None
    rows = reconcile(other, "--repair", "--trust", str(connected.factory.folder / "station.pub.pem")).json[
        "differences"
    ]
    of_device = [(row["cluster"], row["difference"], row["repair"]) for row in rows if row["device"] == DEVICE]
    assert of_device == [
        (cluster, *found)
        for cluster in ("eu1", "us1")
        for found in (("not in the manifest", "left alone"), ("a device with two identities", "left alone"))
    ]
    two = {"device": DEVICE, "difference": "a device with two identities"}
    detail = next(row["detail"] for row in rows if two.items() <= row.items())
    assert first in detail
    assert second in detail
    assert other.item("eu1", second) is None, "a repair tells nobody in either"

    assert connected.revoke(DEVICE).code == 0
    assert [row["manifest"] for row in other.sync().json["told"]] == ["uploaded", "uploaded"]
    assert other.sync("--again").code == 0
    assert connected.sync("--again").code == 0, "the one that has ended is nobody's second"
