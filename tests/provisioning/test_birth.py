"""The fast way to a birth certificate gives the bytes of the slow one, over names, keys, dates and serial numbers."""

import pickle
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol.device_id import DeviceId
from provisioning.algorithm import Algorithm, KeyType, public_key_der
from provisioning.alternative_name import AlternativeName, HardwareModule, HostName
from provisioning.birth import BirthTemplate
from provisioning.certify import certify, pem_of, signed, to_be_signed
from provisioning.file_signer import FileSigner
from provisioning.profile import Validity, authority_name, device_builder, root_builder

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
LONG = Validity(not_before=datetime(1950, 1, 1, tzinfo=UTC), not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))


def issuer(algorithm: Algorithm, common_name: str, organization: str) -> tuple[FileSigner, x509.Certificate]:
    signer = FileSigner(algorithm.key_type.generate())
    builder = root_builder(
        name=authority_name(common_name, organization), public_key=signer.public_key(), validity=LONG, serial=2**90
    )
    return signer, certify(to_be_signed(builder, algorithm), signer)


ISSUERS = {
    algorithm: issuer(algorithm, common_name, organization)
    for algorithm, common_name, organization in (
        (Algorithm.ECDSA_P256_SHA256, "Flotilla Line A Issuing CA", "Flotilla"),
        (Algorithm.ECDSA_P384_SHA384, "Werk Tübingen №4", "Ångström & Söhne GmbH"),
        (Algorithm.RSA_2048_SHA256, "x" * 64, "y" * 64),
    )
}
KEYS = {key_type: [key_type.generate().public_key() for _ in range(3)] for key_type in KeyType}

DEVICES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
FIRST, LAST = -631152000, 253402300799
"""1950-01-01 and the last second of 9999, in seconds since 1970."""
MOMENTS = st.integers(FIRST, LAST).map(lambda seconds: datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds))
SERIALS = st.one_of(
    st.integers(1, 2**159 - 1),
    st.integers(0, 158).flatmap(lambda bits: st.sampled_from((2**bits, 2 ** (bits + 1) - 1))),
)
DOMAINS = st.sampled_from(("a.io", "iot.example.com", ".".join(("x" * 44,) * 4)))
ARCS = st.lists(st.integers(0, 10**9 - 1), min_size=1, max_size=10)
NAMES = st.one_of(
    st.none(),
    DOMAINS.map(HostName),
    ARCS.map(lambda arcs: HardwareModule(".".join(("1.3.6.1.4.1", *map(str, arcs))))),
)
BORDER = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The last second that a UTCTime can say."""


PLAIN = {
    "algorithm": Algorithm.ECDSA_P256_SHA256,
    "key_type": KeyType.P256,
    "which": 0,
    "device": "d",
    "name": None,
}


@settings(max_examples=400)
@given(
    algorithm=st.sampled_from(Algorithm),
    key_type=st.sampled_from(KeyType),
    which=st.integers(0, 2),
    device=DEVICES,
    dates=st.tuples(MOMENTS, MOMENTS).map(sorted),
    serial=SERIALS,
    name=NAMES,
)
@example(**PLAIN | {"dates": [BORDER, BORDER + timedelta(seconds=1)], "serial": 127})
@example(**PLAIN | {"device": "d" * 63, "dates": [BORDER, BORDER], "serial": 128, "name": HostName("x" * 44 + ".io")})
@example(**PLAIN | {"dates": [LONG.not_before, LONG.not_after], "serial": 1})
def test_the_spliced_bytes_are_the_builders(
    *,
    algorithm: Algorithm,
    key_type: KeyType,
    which: int,
    device: str,
    dates: list[datetime],
    serial: int,
    name: AlternativeName | None,
) -> None:
    _, certificate = ISSUERS[algorithm]
    key, validity = KEYS[key_type][which], Validity(not_before=dates[0], not_after=dates[1])
    built = to_be_signed(
        device_builder(
            device=DeviceId(device),
            public_key=key,
            issuer=certificate,
            validity=validity,
            serial=serial,
            alternative_name=name,
        ),
        algorithm,
    )
    spliced = BirthTemplate.of("line-a", certificate).to_be_signed(
        device=DeviceId(device),
        key_type=key_type,
        spki=public_key_der(key),
        validity=validity,
        serial=serial,
        alternative_name=name,
    )
    assert spliced == built


def spliced(algorithm: Algorithm = Algorithm.ECDSA_P256_SHA256, template: BirthTemplate | None = None) -> bytes:
    _, certificate = ISSUERS[algorithm]
    return (template or BirthTemplate.of("line-a", certificate)).to_be_signed(
        device=DeviceId("device1"),
        key_type=KeyType.P256,
        spki=public_key_der(KEYS[KeyType.P256][0]),
        validity=Validity.lasting(timedelta(days=5479), now=NOW),
        serial=2**155 + 1,
        alternative_name=HostName("iot.example.com"),
    )


@pytest.mark.parametrize("algorithm", Algorithm)
def test_what_is_signed_is_a_certificate_of_its_issuer_in_der_and_in_pem(algorithm: Algorithm) -> None:
    signer, certificate = ISSUERS[algorithm]
    der = signed(spliced(algorithm), signer)
    made = x509.load_der_x509_certificate(der)
    made.verify_directly_issued_by(certificate)
    assert made.tbs_certificate_bytes == spliced(algorithm)
    assert pem_of(der) == made.public_bytes(Encoding.PEM), "line for line what the library writes"


def test_a_template_goes_to_a_worker_process_and_works_there() -> None:
    _, certificate = ISSUERS[Algorithm.ECDSA_P256_SHA256]
    template = BirthTemplate.of("line-a", certificate)
    assert spliced(template=pickle.loads(pickle.dumps(template))) == spliced()  # noqa: S301  # our own bytes


def test_a_date_before_1950_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="cannot stand in a certificate"):
        BirthTemplate.of("line-a", ISSUERS[Algorithm.ECDSA_P256_SHA256][1]).to_be_signed(
            device=DeviceId("d"),
            key_type=KeyType.P256,
            spki=public_key_der(KEYS[KeyType.P256][0]),
            validity=Validity(not_before=datetime(1949, 12, 31, tzinfo=UTC), not_after=NOW),
            serial=1,
            alternative_name=None,
        )


@pytest.mark.parametrize("key_type", KeyType)
def test_a_key_that_is_made_is_of_the_type_it_was_asked_for(key_type: KeyType) -> None:
    key = key_type.generate()
    assert KeyType.of(key.public_key()) is key_type
    algorithm = Algorithm.of(key.public_key())
    signature = algorithm.sign(key, b"a certificate")
    assert algorithm.is_signature(signature, b"a certificate", key.public_key())
    assert not algorithm.is_signature(signature, b"a certificate!", key.public_key())
