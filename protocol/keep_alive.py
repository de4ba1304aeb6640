"""The keep-alive of a connection: below every timeout on its path, or it does not exist.

A device behind a NAT or a load balancer that forgot it is deaf and does not know; a device that pings more often than
its operator allows is cut off. Which of these a network does is `Operator`; whether an interval fits is asked once,
when a `KeepAlive` is made.
"""

from dataclasses import dataclass
from datetime import timedelta

from protocol.traffic import KEEP_ALIVE, SERVER_PATIENCE

SHORTEST_KEEP_ALIVE = timedelta(seconds=30)
LONGEST_KEEP_ALIVE = timedelta(seconds=1200)
"""What AWS IoT Core takes; it sets a smaller or larger one to these (AWS IoT Core quotas, message broker)."""
LOAD_BALANCER_IDLE = timedelta(seconds=350)
"""A Network Load Balancer forgets an idle TCP connection after this (AWS, listeners; fixed for TLS listeners)."""
NAT_GATEWAY_IDLE = timedelta(seconds=350)
"""And so does a NAT gateway (AWS, NAT gateway basics)."""
LONGEST_PATIENCE = LONGEST_KEEP_ALIVE * SERVER_PATIENCE
"""The longest silence that AWS IoT Core bears from any client."""


class KeepAliveError(ValueError):
    """No connection can be kept alive like this; the message is the rule, a semicolon and the way out."""


@dataclass(frozen=True)
class Operator:
    """A mobile or fixed network between devices and the internet."""

    name: str
    idle_timeout: timedelta
    """It forgets a connection that was silent this long: from 300 s to 6 h in mobile networks."""
    shortest_interval: timedelta = timedelta(0)
    """It forbids to speak more often than this only to stay connected; some forbid less than 5 minutes."""


@dataclass(frozen=True)
class KeepAlive:
    """An interval that fits this operator, what stands before the broker, and the broker; `KeepAliveError` if none."""

    operator: Operator
    interval: timedelta = KEEP_ALIVE
    load_balancer_idle: timedelta = LOAD_BALANCER_IDLE
    nat_idle: timedelta = NAT_GATEWAY_IDLE
    server_patience: timedelta = LONGEST_PATIENCE
    """The longest silence after which the broker still believes in a client."""

    def __post_init__(self) -> None:
        longest, whose = self._nearest_timeout()
        if longest <= SHORTEST_KEEP_ALIVE:
            raise KeepAliveError(
                f"{whose} forgets a silent connection after {_s(longest)}, and AWS IoT Core takes no keep-alive below "
                f"{_s(SHORTEST_KEEP_ALIVE)}; lengthen that timeout, or take another network"
            )
        self._check_broker()
        shortest = self.operator.shortest_interval
        if shortest >= longest:
            raise KeepAliveError(
                f"operator {self.operator.name} allows no keep-alive below {_s(shortest)}, and {whose} forgets a "
                f"silent connection after {_s(longest)}; lengthen that timeout, or take another operator"
            )
        if self.interval >= longest:
            raise KeepAliveError(
                f"a keep-alive of {_s(self.interval)} is too long: {whose} forgets a silent connection after "
                f"{_s(longest)}; choose less than that"
            )
        if self.interval < shortest:
            raise KeepAliveError(
                f"a keep-alive of {_s(self.interval)} is too short: operator {self.operator.name} allows none below "
                f"{_s(shortest)}; choose from there up to less than {_s(longest)}"
            )

    @property
    def seen_dead_after(self) -> timedelta:
        """How long the broker believes in a device that fell silent."""
        return self.interval * SERVER_PATIENCE

    def _check_broker(self) -> None:
        if not SHORTEST_KEEP_ALIVE <= self.interval <= LONGEST_KEEP_ALIVE:
            raise KeepAliveError(
                f"a keep-alive of {_s(self.interval)} is none for AWS IoT Core; choose from {_s(SHORTEST_KEEP_ALIVE)} "
                f"to {_s(LONGEST_KEEP_ALIVE)}"
            )
        if self.seen_dead_after > self.server_patience:
            raise KeepAliveError(
                f"a keep-alive of {_s(self.interval)} lets the broker wait {_s(self.seen_dead_after)}, "
                f"{SERVER_PATIENCE} times as long, and its patience is {_s(self.server_patience)}; "
                f"choose at most {_s(self.server_patience / SERVER_PATIENCE)}"
            )

    def _nearest_timeout(self) -> tuple[timedelta, str]:
        return min(
            (self.operator.idle_timeout, f"operator {self.operator.name}"),
            (self.load_balancer_idle, "the load balancer"),
            (self.nat_idle, "the NAT"),
        )


FITTING_SHARE = 0.8
"""Of the nearest timeout: a ping that is late by a retransmission or two still comes in time."""


def fitting_keep_alive(operator: Operator) -> KeepAlive:
    """The interval for a device in this operator's network; `KeepAliveError` when there is none.

    The usual one where it fits; else shorter than the nearest timeout by a fifth, or as long as operator and broker
    demand.
    """
    nearest = min(operator.idle_timeout, LOAD_BALANCER_IDLE, NAT_GATEWAY_IDLE)
    longest = timedelta(seconds=int(nearest.total_seconds() * FITTING_SHARE))
    return KeepAlive(operator, max(min(KEEP_ALIVE, longest), operator.shortest_interval, SHORTEST_KEEP_ALIVE))


def _s(time: timedelta) -> str:
    return f"{time.total_seconds():g} s"
