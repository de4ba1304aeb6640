from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device.enrolment import REQUEST_FILE, EnrolmentError, make_request
from protocol.bundle import KEY_FILE
from protocol.device_id import parse_device_id

DEVICE = parse_device_id("device1")


def read_request(path: Path) -> x509.CertificateSigningRequest:
    return x509.load_pem_x509_csr(path.read_bytes())


def test_a_request_proves_possession_of_a_p256_key_and_names_the_device(tmp_path: Path) -> None:
    request = read_request(make_request(DEVICE, tmp_path))
    assert request.is_signature_valid
    public = request.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.curve.name == "secp256r1"
    assert [name.value for name in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["device1"]


def test_the_key_is_readable_by_its_owner_only_and_kept_by_a_second_request(tmp_path: Path) -> None:
    first = read_request(make_request(DEVICE, tmp_path)).public_key()
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert read_request(make_request(DEVICE, tmp_path)).public_key() == first, "a device has one key for life"


def test_a_second_device_is_given_no_request_for_the_key_of_the_first(tmp_path: Path) -> None:
    whole = make_request(DEVICE, tmp_path).read_bytes()
    with pytest.raises(EnrolmentError, match=r"is the request of device device1, .* give device device2 a folder of"):
        make_request(parse_device_id("device2"), tmp_path)
    assert (tmp_path / REQUEST_FILE).read_bytes() == whole
    (tmp_path / REQUEST_FILE).write_bytes(b"half of a request")
    assert read_request(make_request(DEVICE, tmp_path)).is_signature_valid, "and what is no request is made anew"


def test_a_half_written_key_of_a_power_cut_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / f"{KEY_FILE}.partial").write_bytes(b"-----BEGIN")
    assert read_request(make_request(DEVICE, tmp_path)).is_signature_valid


def test_a_file_that_is_no_key_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("not a key")
    with pytest.raises(EnrolmentError, match=r"device\.key\.pem: is not a private key .* move it away"):
        make_request(DEVICE, tmp_path)
    assert (tmp_path / KEY_FILE).read_text() == "not a key"
