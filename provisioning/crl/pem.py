"""A list in PEM (RFC 7468), made a piece at a time: the library would parse all of it first, and keep a second copy."""

import base64

LINE_BYTES = 48
"""Of the list, in each line of 64 characters."""
PIECE_BYTES = LINE_BYTES * 4096


def as_pem(der: bytes) -> bytes:
    """The list between its two lines; the library's own text."""
    text = bytearray(b"-----BEGIN X509 CRL-----\n")
    view = memoryview(der)
    for begin in range(0, len(der), PIECE_BYTES):
        encoded = base64.b64encode(view[begin : begin + PIECE_BYTES])
        for line in range(0, len(encoded), 64):
            text += encoded[line : line + 64] + b"\n"
    text += b"-----END X509 CRL-----\n"
    return bytes(text)
