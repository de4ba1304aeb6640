"""Vendors' files: what is taken in, what the registrar then admits, and what is refused with its reason."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from functions.admission import Admit, Place, Reason, Refuse, Registered, decide
from functions.certificate import read_certificate
from provisioning.errors import RefusedError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.uploads import pending
from provisioning.refused_keys import Fingerprints, RefusedKeys, spki_of
from provisioning.secure_elements.element import Defect
from provisioning.secure_elements.espressif import read_espressif
from provisioning.secure_elements.infineon import SerialFrom, Slot, read_infineon
from provisioning.secure_elements.microchip import ManifestSigners, read_microchip
from provisioning.secure_elements.plan import Checked, Terms, check
from tests.provisioning.factory import Factory, Finished, provisioning
from tests.provisioning.requests import name, p256, rsa_key, with_unknown_key
from tests.provisioning.stack_files import with_authorities
from tests.provisioning.vendors import NOW, Vendor, base64url, packed, usage
from tests.provisioning.weak import roca_key

VENDOR = Vendor()
STRANGER = Vendor("Somebody Else")
SERIALS = ("0123f2408ea1fcf201", "01237fa064679e6a01")
MACS = ("4BA2BB8764BD", "E5B314DA749D")
TERMS = Terms(
    model="fl100",
    device_id="{serial}",
    authorities={"elements": VENDOR.signer},
    now=NOW,
    refused_keys=RefusedKeys(),
)


def microchip(data: bytes) -> Checked:
    return check(read_microchip(data, ManifestSigners([STRANGER.manifest_signer, VENDOR.manifest_signer])), TERMS)


def infineon(data: bytes, slot: Slot = Slot.E0E0, serial_from: SerialFrom = SerialFrom.FILE_NAME) -> Checked:
    return check(read_infineon(data, slot, serial_from), TERMS)


def espressif(data: bytes) -> Checked:
    return check(read_espressif(data), TERMS)


def test_a_microchip_manifest_is_read_entry_by_entry() -> None:
    checked = microchip(VENDOR.manifest(*SERIALS))
    assert [(each.element.place, each.device, each.authority) for each in checked.acceptable] == [
        ("entry 1", SERIALS[0], "elements"),
        ("entry 2", SERIALS[1], "elements"),
    ]
    assert checked.acceptable[0].element.part == "ATECC608C-TNGTLSU-B"
    assert checked.defects == ()


def test_an_infineon_bundle_is_read_slot_by_slot_whole_or_its_inner_archive_alone() -> None:
    bundle = VENDOR.bundle("cd16338201000100", "cd16338201000200", slots=("E0E0", "E0E1"))
    for data, slot in ((bundle, Slot.E0E0), (bundle, Slot.E0E1), (VENDOR.certificates("cd16338201000100"), Slot.E0E0)):
        checked = infineon(data, slot)
        assert checked.defects == ()
        assert checked.acceptable[0].device == "cd16338201000100"
    named = infineon(bundle, serial_from=SerialFrom.COMMON_NAME)
    assert [each.device for each in named.acceptable] == ["sncd16338201000100", "sncd16338201000200"]
    with pytest.raises(RefusedError, match=r"has 0 archives of slot E0E2; it has Reel_E0E0_Certs.7z, Reel_E0E1"):
        infineon(bundle, Slot.E0E2)


def test_a_chip_that_is_called_like_every_other_is_told_apart_by_its_file() -> None:
    def same_name() -> bytes:
        subject = name(COMMON_NAME="Infineon IoT Node")
        return VENDOR.certificate(subject, p256().public_key()).public_bytes(Encoding.DER)

    bundle = packed({"cd01.cer": same_name(), "cd02.cer": same_name()})
    assert [each.device for each in infineon(bundle).acceptable] == ["cd01", "cd02"]
    defects = infineon(bundle, serial_from=SerialFrom.COMMON_NAME).defects
    assert [defect.place for defect in defects] == ["cd01.cer", "cd02.cer"]
    assert "say --serial-from file-name" in defects[0].rule


def test_a_list_of_espressif_modules_is_read_row_by_row_with_its_lines() -> None:
    data = VENDOR.modules(*MACS)
    assert [each.device for each in espressif(data).acceptable] == ["4ba2bb8764bd", "e5b314da749d"]
    broken = data.replace(b"E5B314DA749D", b"E5B314DA749")
    (defect,) = espressif(broken).defects
    line = data.decode().splitlines().index(next(row for row in data.decode().splitlines() if "E5B314" in row)) + 1
    assert defect == Defect(f"line {line}", "its MAC 'E5B314DA749' is not 12 hexadecimal digits; ask for a new file")


def test_microchips_certificates_are_read_though_cryptography_refuses_their_extensions() -> None:
    _, certificate = VENDOR.element(SERIALS[0])
    with pytest.raises(ValueError, match="PrintableString"):
        assert certificate.extensions
    assert microchip(VENDOR.manifest(SERIALS[0])).defects == ()


@pytest.mark.parametrize("mac", ["4B:A2:BB:87:64:BD", "4b-a2-bb-87-64-bd"])
def test_a_mac_may_be_written_as_people_write_it(mac: str) -> None:
    assert [each.device for each in espressif(VENDOR.modules(mac)).acceptable] == ["4ba2bb8764bd"]


def changed(**changes: Any) -> dict[str, Any]:
    """An entry with other parts than the vendor signed."""
    return {**VENDOR.entry(SERIALS[0]), **changes}


def resigned(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """An entry whose content is another, signed by the vendor all the same."""
    payload = VENDOR.payload(SERIALS[0], *VENDOR.element(SERIALS[0]))
    change(payload)
    return VENDOR.signed(payload)


def by_stranger() -> dict[str, Any]:
    entry = VENDOR.entry(SERIALS[0])
    _, payload, signature = (entry[part] for part in ("protected", "payload", "signature"))
    header = {"alg": "ES256", "kid": VENDOR.kid, "typ": "JWT", "x5t#S256": VENDOR.thumbprint}
    protected = base64url(json.dumps(header).encode())
    stranger = STRANGER.entry(SERIALS[0])
    return {**entry, "protected": protected, "payload": payload, "signature": stranger["signature"] or signature}


def with_secret() -> dict[str, Any]:
    """The classic attack: the public key taken for a shared secret."""
    pem = VENDOR.manifest_signer.public_bytes(Encoding.PEM)
    header = {"alg": "HS256", "kid": VENDOR.kid, "typ": "JWT", "x5t#S256": VENDOR.thumbprint}
    body = VENDOR.entry(SERIALS[0])["payload"]
    protected = base64url(json.dumps(header).encode())
    signature = base64url(hmac.digest(pem, f"{protected}.{body}".encode(), "sha256"))
    return changed(protected=protected, payload=body, signature=signature)


def unsigned() -> dict[str, Any]:
    header = {"alg": "none", "kid": VENDOR.kid, "typ": "JWT", "x5t#S256": VENDOR.thumbprint}
    return changed(protected=base64url(json.dumps(header).encode()), signature="")


BAD_ENTRIES: dict[str, tuple[Callable[[], object], str]] = {
    "no object": (lambda: "entry", "it is no object"),
    "no signature": (lambda: {"payload": "e30", "protected": "e30"}, "has no protected, payload and signature"),
    "too long": (lambda: changed(payload="A" * 70_000), "no entry has more than 65536"),
    "a stranger's key": (by_stranger, "its signature does not hold"),
    "a stranger's manifest": (lambda: Vendor().entry(SERIALS[0]), "--manifest-signer does not give"),
    "another key identifier": (
        lambda: VENDOR.signed(VENDOR.payload(SERIALS[0], *VENDOR.element(SERIALS[0])), kid="AAAA"),
        "its key identifier is not that of the certificate it names",
    ),
    "a shared secret": (with_secret, "its signature does not hold"),
    "no algorithm": (unsigned, "its signature does not hold"),
    "a changed payload": (
        lambda: changed(payload=base64url(b'{"version":1}')),
        "its signature does not hold",
    ),
    "no base64": (lambda: changed(payload="%%%"), "its signature does not hold"),
    "another serial outside": (
        lambda: changed(header={"uniqueId": SERIALS[1]}),
        "is not the one inside; somebody changed the file",
    ),
    "another version": (lambda: resigned(lambda payload: payload.update(version=2)), "no SecureElement of version 1"),
    "a serial that is none": (
        lambda: resigned(lambda payload: payload.update(uniqueId="0123F2408EA1FCF201")),
        "is not 18 lower-case hexadecimal digits",
    ),
    "no certificate": (
        lambda: resigned(lambda payload: payload["publicKeySet"]["keys"][0].pop("x5c")),
        "it carries no certificate",
    ),
    "a certificate of another key": (
        lambda: resigned(
            lambda payload: payload["publicKeySet"]["keys"][0].update(
                x5c=[base64.b64encode(VENDOR.element("aa")[1].public_bytes(Encoding.DER)).decode()]
            )
        ),
        "its certificate is of another key than the one beside it",
    ),
    "a certificate that is none": (
        lambda: resigned(lambda payload: payload["publicKeySet"]["keys"][0].update(x5c=["AAAA"])),
        "its certificate cannot be read",
    ),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_a_bad_entry_of_a_manifest_is_refused_with_its_number_and_reason(case: str) -> None:
    make, reason = BAD_ENTRIES[case]
    checked = microchip(json.dumps([VENDOR.entry(SERIALS[1]), make()]).encode())
    assert [defect.place for defect in checked.defects] == ["entry 2"]
    assert reason in checked.defects[0].rule
    assert len(checked.acceptable) == 1, "the others are seen all the same"


@pytest.mark.parametrize(
    ("read", "data", "reason"),
    [
        (microchip, b"MAC,cn,cert", "it is no JSON"),
        (microchip, b"{}", "is no list of signed elements"),
        (microchip, b"[" * 100_000, "it is no JSON"),
        (infineon, b"PK\x03\x04", "is no 7-Zip archive"),
        (infineon, b"", "is no 7-Zip archive"),
        (infineon, packed({}), "is empty"),
        (espressif, b"\xff\xfe", "it is no text"),
        (espressif, b"tlv_type,tlv_subtype,data_value\n", "the partition of one device"),
        (espressif, b"mac,certificate\n", "line 1: the columns are mac, certificate"),
        (espressif, b"MAC,cn,cert\n1,2,-----BEGIN EC PRIVATE KEY-----\n", "holds private keys"),
        (espressif, b"MAC,cn," + b"A" * 20_000 + b"\n", "line 1: .*no field has more than 16384"),
        (espressif, b'MAC,cn,cert\n1,2,"' + b"A" * 20_000 + b'"\n', "no field has more than 16384"),
    ],
)
def test_a_file_of_another_kind_is_refused_whole(read: Callable[[bytes], Checked], data: bytes, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        read(data)


def test_an_archive_with_any_byte_damaged_is_refused_in_words_or_read() -> None:
    whole = VENDOR.certificates(SERIALS[0])
    refused = 0
    for at in range(len(whole)):
        damaged = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        try:
            infineon(damaged)
        except RefusedError as error:
            assert "this is no 7-Zip archive" in str(error)  # noqa: PT017  # of many, each its own
            refused += 1
    assert refused > len(whole) * 0.9


def test_a_certificate_of_a_key_that_nobody_knows_is_a_defect_of_its_entry() -> None:
    key, made = VENDOR.element(SERIALS[0])
    strange = with_unknown_key(made)
    told = [
        microchip(json.dumps([VENDOR.signed(VENDOR.payload(SERIALS[0], key, strange))]).encode()),
        infineon(packed({"cd01.der": strange.public_bytes(Encoding.DER)})),
        espressif(f'MAC,cn,cert\n{MACS[0]},sn,"{strange.public_bytes(Encoding.PEM).decode()}"\n'.encode()),
    ]
    rules = [defect.rule for each in told for defect in each.defects]
    assert len(rules) == 3
    for rule in rules:
        assert rule.startswith("its certificate cannot be read (Unknown key type"), rule


def certificate(**changes: Any) -> x509.Certificate:
    subject = name(COMMON_NAME="sn01")
    return VENDOR.certificate(subject, changes.pop("public_key", p256().public_key()), **changes)


def extended(*extensions: tuple[x509.ExtensionType, bool]) -> x509.Certificate:
    return certificate(extensions=extensions)


SERVER_ONLY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
UNHEARD_OF = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
BAD_CERTIFICATES: dict[str, tuple[Callable[[], x509.Certificate], str]] = {
    "a P-521 key": (
        lambda: certificate(public_key=ec.generate_private_key(ec.SECP521R1()).public_key()),
        "its key is none of ecdsa-p256, ecdsa-p384, rsa-2048",
    ),
    "an RSA key of 1024 bits": (lambda: certificate(public_key=rsa_key(1024).public_key()), "its key is none of"),
    "an Ed25519 key": (
        lambda: certificate(public_key=ed25519.Ed25519PrivateKey.generate().public_key()),
        "its key is none of",
    ),
    "a key of Infineon's own flaw (ROCA)": (
        lambda: certificate(public_key=roca_key().public_key()),
        "its key is weak: it has",
    ),
    "not yet valid": (lambda: certificate(begins=timedelta(days=2)), "is valid from"),
    "over": (lambda: certificate(begins=timedelta(days=-9), lasts=timedelta(days=8)), "ended on"),
    "an authority": (
        lambda: extended((x509.BasicConstraints(ca=True, path_length=None), True)),
        "its certificate is an authority's",
    ),
    "no signatures": (
        lambda: extended((usage(signs=False), True)),
        "without digitalSignature",
    ),
    "for servers": (lambda: extended((SERVER_ONLY, False)), "is not for clients"),
    "unheard of": (lambda: extended((UNHEARD_OF, True)), "a critical extension that nobody here knows"),
    "a stranger's": (
        lambda: STRANGER.certificate(name(COMMON_NAME="sn01"), p256().public_key()),
        "whose signature is that of no --authority",
    ),
    "forged": (
        lambda: Vendor().certificate(name(COMMON_NAME="sn01"), p256().public_key()),
        "whose signature is that of no --authority",
    ),
}


@pytest.mark.parametrize("case", BAD_CERTIFICATES)
def test_a_vendors_certificate_is_checked_like_our_own(case: str) -> None:
    make, reason = BAD_CERTIFICATES[case]
    checked = infineon(packed({"cd01.pem": make().public_bytes(Encoding.PEM)}))
    assert [defect.place for defect in checked.defects] == ["cd01.pem"]
    assert reason in checked.defects[0].rule


def test_an_element_whose_key_is_never_to_be_certified_is_not_taken_in() -> None:
    made = certificate()
    digest = hashlib.sha256(spki_of(made)).digest()
    terms = replace(TERMS, refused_keys=RefusedKeys((Fingerprints("reel.txt", digest),)))
    data = packed({"cd01.pem": made.public_bytes(Encoding.PEM), "cd02.pem": certificate().public_bytes(Encoding.PEM)})
    (defect,) = check(read_infineon(data, Slot.E0E0, SerialFrom.FILE_NAME), terms).defects
    assert (defect.place, "stands in reel.txt, the list of keys that are" in defect.rule) == ("cd01.pem", True)


def test_two_elements_never_share_a_device_a_key_or_a_certificate() -> None:
    key = p256().public_key()
    first, second = (certificate(public_key=key).public_bytes(Encoding.PEM) for _ in range(2))
    shared = infineon(packed({"cd01.pem": first, "cd02.pem": second}))
    assert shared.defects == (
        Defect("cd02.pem", "its key is that of cd01.pem already; one element is one device with one key"),
    )
    twice = microchip(VENDOR.manifest(SERIALS[0], SERIALS[0]))
    assert twice.defects[0].rule == "its device is that of entry 1 already; one element is one device with one key"


@pytest.fixture
def line(factory: Factory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Factory:
    """A factory whose stack knows the vendor's authority."""
    subject = VENDOR.signer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    with_authorities(monkeypatch, tmp_path / "stacks", elements=f"key: vendor, common_name: {subject!s}")
    (factory.authorities / "elements.pem").write_bytes(VENDOR.signer.public_bytes(Encoding.PEM))
    (factory.home / "signer.pem").write_bytes(VENDOR.manifest_signer.public_bytes(Encoding.PEM))
    return factory


