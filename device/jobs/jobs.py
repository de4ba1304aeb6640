"""The jobs client: asks for the next order, carries it out once, tells how it went, and asks again.

- `start-next` hands out the order at hand again until it has its verdict, over restarts too; the journal knows it.
- An update names the version it expects. When the cloud has another one, the order was changed meanwhile (cancelled,
  timed out, given to this device twice): its state is asked for, and the verdict told again only if it still runs.
- Between orders the device waits for `notify-next`.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from device.exchange import Exchange, NoAnswerError, RefusedError, read_object
from device.jobs.handler import Handler, UnacceptableError
from device.jobs.journal import Entry, Journal
from device.jobs.order import MAX_REASON_CHARACTERS, Order, Status, Verdict, read_order
from device.link import Link, Message
from device.surroundings import Emit
from protocol.device_id import DeviceId
from protocol.topics import jobs_prefix

STEP_TIMEOUT = timedelta(minutes=30)
"""The cloud ends an order that tells nothing for so long (`stepTimeoutInMinutes`): the device died with it."""
ASK_AGAIN = timedelta(minutes=15)
"""Should a notification be lost: a device behind no other trigger asks so often."""
RUNNING = {"QUEUED", "IN_PROGRESS"}


class Jobs:
    """One device's jobs client."""

    __slots__ = ("_boot", "_emit", "_exchange", "_handlers", "_journal", "_news", "_prefix", "topic_filters")

    def __init__(
        self,
        *,
        device: DeviceId,
        boot: int,
        journal: Journal,
        handlers: Mapping[str, Handler],
        exchange: Exchange,
        emit: Emit,
    ) -> None:
        """`handlers`: by operation. `boot`: which start of the device this is."""
        self._boot, self._journal, self._handlers = boot, journal, handlers
        self._exchange, self._emit, self._prefix = exchange, emit, jobs_prefix(device)
        self._news = asyncio.Event()
        answers = ("start-next/+", "+/update/+", "+/get/+")
        self.topic_filters = tuple(f"{self._prefix}/{name}" for name in ("notify-next", *answers))

    def hear(self, message: Message) -> bool:
        """Whether the message was about jobs."""
        if not message.topic.startswith(f"{self._prefix}/"):
            return False
        if message.topic == f"{self._prefix}/notify-next":
            if read_object(message.payload).get("execution"):
                self._news.set()
            return True
        return self._exchange.hear(message)

    async def accompany(self, link: Link) -> None:
        """Work through the orders while the connection stands; `NotAcknowledgedError` when it does not."""
        refused = ""
        while True:
            self._news.clear()
            try:
                order = await self._next_order(link)
                if order and order.key != refused:
                    refused = order.key if not await self._work_on(link, order) else ""
                    continue
            except (NoAnswerError, RefusedError) as error:
                self._emit({"event": "not_served", "what": "jobs", "reason": str(error)})
            with suppress(TimeoutError):
                async with asyncio.timeout(ASK_AGAIN.total_seconds()):
                    await self._news.wait()

    async def _next_order(self, link: Link) -> Order | None:
        step = {"stepTimeoutInMinutes": int(STEP_TIMEOUT.total_seconds() // 60)}
        answer = await self._exchange.ask(link, f"{self._prefix}/start-next", step)
        try:
            return read_order(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise NoAnswerError(f"start-next: an answer that is no order: {error!r}") from error

    async def _work_on(self, link: Link, order: Order) -> bool:
        """Whether the order is off the table. One that ends with a restart keeps this from returning."""
        entry = self._journal.find(order)
        if entry and entry.verdict:
            return await self._tell(link, order, entry.verdict)
        handler = self._handlers.get(order.operation)
        try:
            verdict = await self._carried_out(order, handler, entry)
        except UnacceptableError as error:
            verdict = Verdict(Status.REJECTED, str(error))
        if verdict is None:
            # The restart ends this process; until then there is nothing to ask for.
            await asyncio.Event().wait()
            return True
        # Told all the same: then the cloud has it, and does not hand the order out again.
        with suppress(OSError):
            self._journal.conclude(order, verdict)
        is_off = await self._tell(link, order, verdict)
        if handler and verdict.status is Status.SUCCEEDED:
            handler.after_telling(order)
        return is_off

    async def _carried_out(self, order: Order, handler: Handler | None, entry: Entry | None) -> Verdict | None:
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            raise UnacceptableError(f"unknown operation {order.operation!r}; this firmware knows {known}")
        told = {"job": order.job, "operation": order.operation}
        if entry:
            self._emit({"event": "job_resumed"} | told)
            return await handler.resume(order, entry.boot)
        try:
            self._journal.begin(order, self._boot)
        except OSError as error:
            return Verdict(Status.FAILED, f"the flash does not take the journal ({error}); nothing was done")
        self._emit({"event": "job_begun"} | told)
        return await handler.carry_out(order)

    async def _tell(self, link: Link, order: Order, verdict: Verdict) -> bool:
        """Whether the cloud took the verdict."""
        try:
            try:
                await self._update(link, order, order.version, verdict)
            except RefusedError as error:
                if error.code != "VersionMismatch":
                    raise
                await self._update(link, order, await self._running_version(link, order), verdict)
        except RefusedError as error:
            self._emit({"event": "job_outdated", "job": order.job, "reason": str(error)})
            return False
        told = {"job": order.job, "status": verdict.status.value, "reason": verdict.reason}
        self._emit({"event": "job_ended"} | told)
        return True

    async def _update(self, link: Link, order: Order, version: int, verdict: Verdict) -> None:
        body: dict[str, Any] = {
            "status": verdict.status.value,
            "statusDetails": {"reason": verdict.reason[:MAX_REASON_CHARACTERS] or "done"},
            "expectedVersion": version,
            "executionNumber": order.number,
        }
        await self._exchange.ask(link, f"{self._prefix}/{order.job}/update", body)

    async def _running_version(self, link: Link, order: Order) -> int:
        """The version of an execution that was changed meanwhile; `RefusedError` when it no longer runs."""
        body = {"executionNumber": order.number, "includeJobDocument": False}
        answer = await self._exchange.ask(link, f"{self._prefix}/{order.job}/get", body)
        execution = answer.get("execution") or {}
        if execution.get("status") not in RUNNING:
            raise RefusedError("TerminalStateReached", f"it is {execution.get('status')}", answer)
        return int(execution.get("versionNumber", 0))
