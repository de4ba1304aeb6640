"""TLS for thousands of devices in one process: OpenSSL between two buffers, and what a fleet shares shared.

By pyOpenSSL, because there one context with its trust anchors serves a whole fleet, and each connection has a key of
its own. A key and its certificate are parsed once, as firmware does, and again when their files are others.
"""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from OpenSSL import SSL, crypto

from device.link import ConnectionFailedError, Credentials

READ_BYTES = 64 * 1024
RELEASE_BUFFERS = 0x10
"""OpenSSL's SSL_MODE_RELEASE_BUFFERS: an idle connection keeps no record buffers, 34 KiB of them."""
NO_AUTO_CHAIN = 0x08
"""Its SSL_MODE_NO_AUTO_CHAIN: a device sends the chain that it was given. Else each connect looks for issuers among the
trust anchors, verifies them, and sends those as well."""
KEY_EXCHANGE = ec.SECP256R1()
"""What every server of TLS 1.3 has (RFC 8446, section 9.1), and the hardware of devices too. OpenSSL's own choice makes
an ML-KEM key for each connect, and sends 1.2 kB of it."""
CIPHERS = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
"""In the order of AWS's client; OpenSSL's own begins with the dearest."""
CONTEXTS = 64
"""How many different trust anchors, issuers and servers are remembered; a fleet has a few."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a device is, parsed."""

    stamp: tuple[int, ...]
    """What the file system says of the files that were read."""
    context: SSL.Context
    certificate: crypto.X509
    key: crypto.PKey

    @classmethod
    def read(cls, files: Credentials, stamp: tuple[int, ...]) -> Self:
        """From its files; `OSError`, or `ValueError` for what is none."""
        chain = x509.load_pem_x509_certificates(files.chain.read_bytes())
        issuers = tuple(issuer.public_bytes(Encoding.PEM) for issuer in chain[1:])
        context = _context(files.trust_anchors.read_bytes(), issuers)
        key = load_pem_private_key(files.key.read_bytes(), None)
        return cls(
            stamp,
            context,
            crypto.X509.from_cryptography(chain[0]),
            crypto.PKey.from_cryptography_key(key),  # type: ignore[arg-type]  # a P-256 or RSA key
        )


class Identities:
    """Those of a fleet, by their files."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Path, Identity] = {}

    def of(self, files: Credentials) -> Identity:
        """As the files are now."""
        stamp = tuple(part for path in (files.chain, files.key, files.trust_anchors) for part in _stamp(path))
        known = self._known.get(files.chain)
        if known is None or known.stamp != stamp:
            known = self._known[files.chain] = Identity.read(files, stamp)
        return known


class LeanTls:
    """One connection's TLS; whoever has the socket carries the bytes in and out."""

    __slots__ = ("_server_name", "_ssl")

    def __init__(self, identity: Identity, server_name: str) -> None:
        self._server_name = server_name
        self._ssl = ssl = SSL.Connection(identity.context, None)
        ssl.set_tlsext_host_name(server_name.encode("ascii"))
        with warnings.catch_warnings():
            # It would rather have what `cryptography` parsed, to encode and parse that again for each connection.
            warnings.simplefilter("ignore", DeprecationWarning)
            ssl.use_certificate(identity.certificate)
            ssl.use_privatekey(identity.key)
        ssl.set_connect_state()

    def take(self, data: bytes) -> None:
        """What came from the server."""
        if data:
            self._ssl.bio_write(data)

    def is_ready(self) -> bool:
        """Go on with the handshake; whether it is done. `SSL.Error`, `ConnectionFailedError` when it must not be."""
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            return False
        _check_name(self._ssl.get_peer_certificate(as_cryptography=True), self._server_name)
        return True

    def encrypt(self, data: bytes) -> None:
        """For the server, once the handshake is done."""
        self._ssl.send(data)

    def decrypted(self) -> bytes:
        """What the server said, a record of it; nothing when there is none now. `SSL.Error`."""
        try:
            return self._ssl.recv(READ_BYTES)
        except SSL.WantReadError:
            return b""

    def outgoing(self) -> bytes:
        """All that must go to the server now."""
        pieces: list[bytes] = []
        try:
            while not pieces or len(pieces[-1]) == READ_BYTES:
                pieces.append(self._ssl.bio_read(READ_BYTES))
        except SSL.WantReadError:
            pass  # it was a whole number of pieces, or nothing
        return b"".join(pieces)


def failure_text(error: SSL.Error) -> str:
    """For people. OpenSSL's errors are lists of library, function and reason."""
    if isinstance(error, SSL.ZeroReturnError):
        return "the broker closed the connection"
    if error.args and isinstance(error.args[0], list):
        return "TLS failed: " + "; ".join(str(entry[-1]) for entry in error.args[0])
    return f"TLS failed: {error}"


def _stamp(path: Path) -> tuple[int, int, int]:
    told = path.stat()
    return told.st_ino, told.st_size, told.st_mtime_ns


@lru_cache(CONTEXTS)
def _context(anchors: bytes, issuers: tuple[bytes, ...]) -> SSL.Context:
    """What all devices with these trust anchors and issuers share."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_verify(SSL.VERIFY_PEER)
    context.set_mode(RELEASE_BUFFERS | NO_AUTO_CHAIN)
    context.set_tmp_ecdh(KEY_EXCHANGE)
    context.set_tls13_ciphersuites(CIPHERS)
    store = context.get_cert_store()
    assert store is not None  # noqa: S101 - a context has one from the beginning; for the type checker
    for anchor in x509.load_pem_x509_certificates(anchors):
        store.add_cert(crypto.X509.from_cryptography(anchor))
    for issuer in issuers:
        context.add_extra_chain_cert(x509.load_pem_x509_certificate(issuer))
    return context


def _check_name(certificate: x509.Certificate | None, server_name: str) -> None:
    """RFC 6125: one of the certificate's names is the server's; a wildcard stands for one label."""
    names = _names(certificate) if certificate is not None else ()
    wanted = server_name.lower()
    if wanted not in names and f"*.{wanted.partition('.')[2]}" not in names:
        raise ConnectionFailedError(f"{server_name}: its certificate is for {', '.join(names) or 'nobody'}")


@lru_cache(CONTEXTS)
def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))
