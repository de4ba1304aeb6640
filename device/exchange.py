"""Questions to AWS IoT's reserved topics, whose answers come on `<topic>/accepted` or `<topic>/rejected`.

An answer is known by the `clientToken` of its question; one without it, or that nobody waits for, is let go.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from device.link import Link, Message

ANSWER_SECONDS = 30.0
"""The services answer within a second; a network that stalls is given as long as a PUBACK is."""
ACCEPTED, REJECTED = "/accepted", "/rejected"


class RefusedError(Exception):
    """The service said no. `code` is what it says why: a word of Jobs, a number of shadows."""

    def __init__(self, code: str, message: str, body: dict[str, Any]) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.body = code, body


class NoAnswerError(Exception):
    """Nobody answered: the connection is going, or this broker has no such service."""


class Exchange:
    """The open questions of one device."""

    __slots__ = ("_open", "_token")

    def __init__(self, token: Callable[[], str]) -> None:
        """`token`: one that was never used before."""
        self._token = token
        self._open: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def ask(self, link: Link, topic: str, body: dict[str, Any]) -> dict[str, Any]:
        """The accepted answer; `RefusedError`, `NoAnswerError`, or `NotAcknowledgedError` when it was not even sent."""
        token = self._token()
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._open[token] = answered
        try:
            await link.publish(topic, json.dumps(body | {"clientToken": token}).encode())
            # Not wait_for: Python 3.11's forgets a cancellation that meets the answer, and a session would never end.
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answered
        except TimeoutError:
            raise NoAnswerError(f"{topic}: no answer in {ANSWER_SECONDS:.0f} s") from None
        finally:
            del self._open[token]

    def hear(self, message: Message) -> bool:
        """Whether the message is an answer to a question of this device."""
        if not message.topic.endswith((ACCEPTED, REJECTED)):
            return False
        body = read_object(message.payload)
        answered = self._open.get(str(body.get("clientToken")))
        if answered and not answered.done():
            if message.topic.endswith(ACCEPTED):
                answered.set_result(body)
            else:
                answered.set_exception(RefusedError(str(body.get("code")), str(body.get("message", "")), body))
        return True


def read_object(payload: bytes) -> dict[str, Any]:
    """The JSON object in `payload`; an empty one when there is none."""
    try:
        body = json.loads(payload)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
