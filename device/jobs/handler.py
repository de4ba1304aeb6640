"""What carries out one kind of order. The rollout of firmware is one more of these."""

from typing import Protocol

from device.jobs.order import Order, Verdict


class UnacceptableError(Exception):
    """The order cannot be carried out here, and nothing was done; the message is told to whoever gave it."""


class Handler(Protocol):
    """One operation."""

    async def carry_out(self, order: Order) -> Verdict | None:
        """Do it, once; the journal says already that it is begun. `UnacceptableError` before anything is done.

        None: it ends with a restart, which this call has set off; `resume` then tells how it went.
        """

    async def resume(self, order: Order, begun_at_boot: int) -> Verdict | None:
        """It was begun and not ended: the device or its connection went away meanwhile. Find out how far it got."""

    def after_telling(self, order: Order) -> None:
        """Called once the cloud was told that it succeeded: for what takes this device away from that cloud."""
