"""What a certificate request may say, and what happens to one that says more."""

import base64
import random
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import gmpy2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.device_id import DeviceId
from provisioning.algorithm import KeyType, public_key_der
from provisioning.errors import RefusedError
from provisioning.request import MAX_CSR_BYTES, Request, check_key
from provisioning.trust_anchors import amazon_trust_anchors
from tests.provisioning import weak
from tests.provisioning.factory import Factory
from tests.provisioning.requests import csr, name, p256, rsa_key

DEVICE = DeviceId("device1")
OTHER_KEY = p256()


def read(pem: bytes, key_type: KeyType = KeyType.P256) -> Request:
    return Request.from_csr(pem, device=DEVICE, model="fl50", authority="line-a", key_type=key_type)


def flipped(pem: bytes, at: int) -> bytes:
    """The request with one byte of its DER changed."""
    der = bytearray(x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER))
    der[at] ^= 1
    return pem_of_request(bytes(der))


def off_its_curve(pem: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The request with a public key that is no point of its curve: an attack on whoever computes with it."""
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    der = x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER).replace(point, point[:-1] + bytes((point[-1] ^ 1,)))
    return pem_of_request(der)


def pem_of_request(der: bytes) -> bytes:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n".encode()


REFUSED = {
    "nothing": (b"", "no certificate request in PEM"),
    "words": (b"device1, please", "no certificate request in PEM"),
    "a private key": (
        p256().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "no certificate request in PEM",
    ),
    "too much": (b"-" * (MAX_CSR_BYTES + 1), "send the CSR alone"),
    "a broken signature": (flipped(csr(p256()), -1), "no proof that the device has it"),
    "another device's name": (csr(p256(), name(COMMON_NAME="device2")), "the device is 'device1'"),
    "another device's serial": (csr(p256(), name(SERIAL_NUMBER="device2")), "request's serial number is 'device2'"),
    "capitals": (csr(p256(), name(COMMON_NAME="Device1")), "request's common name is 'Device1'"),
    "P-521": (csr(ec.generate_private_key(ec.SECP521R1())), "an EC key on secp521r1, and this model has ecdsa-p256"),
    "secp256k1": (csr(ec.generate_private_key(ec.SECP256K1())), "an EC key on secp256k1"),
    "RSA-1024": (csr(rsa_key(1024)), "an RSA key of 1024 bits"),
    "RSA for a model with P-256": (csr(rsa_key(2048)), "an RSA key of 2048 bits, and this model has ecdsa-p256"),
    "P-384 for a model with P-256": (csr(KeyType.P384.generate()), "an EC key on secp384r1, and this model has"),
    "a point off its curve": (off_its_curve(csr(OTHER_KEY), OTHER_KEY), "no certificate request in PEM"),
    "one octet too many": (
        pem_of_request(x509.load_pem_x509_csr(csr(OTHER_KEY)).public_bytes(Encoding.DER) + b"\x00"),
        "no certificate request in PEM",
    ),
    "a certificate": (amazon_trust_anchors(), "no certificate request in PEM"),
    "the key of a counter": (csr(weak.ec_key(1)), "the request's key is weak: it has a private key that a broken"),
    "the key of a stuck generator": (
        csr(weak.ec_key(int.from_bytes(b"\x55" * 32))),
        "(a small number, or one octet over and over); put the board aside",
    ),
    "DSA": (csr(dsa.generate_private_key(2048)), "the request's key is DSAPublicKey"),
    "Ed25519": (csr(ed25519.Ed25519PrivateKey.generate(), algorithm=None), "the request's key is Ed25519PublicKey"),
    "a weak hash": (csr(p256(), algorithm=hashes.SHA224()), "not signed with SHA-256"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_that_breaks_a_rule_is_refused_by_name(case: str) -> None:
    pem, reason = REFUSED[case]
    with pytest.raises(RefusedError) as refused:
        read(pem)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (weak.roca_key, "the ROCA vulnerability of a family of secure elements"),
        (weak.close_primes_key, "two primes so close that Fermat's method finds them"),
        (weak.small_factor_key, "a small prime factor"),
    ],
)
def test_an_rsa_key_that_an_attack_is_known_for_is_refused(make: Callable[[], RSAPrivateKey], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        read(csr(make()), KeyType.RSA_2048)


SOLID = int.from_bytes(random.Random(2).randbytes(256)) | 1 << 2047  # noqa: S311  # the same number every time
STUCK = SOLID & ~((1 << 512) - (1 << 64)) | int.from_bytes(b"\xa7" * 56) << 64
GAPS = (1 << 2047) | sum(1 << place for place in range(64, 2000, 128))
ONES = (1 << 2048) - (1 << 1100) + 1


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (STUCK, "an octet that repeats itself"),
        (GAPS, "long runs of zeros"),
        (ONES, "(an octet that repeats itself|far too many ones or zeros)"),
    ],
)
def test_a_modulus_that_chance_does_not_give_is_refused(number: int, reason: str) -> None:
    assert check_key(weak.modulus(SOLID), KeyType.RSA_2048), "the same with bits of chance is taken"
    with pytest.raises(RefusedError, match=reason):
        check_key(weak.modulus(number), KeyType.RSA_2048)


def test_a_prime_that_others_have_too_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    public = rsa_key(2048)
    monkeypatch.setitem(badkeys_primes(), 2048, gmpy2.mpz(public.private_numbers().p))
    with pytest.raises(RefusedError, match="a prime that a weak generator gave to others too"):
        check_key(public.public_key(), KeyType.RSA_2048)


def badkeys_primes() -> dict[int, gmpy2.mpz]:
    """What badkeys knows of primes that many keys share, by the size of the key."""
    known = import_module("badkeys.rsakeys.sharedprimes")._moduli
    assert isinstance(known, dict)
    return known


@pytest.mark.parametrize(
    ("number", "curve", "source"),
    [
        (0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, ec.SECP256R1(), "RFC 6979, A.2.5"),
        (0xE6CB5BDD80AA45AE9C95E8C15476679FFEC953C16851E711E743939589C64FC1, ec.SECP256R1(), "RFC 9500, 2.3"),
    ],
)
def test_a_key_that_a_standard_prints_is_refused(number: int, curve: ec.EllipticCurve, source: str) -> None:
    with pytest.raises(RefusedError, match=f"a private key that everybody can read, in {source}"):
        read(csr(weak.ec_key(number, curve)))


@pytest.mark.judge
def test_a_curve_that_is_spelt_out_is_refused_whatever_it_spells(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    curve = ["openssl", "ecparam", "-name", "prime256v1", "-param_enc", "explicit", "-genkey", "-noout"]
    subprocess.run([*curve, "-out", str(key)], check=True, capture_output=True)
    asked = ["openssl", "req", "-new", "-key", str(key), "-subj", "/CN=device1"]
    pem = subprocess.run(asked, check=True, capture_output=True).stdout
    with pytest.raises(RefusedError, match="key is spelt out, not given by the name of its curve"):
        read(pem)


def test_an_rsa_key_whose_exponent_is_not_the_usual_one_is_refused() -> None:
    assert read(csr(rsa_key(2048)), KeyType.RSA_2048).spki
    with pytest.raises(RefusedError, match="has exponent 3, accepted is 65537"):
        read(csr(rsa_key(2048, 3)), KeyType.RSA_2048)


def test_two_common_names_of_which_one_is_right_are_refused() -> None:
    oid = NameOID.COMMON_NAME
    both = x509.Name([x509.NameAttribute(oid, "device1"), x509.NameAttribute(oid, "device2")])
    with pytest.raises(RefusedError, match="'device2'"):
        read(csr(p256(), both))


def test_a_request_needs_no_subject() -> None:
    key = p256()
    assert read(csr(key)).spki == public_key_der(key.public_key())


@given(st.integers(min_value=0, max_value=2000), st.integers(min_value=0, max_value=7))
@example(0, 0)
def test_a_request_with_one_bit_changed_is_never_taken_for_another_key(position: int, bit: int) -> None:
    der = bytearray(x509.load_pem_x509_csr(SAMPLE).public_bytes(Encoding.DER))
    der[position % len(der)] ^= 1 << bit
    try:
        taken = read(pem_of_request(bytes(der)))
    except RefusedError:
        return
    # One bit is neither signed nor part of a number: that a signature which ends in 0 has its last bit unused.
    assert taken.spki == public_key_der(SAMPLE_KEY.public_key())


def test_a_request_signed_with_another_key_than_it_names_is_refused() -> None:
    der = x509.load_pem_x509_csr(SAMPLE).public_bytes(Encoding.DER)
    other = x509.load_pem_x509_csr(csr(p256(), name(COMMON_NAME="device1")))
    point = Encoding.X962, PublicFormat.UncompressedPoint
    forged = der.replace(SAMPLE_KEY.public_key().public_bytes(*point), p256().public_key().public_bytes(*point))
    assert forged != der
    for wrong in (forged, der.replace(x509.load_der_x509_csr(der).signature, other.signature)):
        with pytest.raises(RefusedError):
            read(pem_of_request(wrong))


SAMPLE_KEY = p256()
SAMPLE = csr(SAMPLE_KEY, name(COMMON_NAME="device1"))


def test_what_a_request_asks_beyond_its_key_never_reaches_the_certificate(factory: Factory) -> None:
    greedy = (
        x509.BasicConstraints(ca=True, path_length=5),
        x509.SubjectAlternativeName([x509.DNSName("eu1.clusters.iot.example.com")]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    )
    request = factory.home / "device.csr.pem"
    request.write_bytes(csr(p256(), name(COMMON_NAME="device1", ORGANIZATION_NAME="Somebody Else"), greedy))
    assert factory.issue("device1", "--csr", request).code == 0
    certificate, _ = factory.chain("device1")
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert certificate.subject.rfc4514_string() == "2.5.4.5=device1,CN=device1"
