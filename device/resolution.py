"""Where the device's name leads today: the CNAME chain, and from it the server name to verify (design decision 3)."""

from dataclasses import dataclass, replace
from ipaddress import ip_address

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from protocol.device_id import DeviceId
from protocol.hostnames import device_hostname, server_name

RESOLVE_TIMEOUT_SECONDS = 10.0
"""For one look-up with all its retries: two tries of a stub resolver's usual five seconds (resolv.conf(5))."""


class ResolutionError(Exception):
    """The device's name leads nowhere; says which name, and what the resolver answered."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a device is sent."""

    chain: tuple[str, ...]
    """The names passed, from the device's own to the last CNAME target, without trailing dots."""
    server_name: str
    """The TLS server name to send and verify; also the name to connect to."""


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host and a port, as options give them."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, option: str, form: str = "HOST:PORT") -> "HostPort":
        """`HOST:PORT`; `ValueError` says what is wrong with the option."""
        host, colon, port = text.rpartition(":")
        if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(f"{option}: {text!r} is not {form}, such as 127.0.0.1:5353")
        return cls(host, int(port))

    @classmethod
    def parse_address(cls, text: str, *, option: str) -> "HostPort":
        """`ADDRESS:PORT`: whoever answers for names cannot itself be looked up. `ValueError` as above."""
        parsed = cls.parse(text, option=option, form="ADDRESS:PORT")
        try:
            return replace(parsed, host=str(ip_address(parsed.host.removeprefix("[").removesuffix("]"))))
        except ValueError:
            raise ValueError(f"{option}: {parsed.host!r} is no IP address; give one, such as 127.0.0.1:5353") from None


async def resolve_route(device: DeviceId, domain: str, *, resolver: HostPort | None = None) -> Route:
    """Look the device's name up, now; nothing is cached here. `resolver`: an IP address and port, else the machine's.

    The question is for A: its answer carries the whole CNAME chain, and an address record of the device's own.
    """
    name = device_hostname(device, domain)
    asked = dns.name.from_text(name)
    try:
        answer = await _stub(resolver).resolve(asked, dns.rdatatype.A, raise_on_no_answer=False, search=False)
    except dns.resolver.NXDOMAIN as error:
        raise ResolutionError(f"{name}: there is no such name; is the domain {domain} deployed?") from error
    except dns.exception.DNSException as error:
        raise ResolutionError(f"{name}: could not be looked up: {error}") from error
    aliases = (rrset for rrset in answer.response.answer if rrset.rdtype == dns.rdatatype.CNAME)
    chain = [name, *(alias[0].target.to_text(omit_final_dot=True) for alias in aliases)]
    if len(chain) == 1 and answer.rrset is None:
        raise ResolutionError(f"{name}: has neither a CNAME nor an address; another record may hide the wildcard")
    return Route(tuple(chain), server_name(chain, device, domain))


def _stub(address: HostPort | None) -> dns.asyncresolver.Resolver:
    stub = dns.asyncresolver.Resolver(configure=address is None)
    stub.lifetime = RESOLVE_TIMEOUT_SECONDS
    if address is not None:
        stub.nameservers = [address.host]
        stub.port = address.port
    return stub
