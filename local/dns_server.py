"""The stack's zone over DNS, on loopback: an authoritative server that follows CNAMEs within the zone.

Where a chain leaves the zone for a cluster's data endpoint, the answer also says where on this desk that is, since
nobody else could: 127.0.0.1.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container
from typing import Any, cast

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from local.data_endpoint import data_endpoint_region
from local.loopback_server import LOOPBACK
from local.zone import Answer, Outcome, RecordSet, Zone

UDP_PAYLOAD_BYTES = 1232
"""What we say we take and never exceed over UDP (DNS Flag Day 2020)."""
PLAIN_UDP_BYTES = 512
"""The limit for who does not speak EDNS (RFC 1035)."""
TCP_IDLE_S = 10.0
DATA_ENDPOINT_TTL_S = 60
_META_TYPES = frozenset({dns.rdatatype.ANY, dns.rdatatype.AXFR, dns.rdatatype.IXFR})
_log = logging.getLogger(__name__)


class DnsServer:
    """Answers DNS messages from a zone as it is at that moment."""

    def __init__(self, zone: Callable[[], Awaitable[Zone]], *, vantage: str, regions: Container[str]) -> None:
        """`vantage`: the region askers count as being in. `regions`: those that have a cell."""
        self._zone = zone
        self._vantage = vantage
        self._regions = regions

    async def answer(self, wire: bytes, *, limit: int | None) -> bytes | None:
        """The answer to one message; nothing to what is no question. `limit`: bytes over UDP; none over TCP."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return _format_error(wire)
        if query.flags & dns.flags.QR:
            return None
        response = dns.message.make_response(query, our_payload=UDP_PAYLOAD_BYTES)
        await self._fill(query, response)
        if limit is None:
            return response.to_wire()
        size = min(max(query.payload, PLAIN_UDP_BYTES), UDP_PAYLOAD_BYTES) if query.edns >= 0 else PLAIN_UDP_BYTES
        return _fit(response, min(size, limit))

    async def _fill(self, query: dns.message.Message, response: dns.message.Message) -> None:
        if query.opcode() != dns.opcode.QUERY:
            response.set_rcode(dns.rcode.NOTIMP)
            return
        if len(query.question) != 1:
            response.set_rcode(dns.rcode.FORMERR)
            return
        question = query.question[0]
        if question.rdclass != dns.rdataclass.IN or question.rdtype in _META_TYPES:
            response.set_rcode(dns.rcode.REFUSED)
            return
        try:
            zone = await self._zone()
        except Exception as error:  # noqa: BLE001  # whatever it is, the asker gets SERVFAIL and the server goes on
            _log.warning("the zone cannot be read: %s", error)
            response.set_rcode(dns.rcode.SERVFAIL)
            return
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self._put(response, zone, zone.lookup(name, kind, vantage=self._vantage), kind)

    def _put(self, response: dns.message.Message, zone: Zone, answer: Answer, kind: str) -> None:
        response.set_rcode(dns.rcode.Rcode(answer.outcome.value))
        if answer.outcome is Outcome.REFUSED:
            return
        response.flags |= dns.flags.AA
        records = [*answer.records]
        if address := self._address(answer, kind):
            records.append(address)
        response.answer = [_rrset(record) for record in records]
        leaves_zone = bool(records) and records[-1].type == "CNAME" and not zone.contains(answer.chain[-1])
        answered = bool(records) and records[-1].type == kind
        if zone.soa and not answered and not leaves_zone:
            response.authority = [_negative(zone.soa)]

    def _address(self, answer: Answer, kind: str) -> RecordSet | None:
        """Where the data endpoint at the end of a chain is."""
        if kind != "A" or not answer.chain or data_endpoint_region(answer.chain[-1]) not in self._regions:
            return None
        return RecordSet(answer.chain[-1], "A", DATA_ENDPOINT_TTL_S, (LOOPBACK,))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one TCP connection: messages behind their two-byte length (RFC 7766)."""
        while True:
            try:
                async with asyncio.timeout(TCP_IDLE_S):
                    length = int.from_bytes(await reader.readexactly(2))
                    wire = await reader.readexactly(length)
            except asyncio.IncompleteReadError:
                return
            response = await self.answer(wire, limit=None)
            if response is None:
                return
            writer.write(len(response).to_bytes(2) + response)
            await writer.drain()


class DnsDatagrams(asyncio.DatagramProtocol):
    """The UDP side of a `DnsServer`."""

    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._answering: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Answer one message, apart from the others."""
        task = asyncio.get_running_loop().create_task(self._reply(data, addr))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no answer behind."""
        del exc
        for task in self._answering:
            task.cancel()

    async def _reply(self, data: bytes, address: tuple[str | Any, int]) -> None:
        response = await self._server.answer(data, limit=UDP_PAYLOAD_BYTES)
        if response is not None and self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(response, address)


def _rrset(record: RecordSet) -> dns.rrset.RRset:
    return dns.rrset.from_text_list(
        f"{record.name}.", record.ttl, "IN", record.type, [_absolute(record.type, value) for value in record.values]
    )


def _absolute(kind: str, value: str) -> str:
    """A value as DNS writes it: Route 53 takes names without their trailing dot as absolute."""
    if kind not in ("CNAME", "NS", "MX", "PTR", "SRV"):
        return value
    *rest, name = value.split(" ")
    return " ".join((*rest, f"{name.partition(':')[0].rstrip('.')}."))


def _negative(soa: RecordSet) -> dns.rrset.RRset:
    """The SOA of a negative answer, with the TTL that says how long it holds (RFC 2308 3)."""
    minimum = int(soa.values[0].split()[-1])
    return _rrset(RecordSet(soa.name, "SOA", min(soa.ttl, minimum), soa.values))


def _fit(response: dns.message.Message, size: int) -> bytes:
    wire = response.to_wire()
    if len(wire) <= size:
        return wire
    for section in (response.answer, response.authority, response.additional):
        section.clear()
    response.flags |= dns.flags.TC
    return response.to_wire()


def _format_error(wire: bytes) -> bytes | None:
    """FORMERR to what has at least a header and is a question."""
    if len(wire) < 12 or wire[2] & 0x80:
        return None
    return wire[:2] + bytes((0x80 | wire[2] & 0x79, dns.rcode.FORMERR)) + bytes(8)
