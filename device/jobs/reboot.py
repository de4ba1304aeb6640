"""`{"operation": "reboot"}`: start anew."""

from collections.abc import Callable

from device.jobs.order import Order, Status, Verdict


class Reboot:
    """Any restart after the order was begun is the one that was asked for, a power cut too: it happens once."""

    __slots__ = ("_boot", "_restart")

    def __init__(self, *, boot: int, restart: Callable[[], None]) -> None:
        """`restart` sets it off and returns."""
        self._boot, self._restart = boot, restart

    async def carry_out(self, _order: Order) -> Verdict | None:
        """Go down; `resume` tells how it went."""
        self._restart()
        return None

    async def resume(self, _order: Order, begun_at_boot: int) -> Verdict | None:
        """Up again; or still up, when the connection was faster than the restart."""
        if begun_at_boot == self._boot:
            return None
        return Verdict(Status.SUCCEEDED, f"up again, start number {self._boot}")

    def after_telling(self, _order: Order) -> None:
        """Nothing is left to do."""
