"""From a builder to signed bytes, in two steps: what is to be signed, and the signature put on exactly that.

The ledger keeps the first result before the second step begins, so a rerun signs the same bytes.
"""

from binascii import b2a_base64
from collections.abc import Callable
from functools import cache

from cryptography import x509

from provisioning.algorithm import Algorithm, PrivateKey
from provisioning.der import bit_string, sequence
from provisioning.errors import StationError
from provisioning.file_signer import FileSigner
from provisioning.signer import Signer

_PEM_LINE = 64


def to_be_signed(builder: x509.CertificateBuilder, algorithm: Algorithm = Algorithm.ECDSA_P256_SHA256) -> bytes:
    """The DER of the TBSCertificate, for a signer of `algorithm`.

    The library gives these bytes only with a signature, so a throw-away key makes one. Nothing of that key is in
    them: a TBSCertificate names the algorithm and the issuer, and those the builder was told.
    """
    return builder.sign(throw_away_key(algorithm), algorithm.facts.hash).tbs_certificate_bytes


def certify(tbs: bytes, signer: Signer) -> x509.Certificate:
    """The certificate of `tbs`, signed as `signed` does it; `StationError` when the signature is not the signer's."""
    return x509.load_der_x509_certificate(signed(tbs, signer))


def signed(tbs: bytes, signer: Signer) -> bytes:
    """`tbs` with its signature in DER, as certificates and revocation lists alike have it (RFC 5280, 4.1 and 5.1).

    A signature from elsewhere, KMS or an HSM, is verified before it is used: a fault there, or on the way, would only
    show at the customer's. A key in this process signs with the library that would verify it, and is trusted; whether
    it is the certificate's key was asked by `IssuingAuthority.ready`.
    """
    return signing(signer)(tbs)


def signing(signer: Signer) -> Callable[[bytes], bytes]:
    """`signed` for many: what is asked of the signer's key is asked once."""
    public_key = signer.public_key()
    algorithm = Algorithm.of(public_key)
    is_trusted = type(signer) is FileSigner

    def sign(tbs: bytes) -> bytes:
        signature = signer.sign(tbs)
        if not is_trusted and not algorithm.is_signature(signature, tbs, public_key):
            raise StationError("the signer gave a signature that its public key does not verify; try again")
        return sequence(tbs, algorithm.identifier, bit_string(signature))

    return sign


def pem_of(der: bytes) -> bytes:
    """A certificate in PEM (RFC 7468): lines of 64 characters."""
    text = b2a_base64(der, newline=False)
    lines = [text[at : at + _PEM_LINE] for at in range(0, len(text), _PEM_LINE)]
    return b"\n".join((b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""))


@cache
def throw_away_key(algorithm: Algorithm) -> PrivateKey:
    """A key that nobody keeps, where the library wants a signature and we want only what would be signed."""
    return algorithm.key_type.generate()
