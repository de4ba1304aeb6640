"""A public key in DER, taken from where it is encoded already: a request, or the private key that was just written.

Encoding it once more is a twentieth of the work of an identity. Only what is spelt exactly as `public_key_der` spells
it is taken; tests hold that over many keys.
"""

from dataclasses import dataclass

from provisioning.algorithm import KeyType


@dataclass(frozen=True, kw_only=True)
class _Spelling:
    """Of one curve."""

    public: bytes
    """A SubjectPublicKeyInfo up to its point: the curve by its name, and 04 for a point without compression (RFC 5480,
    section 2)."""
    private: bytes
    """PKCS#8 without encryption up to the private number (RFC 5958, RFC 5915)."""
    between: bytes
    """Between the private number and the point."""
    number_octets: int


_SPELLINGS = {
    KeyType.P256: _Spelling(
        public=bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"),
        private=bytes.fromhex("308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420"),
        between=bytes.fromhex("a14403420004"),
        number_octets=32,
    ),
    KeyType.P384: _Spelling(
        public=bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004"),
        private=bytes.fromhex("3081b6020100301006072a8648ce3d020106052b8104002204819e30819b0201010430"),
        between=bytes.fromhex("a16403620004"),
        number_octets=48,
    ),
}


def spelt_as_ours(encoded: bytes | None, key_type: KeyType) -> bytes | None:
    """`encoded`, from which a key of that type was read, if `public_key_der` gives the same; None says nothing."""
    spelling = _SPELLINGS.get(key_type)
    if encoded is None or spelling is None or not encoded.startswith(spelling.public):
        return None
    return encoded if len(encoded) == len(spelling.public) + 2 * spelling.number_octets else None


def public_half(private: bytes, key_type: KeyType) -> bytes | None:
    """What `public_key_der` gives of a private key of that type in PKCS#8; None where it is not seen in there."""
    spelling = _SPELLINGS.get(key_type)
    if spelling is None or not private.startswith(spelling.private):
        return None
    after_number = private[len(spelling.private) + spelling.number_octets :]
    point = after_number.removeprefix(spelling.between)
    is_whole = len(point) == 2 * spelling.number_octets and len(after_number) > len(point)
    return spelling.public + point if is_whole else None
