"""Public keys whose private half others can find: of broken generators, of known attacks.

A line sees what a bad batch of chips sends: the same few keys, or keys with a pattern. RSA is judged by `badkeys`,
which collects the published attacks; of an elliptic curve we know the points of numbers that a failing generator gives.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache

from badkeys.rsakeys import fermat, pattern, roca, rsabias, rsapoly, sharedprimes, smalld, smallfactors
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from provisioning.algorithm import PublicKey, public_key_der

SMALL_SCALARS = 256
"""Private numbers from 1 up: a counter, or an almost empty buffer, in place of chance."""

_ATTACKS: Mapping[str, Callable[[int, int], object]] = {
    "the ROCA vulnerability of a family of secure elements (CVE-2017-15361)": roca,
    "two primes so close that Fermat's method finds them": fermat,
    "a small prime factor": smallfactors,
    "a prime that a weak generator gave to others too": sharedprimes,
    "a private exponent so small that Wiener's attack finds it": smalld,
    "long runs of zeros, by which it can be factored": rsapoly,
    "an octet that repeats itself": pattern,
    "far too many ones or zeros": rsabias,
}


PUBLISHED: Mapping[str, str] = {
    "8fb6bad671cfe698393c453357da61b56d757ab8c0f3fb9c87f2849e63131878": "RFC 9500, 2.1",
    "b2b04340cfaee616ec9c2c62d261b208e54bb197498df52e8cadede23ac0ba5e": "RFC 9500, 2.3",
    "c4c10105a0be0ed4dd3354428dc38a9bfee64da141ce16e75c94eda272f9dd3a": "RFC 9500, 2.3",
    "5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4": "RFC 6979, A.2.5",
    "2f95601fa82060b909bfc6b979dbd303d34d34e0afb27ea496beac362f242a4b": "RFC 6979, A.2.6",
    "2bd1bb0c44a897c30a7aa0991cde38d8062fe441de50da0f46825344f602e827": "RFC 7515, A.3",
    "51b944cdfa544d4c3273aa6bf350625a7dd53bbb6a71723274f538b19a207760": "RFC 7517, A.2",
}
"""Examples that every library's tests carry, and that products were shipped with: SHA-256 of the key to its source."""


def weakness(key: PublicKey, spki: bytes) -> str | None:
    """Why the key is known to be weak; None for all others. `spki`: the key in DER."""
    if (source := PUBLISHED.get(hashlib.sha256(spki).hexdigest())) is not None:
        return f"a private key that everybody can read, in {source}"
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return next((name for name, attack in _ATTACKS.items() if attack(numbers.n, numbers.e)), None)
    if spki in _points_of_broken_generators(key.curve.name):
        return "a private key that a broken random generator gives (a small number, or one octet over and over)"
    return None


@cache
def _points_of_broken_generators(curve_name: str) -> frozenset[bytes]:
    curve = _CURVES[curve_name]
    size = (curve.key_size + 7) // 8
    small = set(range(1, SMALL_SCALARS + 1))
    # An order begins with FF on both curves, so a scalar of FFs alone is none.
    repeated = {int.from_bytes(bytes((octet,)) * size) for octet in range(1, 0xFF)}
    keys = (ec.derive_private_key(number, curve).public_key() for number in small | repeated)
    return frozenset(public_key_der(key) for key in keys)


_CURVES: Mapping[str, ec.EllipticCurve] = {curve.name: curve for curve in (ec.SECP256R1(), ec.SECP384R1())}
