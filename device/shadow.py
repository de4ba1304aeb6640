"""Configuration by shadow: what the cloud desires is taken whole, or refused with the reason; both are reported.

The named shadow `configuration` has the keys of `device.configuration` under `desired`. Under `reported` stand the same
keys as the device works by them, and `rejected`: the reason by place, when the desired document is not a configuration.
The device then works on by the old one, and the difference (`delta`) stays for an operator to see.

Each report names the version of the shadow that it answers. When that changed meanwhile the service refuses it, and the
device looks again: it never reports on a wish that it has not seen.
"""

import asyncio
from typing import Any

from device.configuration_keeper import ConfigurationKeeper, InvalidConfigurationError, as_document
from device.exchange import Exchange, NoAnswerError, RefusedError, read_object
from device.link import Link, Message
from device.surroundings import Emit
from protocol.device_id import DeviceId
from protocol.topics import CONFIGURATION_SHADOW, named_shadow_prefix

REJECTED = "rejected"
"""No key of a configuration."""
NO_SHADOW, CONFLICT = "404", "409"
"""Device Shadow service, error messages: there is none yet; the version is another."""
TRIES = 5
"""How often a report that met a newer wish looks again before it waits for the next message."""


class Shadow:
    """One device's configuration shadow."""

    __slots__ = (
        "_decided",
        "_emit",
        "_exchange",
        "_keeper",
        "_news",
        "_prefix",
        "_reasons",
        "_version",
        "topic_filters",
    )

    def __init__(self, *, device: DeviceId, keeper: ConfigurationKeeper, exchange: Exchange, emit: Emit) -> None:
        self._keeper, self._exchange, self._emit = keeper, exchange, emit
        self._prefix = named_shadow_prefix(device, CONFIGURATION_SHADOW)
        self._news = asyncio.Event()
        self._version = 0
        self._decided = keeper.wish
        """The last wish that was taken or refused. One that was refused is judged anew by each start: the firmware may
        know more by then."""
        self._reasons: dict[str, str] = {}
        answers = ("get/accepted", "get/rejected", "update/accepted", "update/rejected")
        self.topic_filters = tuple(f"{self._prefix}/{name}" for name in ("update/delta", *answers))
        keeper.listen(self._news.set)

    def hear(self, message: Message) -> bool:
        """Whether the message was about this shadow."""
        if not message.topic.startswith(f"{self._prefix}/"):
            return False
        if message.topic == f"{self._prefix}/update/delta":
            if read_object(message.payload).get("version", 0) > self._version:
                self._news.set()
            return True
        return self._exchange.hear(message)

    async def accompany(self, link: Link) -> None:
        """Take what is desired, and report, whenever there is news; `NotAcknowledgedError` when the connection ends."""
        self._version = 0  # Another cluster has a shadow of its own, which counts by itself.
        while True:
            self._news.clear()
            try:
                await self._synchronize(link)
            except (NoAnswerError, RefusedError) as error:
                self._emit({"event": "not_served", "what": "shadow", "reason": str(error)})
            await self._news.wait()

    async def _synchronize(self, link: Link) -> None:
        for _ in range(TRIES):
            state, self._version = await self._read(link)
            self._decide(state.get("desired"))
            wanted = as_document(self._keeper.current) | {REJECTED: self._reasons or None}
            patch = difference(state.get("reported", {}), wanted)
            if not patch:
                return
            body: dict[str, Any] = {"state": {"reported": patch}}
            if self._version:
                body["version"] = self._version
            try:
                answer = await self._exchange.ask(link, f"{self._prefix}/update", body)
            except RefusedError as error:
                if error.code != CONFLICT:
                    raise
            else:
                self._version = max(self._version, int(answer.get("version", 0)))
                return

    async def _read(self, link: Link) -> tuple[dict[str, Any], int]:
        """State and version now; version 0 when there is no shadow yet."""
        try:
            answer = await self._exchange.ask(link, f"{self._prefix}/get", {})
        except RefusedError as error:
            if error.code != NO_SHADOW:
                raise
            return {}, 0
        state = answer.get("state")
        return (state if isinstance(state, dict) else {}), int(answer.get("version", 0))

    def _decide(self, desired: Any) -> None:
        """Take a wish, or refuse it; each once, so that a wish of long ago does not undo what a job did since."""
        if not desired or desired == self._decided:
            return
        try:
            self._keeper.take_wish(desired)
        except InvalidConfigurationError as error:
            self._reasons = error.reasons
            self._emit({"event": "configuration_rejected", "reasons": error.reasons})
        except OSError as error:
            self._reasons = {"the flash": f"does not take it: {error}"}
            self._emit({"event": "configuration_rejected", "reasons": self._reasons})
            return
        else:
            self._reasons = {}
            self._emit({"event": "configured", "configuration": as_document(self._keeper.current)})
        self._decided = desired


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What an update must say to make `before` into `after`: the service merges, and null deletes."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            if inner := difference(old, value):
                patch[key] = inner
        elif value != old:
            patch[key] = value
    return patch
