"""Lists of keys that are never certified: read whole, asked for every key of every type, on every way in."""

import hashlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from provisioning.algorithm import PublicKey, public_key_der
from provisioning.errors import RefusedError
from provisioning.issue_many import Wanted
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity
from provisioning.read_factory import parse_factory
from provisioning.refused_keys import RefusedKeys, read_refused_keys
from provisioning.station import Station
from stacks.document import parse_document
from stacks.errors import StackError
from tests.provisioning import batches
from tests.provisioning.factory import CEREMONY, Factory, Finished, provisioning
from tests.provisioning.requests import csr, p256, rsa_key, with_unknown_key

P256, P384, RSA = p256().public_key(), ec.generate_private_key(ec.SECP384R1()).public_key(), rsa_key(2048).public_key()
SHORT = next(
    key
    for key in (ec.derive_private_key(number, ec.SECP256R1()).public_key() for number in range(10**9, 10**9 + 9999))
    if key.public_numbers().x.bit_length() <= 248
)
"""Its first coordinate begins with zeros, which badkeys leaves out."""
KEYS: tuple[PublicKey, ...] = (P256, P384, RSA, SHORT)


def fingerprint(key: PublicKey) -> str:
    return hashlib.sha256(public_key_der(key)).hexdigest()


def number(key: PublicKey) -> bytes:
    """What badkeys hashes of a key."""
    found = key.public_numbers().x if isinstance(key, ec.EllipticCurvePublicKey) else key.public_numbers().n
    return found.to_bytes((found.bit_length() + 7) // 8)


def badkeys_list(*keys: PublicKey) -> bytes:
    """A list as badkeys keeps it, with some of nobody's keys around."""
    digests = [hashlib.sha256(number(key)).digest()[:15] for key in keys]
    digests += [hashlib.sha256(bytes((each,))).digest()[:15] for each in range(50)]
    return b"".join(digest + b"\x07" for digest in sorted(digests))


def lists(folder: Path, **files: str | bytes) -> RefusedKeys:
    """A factory beside whose file these lists lie: `leaked_txt="…"`."""
    for key, content in files.items():
        path = folder / key.replace("_", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return named(folder, *(key.replace("_", ".") for key in files))


def named(folder: Path, *names: str) -> RefusedKeys:
    """A factory whose file, in `folder`, names these lists."""
    text = CEREMONY + f"refused_keys: [{', '.join(names)}]\n"
    return read_refused_keys(parse_factory(parse_document(text, "dev.yaml")), folder / "dev.yaml")


@pytest.mark.parametrize("listed", KEYS)
def test_a_key_of_any_type_is_found_in_a_list_of_either_kind(listed: PublicKey, tmp_path: Path) -> None:
    others = [key for key in KEYS if key is not listed]
    for name, content in (
        ("own_txt", f"# lost\n\n{fingerprint(listed)}  # a reel\n"),
        ("bl_dat", badkeys_list(listed)),
    ):
        found = lists(tmp_path, **{name: content})
        refusal = found.refusal(public_key_der(listed)) or ""
        assert f"{fingerprint(listed)} stands in {name.replace('_', '.')}" in refusal
        assert [found.refusal(public_key_der(key)) for key in others] == [None] * len(others)


@pytest.mark.parametrize("listed", KEYS)
def test_badkeys_itself_finds_in_its_list_what_we_find(listed: PublicKey, monkeypatch: pytest.MonkeyPatch) -> None:
    block = import_module("badkeys.allkeys.block")
    checks = import_module("badkeys.checks")
    monkeypatch.setattr(block, "_blmeta", {7: {"name": "debian"}})
    monkeypatch.setattr(block, "_bldata", badkeys_list(listed))
    for key in KEYS:
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        assert bool(checks.checkpubkey(pem, checks=["blocklist"])["results"]) is (key is listed)


@given(st.sets(st.integers(0, 2**32), max_size=40), st.integers(0, 2**32))
def test_a_list_has_its_keys_and_no_other(numbers: set[int], asked: int) -> None:
    with NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(hashlib.sha256(each.to_bytes(8)).hexdigest() + "\n" for each in numbers))
        file.flush()
        path = Path(file.name)
        (made,) = named(path.parent, path.name).lists
    assert len(made) == len(numbers)
    assert made.has(asked.to_bytes(8)) is (asked in numbers)
    assert all(made.has(each.to_bytes(8)) for each in numbers)


GOOD = "0" * 64
MALFORMED: dict[str, tuple[str, str | bytes, str]] = {
    "a short line": ("own_txt", f"{GOOD}\n{GOOD[1:]}\n", f"own.txt:2: '{GOOD[1:]}' is no fingerprint of a key"),
    "capitals": ("own_txt", "A" * 64, "own.txt:1: 'AAAA"),
    "a binary file": ("own_txt", b"\xff\x00" * 40, "own.txt:1: "),
    "a cut list": ("bl_dat", badkeys_list(P256)[:-1], "bl.dat: has 815 bytes, and a list of badkeys has 16 a key"),
    "an empty one": ("bl_dat", b"", "bl.dat: has 0 bytes"),
    "another file": ("bl_dat", badkeys_list(P256)[::-1], "bl.dat: is not sorted, so it is no list of badkeys"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_list_that_is_none_is_told_with_file_and_line(case: str, tmp_path: Path) -> None:
    name, content, reason = MALFORMED[case]
    with pytest.raises(StackError) as refused:
        lists(tmp_path, **{name: content})
    assert reason in str(refused.value)


def described(factory: Factory, *keys: PublicKey) -> Path:
    """The factory's file, with a list of keys beside it."""
    (factory.home / "lost.txt").write_text("".join(f"{fingerprint(key)}\n" for key in keys), encoding="utf-8")
    path = factory.home / "ceremony.yaml"
    path.write_text(CEREMONY + "refused_keys: [lost.txt]\n", encoding="utf-8")
    return path


def test_no_way_in_takes_a_key_of_a_list(factory: Factory) -> None:
    lost, good = p256(), p256()
    profiles = ("--profiles", described(factory, lost.public_key()))
    reasons = []

    def refused(told: Finished) -> None:
        assert told.code == 2, told.out
        reasons.append(" ".join((told.out + told.err).split()))

    request = factory.home / "lost.csr.pem"
    request.write_bytes(csr(lost))
    refused(factory.issue("device1", "--csr", request, *profiles, model="fl100"))
    rows = [{"device": "device1", "csr_file": "lost.csr.pem"}]
    file = batches.write(factory.home / "order.csv", rows)
    refused(batches.batch(factory, file, factory.home / "out", *profiles, model="fl100"))
    assert all(f"{fingerprint(lost.public_key())} stands in lost.txt" in each for each in reasons), reasons
    request.write_bytes(csr(good))
    assert factory.issue("device2", "--csr", request, *profiles, model="fl100").code == 0
    assert "device1" not in factory.ledger("list").out

    described(factory, good.public_key())
    board = factory.home / "board.pem"
    board.write_bytes(factory.chain("device2")[0].public_bytes(Encoding.PEM))
    refused(
        provisioning(
            *("certificates", "check", board, "--stack", "dev", "--model", "fl100", "--authority", "line-a"),
            *("--authorities", factory.authorities, *profiles),
        )
    )
    board.write_bytes(with_unknown_key(factory.chain("device2")[0]).public_bytes(Encoding.PEM))
    strange = provisioning(
        *("certificates", "check", board, "--stack", "dev", "--model", "fl100", "--authority", "line-a"),
        *("--authorities", factory.authorities, *profiles, "--json"),
    )
    assert strange.code == 2
    assert any("Unknown key type" in row["result"] for row in strange.json["certificates"]), strange.out


def test_a_key_that_came_on_the_list_in_the_middle_of_a_batch_is_refused_alone(factory: Factory) -> None:
    lost, good = p256(), p256()
    station = Station.open(
        stack="dev",
        factory=factory.folder,
        authorities=factory.authorities,
        profiles=described(factory, lost.public_key()),
    )
    wanted = []
    for device, key in (("device1", lost), ("device2", good)):
        order = station.order(device=device, model="fl100", authority="line-a")
        wanted.append(Wanted(station.request(order, csr(key)), order.profile))
    with Ledger.open(factory.folder, "dev", create=True) as ledger:
        refused, issued = station.issue_many("line-a", wanted, ledger)
    assert isinstance(refused, RefusedError)
    assert "never certified" in str(refused)
    assert isinstance(issued, Identity)
    assert issued.device == "device2"


def test_a_key_that_came_on_the_list_later_is_not_handed_out_again(factory: Factory) -> None:
    key = p256()
    request = factory.home / "csr.pem"
    request.write_bytes(csr(key))
    assert factory.issue("device1", "--csr", request, model="fl100").code == 0
    again = factory.issue(
        "device1", "--csr", request, "--profiles", described(factory, key.public_key()), model="fl100"
    )
    assert (again.code, "never certified" in again.err) == (2, True)


def a_broken_line(path: Path) -> None:
    path.write_text("lost\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "said"), [(a_broken_line, "lost.txt:1: 'lost' is no"), (Path.unlink, "cannot be read")]
)
def test_a_broken_list_stops_the_station_before_anything(
    harm: Callable[[Path], None], said: str, factory: Factory
) -> None:
    profiles = described(factory, P256)
    shown = provisioning("profiles", "check", "--profiles", profiles)
    assert (shown.code, "never certified: 1 of lost.txt" in " ".join(shown.out.split())) == (0, True), shown.out
    assert (
        "never certifies a key of lost.txt"
        in provisioning("profiles", "show", "--stack", "dev", "--profiles", profiles, "--json").out
    )
    harm(factory.home / "lost.txt")
    for told in (
        factory.issue("device1", "--generate-key", "--profiles", profiles),
        provisioning("profiles", "check", "--profiles", profiles),
    ):
        assert told.code == 2
        assert said in told.err
    assert not factory.device("device1").exists()
