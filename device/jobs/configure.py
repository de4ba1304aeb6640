"""`{"operation": "configure", "configuration": {…}}`: work by another configuration, whole or not at all."""

from device.configuration_keeper import ConfigurationKeeper, InvalidConfigurationError
from device.jobs.handler import UnacceptableError
from device.jobs.order import Order, Status, Verdict


class Configure:
    """Doing it twice is doing it once."""

    __slots__ = ("_keeper",)

    def __init__(self, keeper: ConfigurationKeeper) -> None:
        self._keeper = keeper

    async def carry_out(self, order: Order) -> Verdict | None:
        """Check it as a whole, keep it, and work by it."""
        try:
            self._keeper.take(order.document.get("configuration"))
        except InvalidConfigurationError as error:
            raise UnacceptableError(str(error)) from error
        except OSError as error:
            return Verdict(Status.FAILED, f"the flash does not take it ({error}); the old configuration stays")
        return Verdict(Status.SUCCEEDED, "works by it")

    async def resume(self, order: Order, _begun_at_boot: int) -> Verdict | None:
        """Once more, to the same effect."""
        return await self.carry_out(order)

    def after_telling(self, _order: Order) -> None:
        """Nothing is left to do."""
