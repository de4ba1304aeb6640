"""Ask a DNS server what it says now, one question at a time. Nothing is cached here."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import dns.exception
import dns.inet
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset

from fleet.errors import UnfinishedError
from fleet.routing.answer import Answer

DNS_PORT = 53
TRY_SECONDS = 2.0
"""For one try; an authoritative server answers within one round trip, a recursive one within a few."""
TRIES = 3
"""Before a server counts as silent: UDP loses packets."""
ASKED_AT_ONCE = 8
"""Questions under way: some hundred a second on a usual line, which no resolver takes for an attack."""
MAX_CHAIN = 16
"""CNAMEs read in one answer; unbound's default bound is 11, knot's 20."""


@dataclass(frozen=True)
class Server:
    """One DNS server."""

    address: str
    """IPv4 or IPv6."""
    port: int = DNS_PORT

    @classmethod
    def parse(cls, text: str) -> "Server":
        """`ADDRESS` or `ADDRESS:PORT`, IPv6 with a port in brackets; `ValueError` says what is wrong."""
        host, colon, port = text.rpartition(":")
        if text.count(":") > 1 and not text.startswith("["):
            host, colon, port = text, "", ""
        address = (host if colon else text).strip("[]")
        if not dns.inet.is_address(address) or (colon and not (port.isdecimal() and 0 < int(port) < 65536)):
            raise ValueError(f"{text!r} is no DNS server; give ADDRESS or ADDRESS:PORT, such as 127.0.0.1:5353")
        return cls(address, int(port) if colon else DNS_PORT)

    def __str__(self) -> str:
        """As `parse` takes it."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Resolver:
    """Servers that should all say the same; each is asked when those before it are silent."""

    servers: tuple[Server, ...]

    def ask(self, name: str, record_type: str) -> Answer:
        """What is said; `UnfinishedError` when no server says anything that can be used."""
        query = dns.message.make_query(f"{name}.", record_type)
        reasons: list[str] = []
        for server in self.servers:
            for _ in range(TRIES):
                try:
                    response, _ = dns.query.udp_with_fallback(query, server.address, TRY_SECONDS, server.port)
                except (OSError, EOFError, dns.exception.DNSException) as error:
                    reasons.append(f"{server}: {error or type(error).__name__}")
                    continue
                if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                    return read_answer(response, name, record_type)
                reasons.append(f"{server}: {dns.rcode.to_text(response.rcode())}")
                break
        raise UnfinishedError(
            f"{name} {record_type}: no answer ({'; '.join(dict.fromkeys(reasons))}); give a server that answers with "
            "--resolver ADDRESS:PORT, or none with --no-resolver"
        )

    def ask_all(self, questions: Iterable[tuple[str, str]]) -> Iterator[Answer]:
        """The answers, in the order of the questions; some are under way at once. The first silence ends it."""
        with ThreadPoolExecutor(ASKED_AT_ONCE) as asking:
            left = iter(questions)
            while some := list(islice(left, ASKED_AT_ONCE)):
                yield from asking.map(lambda question: self.ask(*question), some)


def name_servers(names: Sequence[str], look_up: Callable[[str], Sequence[str]] | None = None) -> Resolver:
    """The servers of a zone, by their names; `UnfinishedError` when this machine can resolve none of them."""
    servers: list[Server] = []
    for name in names:
        try:
            servers += [Server(address) for address in (look_up or _addresses)(name.rstrip("."))]
        except (OSError, dns.exception.DNSException):
            continue
    if not servers:
        raise UnfinishedError(
            f"none of the zone's name servers ({', '.join(names) or 'none named'}) can be found from here; name a DNS "
            "server with --resolver ADDRESS:PORT, or ask none with --no-resolver"
        )
    return Resolver(tuple(servers))


def read_answer(response: dns.message.Message, name: str, record_type: str) -> Answer:
    """A response as an answer. The records need not be in order (RFC 1034 asks for none)."""
    wanted = dns.rdatatype.from_text(record_type)
    sets: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], dns.rrset.RRset] = {
        (rrset.name, rrset.rdtype): rrset for rrset in response.answer
    }
    asked = at = dns.name.from_text(name)
    chain = [name]
    while (at, wanted) not in sets and (at, dns.rdatatype.CNAME) in sets and len(chain) <= MAX_CHAIN:
        at = sets[at, dns.rdatatype.CNAME][0].target
        chain.append(_text(at))
    ends = sets.get((at, wanted))
    addresses = tuple(sorted(rdata.to_text() for rdata in ends)) if ends else ()
    return Answer(
        exists=len(chain) > 1 or response.rcode() != dns.rcode.NXDOMAIN,
        alias=chain[1] if len(chain) > 1 else "",
        values=addresses if at == asked else (),
        chain=tuple(chain),
        addresses=addresses,
    )


def _addresses(name: str) -> list[str]:
    return [rdata.to_text() for rdata in dns.resolver.resolve(name, "A", search=False)]


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
