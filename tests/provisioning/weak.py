"""Keys that attacks are known for, made as the devices that had them made them."""

import math
import random

import gmpy2
from cryptography.hazmat.primitives.asymmetric import ec, rsa

EXPONENT = 65537
CHANCE = random.Random(20261125)  # noqa: S311  # the same weak keys every time
ROCA_PRIMES = 126
"""Nemec et al., "The Return of Coppersmith's Attack" (2017), table 1: for keys of 2,048 bits."""


def private_key(p: int, q: int) -> rsa.RSAPrivateKey:
    d = pow(EXPONENT, -1, math.lcm(p - 1, q - 1))
    public = rsa.RSAPublicNumbers(EXPONENT, p * q)
    numbers = rsa.RSAPrivateNumbers(
        p=p, q=q, d=d, dmp1=d % (p - 1), dmq1=d % (q - 1), iqmp=pow(q, -1, p), public_numbers=public
    )
    return numbers.private_key()


def roca_key() -> rsa.RSAPrivateKey:
    """Both primes are k·M + (65537^a mod M), M the product of the first primes."""
    product, prime = 1, 1
    for _ in range(ROCA_PRIMES):
        prime = int(gmpy2.next_prime(prime))
        product *= prime
    return private_key(_roca_prime(product), _roca_prime(product))


def _roca_prime(product: int) -> int:
    low, high = 0xC0 << 1016, 1 << 1024
    while True:
        residue = pow(EXPONENT, CHANCE.randrange(product), product)
        candidate = CHANCE.randrange(low // product + 1, high // product) * product + residue
        if gmpy2.is_prime(candidate):
            return candidate


def close_primes_key() -> rsa.RSAPrivateKey:
    """The second prime is the next one after the first."""
    p = int(gmpy2.next_prime(CHANCE.getrandbits(1024) | 0xC0 << 1016))
    return private_key(int(gmpy2.next_prime(p)), p)


def small_factor_key() -> rsa.RSAPrivateKey:
    """One prime of 16 bits."""
    q = int(gmpy2.next_prime(CHANCE.getrandbits(2033) | 0b11 << 2031))
    while (q * 65521).bit_length() != 2048:
        q = int(gmpy2.next_prime(CHANCE.getrandbits(2033)))
    return private_key(q, 65521)


def ec_key(number: int, curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """The key of a generator that gave `number` in place of chance."""
    return ec.derive_private_key(number, curve or ec.SECP256R1())


def modulus(bits: int) -> rsa.RSAPublicKey:
    """A public key whose modulus is the next number after `bits` without a small factor; it has no private half."""
    number = bits | 1
    while gmpy2.gcd(number, gmpy2.primorial(65537)) != 1:
        number += 2
    return rsa.RSAPublicNumbers(EXPONENT, number).public_key()
