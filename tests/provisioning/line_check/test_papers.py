"""What a line check finds without a network: wrong keys, wrong certificates, wrong clocks."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes

from protocol.bundle import CHAIN_FILE, KEY_FILE
from protocol.device_id import DeviceId
from provisioning.errors import RefusedError
from provisioning.line_check.outcome import LineCheckError, Question
from provisioning.line_check.papers import Papers, check_chain, check_key
from provisioning.line_check.way import Address, find_server
from tests.provisioning.factory import Factory

NOW = datetime.now(UTC)


@pytest.fixture
def bundle(factory: Factory) -> Path:
    for device in ("mine", "other"):
        issued = factory.issue(device)
        assert issued.code == 0, issued.err
    return factory.device("mine")


def read(folder: Path) -> Papers:
    return Papers.read(folder, DeviceId("mine"))


def issued(papers: Papers) -> str:
    return papers.chain[0].fingerprint(hashes.SHA256()).hex()


def test_a_bundle_as_it_was_issued_passes(bundle: Path) -> None:
    papers = read(bundle)
    assert check_key(papers) == "device.key.pem"
    assert check_chain(papers, issued=issued(papers), now=NOW).startswith("2 certificates, until ")


def test_another_devices_key_is_not_this_ones(bundle: Path, factory: Factory) -> None:
    shutil.copy(factory.device("other") / KEY_FILE, bundle / KEY_FILE)
    with pytest.raises(LineCheckError, match="is another key") as told:
        check_key(read(bundle))
    assert (told.value.question, told.value.acts) == (Question.KEY, "line")


def test_a_key_that_stays_in_the_device_can_only_be_tried_by_the_device(bundle: Path) -> None:
    (bundle / KEY_FILE).unlink()
    with pytest.raises(LineCheckError, match="let the board connect by itself"):
        check_key(read(bundle))


def test_another_devices_certificate_and_another_bundle_are_refused(bundle: Path, factory: Factory) -> None:
    with pytest.raises(RefusedError, match="is of device other, not of mine"):
        read(factory.device("other"))
    right = issued(read(bundle))
    shutil.copy(factory.device("other") / CHAIN_FILE, bundle / CHAIN_FILE)
    with pytest.raises(LineCheckError, match="the certificate is of other"):
        check_chain(read(bundle), issued=right, now=NOW)


@pytest.mark.parametrize("off", [timedelta(days=-1), timedelta(days=365 * 40)])
def test_a_clock_outside_the_certificates_life_is_the_stations_to_set(off: timedelta, bundle: Path) -> None:
    papers = read(bundle)
    with pytest.raises(LineCheckError, match="set this station's clock") as told:
        check_chain(papers, issued=issued(papers), now=NOW + off)
    assert told.value.acts == "station"


def test_a_certificate_that_the_ledger_did_not_issue_or_took_back_is_not_proven(bundle: Path) -> None:
    papers = read(bundle)
    with pytest.raises(LineCheckError, match="is delivered and in good standing"):
        check_chain(papers, issued=None, now=NOW)
    with pytest.raises(LineCheckError, match="issued another certificate"):
        check_chain(papers, issued="ab" * 32, now=NOW)


def test_a_chain_in_the_wrong_order_does_not_hold(bundle: Path, factory: Factory) -> None:
    root = (factory.folder / "root.pem").read_bytes()
    leaf = (bundle / CHAIN_FILE).read_bytes().split(b"-----END CERTIFICATE-----\n")[0] + b"-----END CERTIFICATE-----\n"
    (bundle / CHAIN_FILE).write_bytes(leaf + root)
    papers = read(bundle)
    with pytest.raises(LineCheckError, match="was not signed by the next in the chain"):
        check_chain(papers, issued=issued(papers), now=NOW)


def test_a_resolver_that_does_not_answer_means_offline_and_proves_nothing_wrong(bundle: Path) -> None:
    with pytest.raises(LineCheckError, match="could not be looked up") as told:
        find_server(read(bundle), Address("127.0.0.1", 9))
    assert told.value.is_offline


@pytest.mark.parametrize("wrong", ["", "host", "host:", ":53", "host:0", "host:65536", "host:x"])
def test_an_address_that_is_none_is_named_with_its_option(wrong: str) -> None:
    with pytest.raises(RefusedError, match="--proxy"):
        Address.parse("--proxy", wrong)
