"""What a connected device does beside delivering: jobs, configuration, slots. Each is a companion of the session."""

from typing import Protocol

from device.link import Link, Message


class Companion(Protocol):
    """One such concern."""

    @property
    def topic_filters(self) -> tuple[str, ...]:
        """What it wants to hear."""

    def hear(self, message: Message) -> bool:
        """Whether the message was for it. Called in the event loop; must not wait."""

    async def accompany(self, link: Link) -> None:
        """Do its part while the connection stands; cancelled when that ends. May return early.

        `NotAcknowledgedError` when this broker does not serve it.
        """
