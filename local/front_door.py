"""One AWS endpoint for all regions of the desk: each request goes to the cell of the region it was signed for.

So every tool is used as on AWS, with `AWS_ENDPOINT_URL` set and nothing else. The region stands in the credential
scope of Signature Version 4, in the Authorization header or in a presigned URL. One request a connection: an answer
says `Connection: close`, so that two requests of different regions never share one.

A presigned URL of Signature Version 2 names no region; whoever makes URLs for S3 asks for `signature_version="s3v4"`,
as every AWS region opened since 2014 demands.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from local.http_head import Head, HeadError, answer, read_head
from local.loopback_server import LOOPBACK, close
from local.relay import relay

GLOBAL_SERVICES = frozenset({"iam", "route53"})
"""Signed for us-east-1 wherever they are called from; on the desk they are asked in the home cell."""
CONNECT_PATIENCE_S = 10.0
_CREDENTIAL = re.compile(r"Credential=([^,\s]+)")
_HOP_HEADERS = frozenset({"connection", "keep-alive", "proxy-connection"})


@dataclass(frozen=True)
class Scope:
    """What a request was signed for."""

    region: str
    service: str


def scope_of(head: Head) -> Scope | None:
    """The credential scope of a request; nothing for one that is unsigned or signed otherwise."""
    match = _CREDENTIAL.search(head.header("authorization") or "")
    query = parse_qs(urlsplit(head.target).query)
    credential = match[1] if match else next(iter(query.get("X-Amz-Credential", ())), "")
    parts = credential.split("/")
    if len(parts) < 5 or parts[-1] != "aws4_request":
        return None
    return Scope(region=parts[-3], service=parts[-2])


def one_request(head: Head) -> Head:
    """The head as it is passed on: the last request of its connection, unless it asks to speak another protocol."""
    if head.header("upgrade"):
        return head
    kept = tuple((key, value) for key, value in head.headers if key.lower() not in _HOP_HEADERS)
    return replace(head, headers=(*kept, ("Connection", "close")))


@dataclass(frozen=True)
class FrontDoor:
    """The door: where each region's cell listens, and which one is home."""

    ports: Mapping[str, int]
    """Region to the port of its cell on loopback."""
    home_region: str

    def region_for(self, head: Head) -> str:
        """The region that answers: the signed one, or home for what is global, unsigned or of a region without cell."""
        scope = scope_of(head)
        if scope is None or scope.service in GLOBAL_SERVICES or scope.region not in self.ports:
            return self.home_region
        return scope.region

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, which is one request."""
        try:
            head = await read_head(reader)
        except HeadError as error:
            await _refuse(writer, HTTPStatus(error.status), str(error))
            return
        if head is None:
            return
        region = self.region_for(head)
        try:
            async with asyncio.timeout(CONNECT_PATIENCE_S):
                cell = await asyncio.open_connection(LOOPBACK, self.ports[region])
        except OSError as error:
            reason = f"the cell of {region} does not answer ({error}); see: python -m local status"
            await _refuse(writer, HTTPStatus.SERVICE_UNAVAILABLE, reason)
            return
        try:
            cell[1].write(one_request(head).to_bytes())
            await relay((reader, writer), cell)
        finally:
            await close(cell[1])


async def _refuse(writer: asyncio.StreamWriter, status: HTTPStatus, reason: str) -> None:
    writer.write(answer(status, status.phrase, reason))
    await writer.drain()
