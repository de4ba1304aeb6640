"""What stands from an earlier ceremony must be what the file asks for; pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import NameOID

from provisioning.algorithm import Algorithm, KeyType, PublicKey
from provisioning.authority import is_issued_by, is_of_key
from provisioning.errors import RefusedError, StationError
from provisioning.factory_file import Authority, Gateway, Reach, Root
from provisioning.profile import BACKDATE, Validity, authority_name, is_limited_to_device_hosts, years

_WAY_OUT = "put the file back as it was reviewed, or give what is new a name of its own"


def check_root(profile: Root, root: x509.Certificate | None, issued: Mapping[str, x509.Certificate | None]) -> None:
    """Refuse another root under the same roof, and authorities whose root is elsewhere."""
    if root is None:
        orphans = ", ".join(name for name, certificate in issued.items() if certificate is not None)
        if orphans:
            raise StationError(
                f"certificates of {orphans} are there and their root is not; give the factory folder they come from"
            )
        return
    if root.subject != authority_name(profile.common_name, profile.organization):
        raise RefusedError(f"root: the one that stands is {root.subject.rfc4514_string()}; {_WAY_OUT}")
    if not _lasts(root, years(profile.lifetime_years)):
        raise RefusedError(f"root.lifetime_years: the root that stands lasts {_shown(root)}; {_WAY_OUT}")


def check_issuing(
    name: str,
    profile: Authority,
    certificate: x509.Certificate,
    root: x509.Certificate,
    public_key: PublicKey,
    *,
    domain: str,
) -> None:
    """Refuse an authority that stands with another subject, life, reach, key or root than the file's."""
    place = f"authorities.{name}"
    if not is_of_key(certificate, public_key):
        raise RefusedError(f"{place}.key: the certificate that stands belongs to another key; {_WAY_OUT}")
    if not is_issued_by(certificate, root):
        raise RefusedError(f"{place}: the certificate that stands is of another root; {_WAY_OUT}")
    organization = root.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value
    if certificate.subject != authority_name(profile.common_name, str(organization)):
        raise RefusedError(
            f"{place}.common_name: the authority that stands is {certificate.subject.rfc4514_string()}; {_WAY_OUT}"
        )
    if not _lasts(certificate, years(profile.lifetime_years)):
        raise RefusedError(f"{place}.lifetime_years: the authority that stands lasts {_shown(certificate)}; {_WAY_OUT}")
    stands = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    if stands != profile.path_length:
        raise RefusedError(f"{place}.path_length: the authority that stands has {stands}; {_WAY_OUT}")
    if (profile.name_constraints is Reach.DEVICE_HOSTS) is not is_limited_to_device_hosts(certificate, domain):
        rule = f"the authority that stands was not made with {profile.name_constraints} of {domain}"
        raise RefusedError(f"{place}.name_constraints: {rule}; {_WAY_OUT}")


def check_algorithm(place: str, algorithm: Algorithm, key: PublicKey) -> None:
    """Refuse a key that signs with another algorithm than the file's: of an HSM or KMS, which made it."""
    found = KeyType.of(key)
    if found is not algorithm.key_type:
        raise RefusedError(
            f"{place}.algorithm: is {algorithm}, and the key that is there is {found or 'of no type of ours'}; make "
            f"another key, or write the algorithm of this one"
        )


def check_room_for_stations(root: x509.Certificate, authorities: Mapping[str, Authority]) -> None:
    """Refuse stations below a root that was made when there were none."""
    length = root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    needed = 1 + max((authority.path_length for authority in authorities.values()), default=0)
    if length is not None and length < needed:
        raise RefusedError(
            f"root: the one that stands lets {length} authorities stand below each other, and the stations need "
            f"{needed}; hold the ceremony of a new root, with a name of its own"
        )


def check_gateway(
    profile: Gateway,
    certificate: x509.Certificate,
    *,
    organization: str,
    domain: str,
    public_key: PublicKey,
) -> None:
    """Refuse an authority of gateways that stands with another key, subject, life or reach than it should."""
    if not is_of_key(certificate, public_key):
        raise RefusedError(f"gateway.key: the certificate that stands belongs to another key; {_WAY_OUT}")
    if certificate.subject != authority_name(profile.common_name, organization):
        raise RefusedError(
            f"gateway.common_name: the authority that stands is {certificate.subject.rfc4514_string()}; {_WAY_OUT}"
        )
    if not is_issued_by(certificate, certificate):
        raise RefusedError(f"gateway: the certificate that stands is not its own root; {_WAY_OUT}")
    if not _lasts(certificate, years(profile.lifetime_years)):
        raise RefusedError(f"gateway.lifetime_years: the authority that stands lasts {_shown(certificate)}; {_WAY_OUT}")
    if not is_limited_to_device_hosts(certificate, domain):
        raise RefusedError(
            f"gateway: the authority that stands is not limited to the device names of {domain}; {_WAY_OUT}"
        )


def issuing_validity(name: str, profile: Authority, root: x509.Certificate, now: datetime) -> Validity:
    """When a new authority is valid; `RefusedError` when its root would end first."""
    validity = Validity.lasting(years(profile.lifetime_years), now=now)
    validity = Validity(not_before=max(validity.not_before, root.not_valid_before_utc), not_after=validity.not_after)
    if not validity.lies_within(Validity.of(root)):
        raise RefusedError(
            f"authorities.{name}.lifetime_years: {profile.lifetime_years} years from now end on "
            f"{validity.not_after:%Y-%m-%d}, and the root is valid from {root.not_valid_before_utc:%Y-%m-%d} to "
            f"{root.not_valid_after_utc:%Y-%m-%d}; shorten it, or hold a ceremony for a new root"
        )
    return validity


def _lasts(certificate: x509.Certificate, lifetime: timedelta) -> bool:
    """Whether it was made to last that long; its begin may have been moved up to its issuer's."""
    return abs(Validity.of(certificate).lifetime - lifetime) <= BACKDATE


def _shown(certificate: x509.Certificate) -> str:
    return f"from {certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
