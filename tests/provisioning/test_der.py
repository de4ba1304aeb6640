"""What we write in DER is what the library writes."""

import pytest
from cryptography.hazmat import asn1
from hypothesis import given
from hypothesis import strategies as st

from provisioning.der import OCTET_STRING, bit_string, element, positive_integer


@pytest.mark.parametrize("length", [0, 1, 127, 128, 129, 255, 256, 65535, 65536])
def test_a_length_has_its_shortest_form(length: int) -> None:
    octets = bytes(length)
    assert element(OCTET_STRING, octets) == asn1.encode_der(octets)
    assert bit_string(octets) == asn1.encode_der(asn1.BitString(octets, 0))


@given(st.integers(1, 2**159))
def test_a_number_has_its_fewest_octets_and_is_positive(number: int) -> None:
    assert positive_integer(number) == asn1.encode_der(number)
