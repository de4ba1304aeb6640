"""A public key that is taken from where it is encoded already is what the library would encode."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from provisioning.algorithm import KeyType, PrivateKey, public_key_der
from provisioning.request import check_key
from provisioning.spelling import public_half, spelt_as_ours

CURVES = {KeyType.P256: ec.SECP256R1(), KeyType.P384: ec.SECP384R1()}
SMALLEST_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256."""
EC_TYPES = st.sampled_from(list(CURVES))


def pkcs8(key: PrivateKey, how: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, how or NoEncryption())


@given(key_type=EC_TYPES, number=st.one_of(st.integers(1, 1 << 16), st.integers(1, SMALLEST_ORDER - 1)))
def test_the_public_half_in_a_private_key_is_that_keys_own(key_type: KeyType, number: int) -> None:
    """Small numbers and points too: DER of a private key has them in full length."""
    key = ec.derive_private_key(number, CURVES[key_type])
    assert public_half(pkcs8(key), key_type) == public_key_der(key.public_key())


@given(key_type=EC_TYPES, cut=st.integers(1, 200), more=st.binary(min_size=1, max_size=3))
def test_what_is_no_such_private_key_shows_none(key_type: KeyType, cut: int, more: bytes) -> None:
    private = pkcs8(key_type.generate())
    assert public_half(private[:-cut], key_type) is None
    assert public_half(private + more, key_type) is None
    assert public_half(private, KeyType.RSA_2048) is None
    assert public_half(private, next(other for other in CURVES if other is not key_type)) is None


@pytest.mark.parametrize("key_type", list(KeyType))
def test_an_encrypted_key_shows_none(key_type: KeyType) -> None:
    assert public_half(pkcs8(key_type.generate(), BestAvailableEncryption(b"secret")), key_type) is None


@pytest.mark.parametrize("key_type", list(CURVES))
def test_only_our_spelling_is_taken_for_ours(key_type: KeyType) -> None:
    key = key_type.generate().public_key()
    spki = public_key_der(key)
    compressed = spki.replace(b"\x00\x04", b"\x00\x02")
    assert spelt_as_ours(spki, key_type) == spki
    for other in (
        b"",
        spki[:-1],
        spki + b"\x00",
        compressed,
    ):
        assert spelt_as_ours(other, key_type) is None
        assert check_key(key, key_type, encoded=other) == spki, "what is spelt otherwise is encoded by us"
    assert check_key(key, key_type, encoded=None) == spki
    assert spelt_as_ours(spki, KeyType.RSA_2048) is None