def imported(line: Factory, data: bytes, kind: str, *more: str | Path, model: str = "fl100") -> Finished:
    file = line.home / "elements"
    file.write_bytes(data)
    return provisioning(
        *("import-elements", file, "--kind", kind, "--stack", "dev", "--model", model, "--authority", "elements"),
        *("--factory", line.folder, "--authorities", line.authorities, "--json"),
        *(("--manifest-signer", line.home / "signer.pem") if kind == "microchip" else ()),
        *more,
    )


FILES: dict[str, tuple[Callable[[], bytes], tuple[str, ...]]] = {
    "microchip": (lambda: VENDOR.manifest(*SERIALS), ("--device-id", "fl100-{serial}")),
    "infineon": (lambda: VENDOR.bundle("cd01", "cd02"), ()),
    "espressif": (lambda: VENDOR.modules(*MACS), ()),
}


@pytest.mark.parametrize("kind", FILES)
def test_elements_are_shown_then_taken_in_once_and_admitted_by_the_registrar(kind: str, line: Factory) -> None:
    make, more = FILES[kind]
    data = make()
    shown = imported(line, data, kind, *more)
    assert shown.code == 0, shown.err
    assert {row["result"] for row in shown.json["elements"]} == {"would be taken in"}
    assert not (line.folder / "ledger.db").exists(), "without --apply nothing is written"
    done = imported(line, data, kind, "--apply", *more)
    assert {row["result"] for row in done.json["elements"]} == {"taken in"}
    again = imported(line, data, kind, "--apply", *more)
    assert {row["result"] for row in again.json["elements"]} == {"taken in before"}
    with Ledger.open(line.folder, "dev") as ledger:
        identities = [identity for page in pending(ledger, "eu-north-1/manifest") for identity in page]
    assert [identity.device for identity in identities] == [row["device"] for row in done.json["elements"]]
    for identity in identities:
        pem = identity.certificate.public_bytes(Encoding.PEM).decode()
        knocking = Registered(
            certificate_id=identity.fingerprint, status="PENDING_ACTIVATION", facts=read_certificate(pem)
        )
        place = Place(model_known=True, thing=None)
        outcome = decide(knocking, identity.entry, place, now=NOW)
        assert isinstance(outcome, Admit), outcome
        assert (outcome.thing_name, outcome.thing_type) == (identity.device, "fl100")
        assert identity.not_after <= VENDOR.signer.not_valid_after_utc, "past its signer's end nobody verifies it"
        late = decide(knocking, identity.entry, place, now=VENDOR.signer.not_valid_after_utc)
        assert isinstance(late, Refuse)
        assert late.reason is Reason.EXPIRED


