"""`{"operation": "move"}`: look the own name up now, and go where it leads."""

from collections.abc import Callable

from device.jobs.order import Order, Status, Verdict


class Move:
    """Told before it is done: from its new cluster the device cannot answer the old one's job.

    A restart in between is no harm, since every start looks the name up.
    """

    __slots__ = ("_summon",)

    def __init__(self, summon: Callable[[], None]) -> None:
        """`summon`: what a move command calls too."""
        self._summon = summon

    async def carry_out(self, _order: Order) -> Verdict | None:
        """Say so; the going comes after."""
        return Verdict(Status.SUCCEEDED, "looks its name up and goes where it leads")

    async def resume(self, order: Order, _begun_at_boot: int) -> Verdict | None:
        """The name was looked up since."""
        return await self.carry_out(order)

    def after_telling(self, _order: Order) -> None:
        """Go."""
        self._summon()
