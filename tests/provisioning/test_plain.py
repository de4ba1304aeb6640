"""What is recognised by its octets is what the library would have read."""

from contextlib import nullcontext

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from provisioning.algorithm import KeyType
from provisioning.audit.plain import is_plainly_of
from provisioning.errors import RefusedError
from provisioning.outline import outline_of_request
from provisioning.request import Request
from provisioning.subject import common_name_of, subject_of
from tests.provisioning.ledgers import DEVICE, ask, intend
from tests.provisioning.requests import p256

KEY = p256()
REQUEST = ask()
INTENT = intend(REQUEST)
TBS, KEY_HASH = INTENT.to_be_signed, bytes.fromhex(INTENT.key_hash)


def test_what_we_prepared_is_plainly_of_its_device_and_key() -> None:
    assert is_plainly_of(TBS, DEVICE, KEY_HASH)


@pytest.mark.parametrize("device", ["device2", "device", "devicé1", ""])
def test_it_is_of_no_other_device(device: str) -> None:
    assert not is_plainly_of(TBS, device, KEY_HASH)


def test_it_is_of_no_other_key() -> None:
    assert not is_plainly_of(TBS, DEVICE, bytes.fromhex(ask().key_hash))


@pytest.mark.parametrize("other", [b"", b"no DER", TBS[:-1], TBS + b"\x05\x00"])
def test_what_is_no_whole_certificate_is_plainly_nobodys(other: bytes) -> None:
    assert not is_plainly_of(other, DEVICE, KEY_HASH)


@given(st.integers(TBS.index(subject_of(DEVICE)), TBS.index(REQUEST.spki) + len(REQUEST.spki) - 1), st.integers(0, 7))
def test_a_subject_or_a_key_with_one_other_bit_is_not_recognised(at: int, bit: int) -> None:
    """The key stands behind the subject."""
    changed = TBS[:at] + bytes((TBS[at] ^ (1 << bit),)) + TBS[at + 1 :]
    assert not is_plainly_of(changed, DEVICE, KEY_HASH)


def requested(*attributes: x509.NameAttribute[str]) -> x509.CertificateSigningRequest:
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes)).sign(KEY, hashes.SHA256())


def common_name(text: str, kind: _ASN1Type | None = None) -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.COMMON_NAME, text, kind)


@pytest.mark.parametrize(
    ("subject", "is_plain", "is_accepted"),
    [
        ([common_name("device1")], True, True),
        ([common_name("device2")], False, False),
        ([common_name("device1", _ASN1Type.PrintableString)], False, True),
        ([common_name("device1"), x509.NameAttribute(NameOID.SERIAL_NUMBER, "device1")], False, True),
        ([common_name("device1"), x509.NameAttribute(NameOID.SERIAL_NUMBER, "device2")], False, False),
        ([common_name("device1"), common_name("device2")], False, False),
        ([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "device1")], False, True),
        ([], False, True),
    ],
)
def test_a_request_is_accepted_as_its_name_is_read_whether_its_octets_are_known_or_not(
    subject: list[x509.NameAttribute[str]], is_plain: bool, is_accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = requested(*subject)
    outline = outline_of_request(request.tbs_certrequest_bytes)
    assert outline is not None
    assert (outline.subject == common_name_of(DEVICE)) == is_plain
    for read in (outline_of_request, lambda _signed: None):
        monkeypatch.setattr("provisioning.request.outline_of_request", read)
        with nullcontext() if is_accepted else pytest.raises(RefusedError, match="is 'device2', the device is"):
            Request.check_form(request.public_bytes(Encoding.PEM), device=DEVICE, key_type=KeyType.P256)


@pytest.mark.parametrize("other", [b"", b"no DER", TBS])
def test_what_is_no_request_has_no_outline(other: bytes) -> None:
    assert outline_of_request(other) is None
