"""From a builder to signed bytes, in two steps: what is to be signed, and the signature put on exactly that.

The ledger keeps the first result before the second step begins, so a rerun signs the same bytes.
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import SignatureAlgorithmOID

from provisioning.errors import StationError
from provisioning.signer import Signer


@asn1.sequence
class _AlgorithmIdentifier:
    """RFC 5758, section 3.2: ECDSA with SHA-256 has no parameters."""

    algorithm: x509.ObjectIdentifier


@asn1.sequence
class _Certificate:
    """RFC 5280, section 4.1."""

    tbs_certificate: asn1.TLV
    signature_algorithm: _AlgorithmIdentifier
    signature_value: asn1.BitString


def to_be_signed(builder: x509.CertificateBuilder) -> bytes:
    """The DER of the TBSCertificate, for a P-256 signer.

    The library gives these bytes only with a signature, so a throw-away key makes one. Nothing of that key is in
    them: a TBSCertificate names the algorithm and the issuer, and those the builder was told.
    """
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).tbs_certificate_bytes


def certify(tbs: bytes, signer: Signer) -> x509.Certificate:
    """The certificate of `tbs`, signed and verified; `StationError` when the signature is not the signer's."""
    signature = signer.sign(tbs)
    try:
        signer.public_key().verify(signature, tbs, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise StationError("the signer gave a signature that its public key does not verify; try again") from error
    der = asn1.encode_der(
        _Certificate(
            tbs_certificate=asn1.decode_der(asn1.TLV, tbs),
            signature_algorithm=_AlgorithmIdentifier(algorithm=SignatureAlgorithmOID.ECDSA_WITH_SHA256),
            signature_value=asn1.BitString(signature, 0),
        )
    )
    return x509.load_der_x509_certificate(der)