def test_one_bad_entry_leaves_the_whole_file_out(line: Factory) -> None:
    entries = [VENDOR.entry(SERIALS[0]), by_stranger()]
    refused = imported(line, json.dumps(entries).encode(), "microchip", "--apply")
    assert refused.code == 2
    assert "elements: entry 2: its signature does not hold" in refused.err
    assert "nothing of it was taken in" in refused.err
    assert not (line.folder / "ledger.db").exists()


def test_a_device_that_has_another_key_keeps_it(line: Factory) -> None:
    assert imported(line, VENDOR.manifest(SERIALS[0]), "microchip", "--apply").code == 0
    refused = imported(line, VENDOR.manifest(SERIALS[0]), "microchip", "--apply")
    assert refused.code == 2
    assert f"entry 1: device {SERIALS[0]} has an identity with another key" in refused.err


@pytest.mark.parametrize(
    ("more", "model", "reason"),
    [
        ((), "fl50", "keeps its key in flash, so it has no secure element"),
        ((), "fl99", "stack dev has no model 'fl99'"),
        (("--authority", "line-a"), "fl100", "line-a is no vendor's authority of stack dev, which has elements"),
        (("--device-id", "fl100"), "fl100", "does not hold {serial} once"),
        (("--device-id", "FL_{serial}"), "fl100", "(from --device-id)"),
        (("--manifest-signer", "/nowhere.pem"), "fl100", "holds no certificates in PEM"),
    ],
)
def test_an_order_that_cannot_be_is_refused_in_words(
    more: tuple[str, ...], model: str, reason: str, line: Factory
) -> None:
    refused = imported(line, VENDOR.manifest(SERIALS[0]), "microchip", *more, model=model)
    assert refused.code == 2
    assert reason in refused.err


def test_nobody_issues_with_a_vendors_authority(line: Factory) -> None:
    refused = line.issue("device1", authority="elements")
    assert refused.code == 2
    assert "elements" in refused.err


@pytest.mark.parametrize("kind", FILES)
def test_an_audit_finds_nothing_wrong_with_elements_that_were_taken_in(kind: str, line: Factory) -> None:
    make, more = FILES[kind]
    assert imported(line, make(), kind, "--apply", *more).code == 0
    audited = provisioning(
        *("audit", "--stack", "dev", "--factory", line.folder, "--authorities", line.authorities, "--deep", "--json")
    )
    assert audited.code == 0, audited.out + audited.err
