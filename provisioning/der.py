"""The few pieces of DER (X.690) that a certificate is put together from.

Writing only: what others wrote, a library reads.
"""

SEQUENCE = 0x30
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
BOOLEAN_TRUE = bytes.fromhex("0101ff")


def element(tag: int, content: bytes) -> bytes:
    """A value with its tag and its length, in the shortest form (X.690, section 10.1)."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + content


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE of elements."""
    return element(SEQUENCE, b"".join(parts))


def positive_integer(number: int) -> bytes:
    """An INTEGER greater than zero: the fewest octets whose first bit is 0 (X.690, section 8.3)."""
    return element(INTEGER, number.to_bytes(number.bit_length() // 8 + 1))


def bit_string(octets: bytes) -> bytes:
    """A BIT STRING of whole octets."""
    return element(BIT_STRING, b"\x00" + octets)
