"""What happens to a fleet, and what must come of it: timelines as data.

Times are seconds of the devices' time, from the moment the story begins, with a fleet that is connected. A scenario
says nothing about how an act is done: that is the network's (`device.simulator.impaired_proxy`) and the ground's
(`device.simulator.ground`).
"""

from dataclasses import dataclass
from datetime import timedelta

from device.simulator.conditions import GOOD, Conditions, Harm

FIRST, SECOND = "eu1", "us1"
"""The clusters that a scenario knows; the fleet starts on the first."""


@dataclass(frozen=True, kw_only=True)
class Impose:
    """The network of a share of the devices, on the way to a cluster or to all, is like this from now on."""

    conditions: Conditions
    share: float = 1.0
    cluster: str = ""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Connections of a share of the devices are reset."""

    share: float = 1.0
    cluster: str = ""


@dataclass(frozen=True, kw_only=True)
class Kill:
    """A cluster's broker dies, with whatever it had in memory."""

    cluster: str = FIRST


@dataclass(frozen=True, kw_only=True)
class Start:
    """It is there again."""

    cluster: str = FIRST


@dataclass(frozen=True, kw_only=True)
class Lead:
    """Every device's name leads to this cluster from now on."""

    cluster: str


@dataclass(frozen=True, kw_only=True)
class SetClocks:
    """The clocks of a share of the devices jump by so much; `is_lost`: and they know that they are wrong."""

    share: float
    by: timedelta
    is_lost: bool = False


@dataclass(frozen=True, kw_only=True)
class Renew:
    """A share of the devices has a new key and certificate, and uses it from its next connection on."""

    share: float = 1.0


Act = Impose | Cut | Kill | Start | Lead | SetClocks | Renew


@dataclass(frozen=True)
class Step:
    """One act, and when."""

    at: float
    act: Act


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What must have come of a story, beside what always must: all that was measured is stored once, and in order."""

    ends_at: str = FIRST
    """Where every device is connected."""
    reconnects_at_least: int = 0
    """Of each device that the scenario touches."""
    touched: float = 1.0
    """The share of devices that it touches."""
    spreads_return: bool = False
    """The whole fleet comes back from an outage: below its quota, and within its window."""
    harms: frozenset[Harm] = frozenset()
    """What the network must have done, or the fleet bore nothing."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A story of a fleet."""

    name: str
    says: str
    lasts: float
    """Until it is over, or, where the fleet is not whole by then, as soon as it is."""
    steps: tuple[Step, ...] = ()
    expects: Expectation = Expectation()
    restored_at: float | None = None
    """When everything is as it was before; from then on counts the time to recover."""
    parts: "tuple[Scenario, ...]" = ()
    """The stories that it is made of, one after another, each judged by itself; nothing where it is one."""

    @property
    def stories(self) -> "tuple[Scenario, ...]":
        """What happens, in order."""
        return self.parts or (self,)

    @property
    def needs(self) -> frozenset[type]:
        """What kinds of act the ground must be able to do."""
        return frozenset(type(step.act) for story in self.stories for step in story.steps)

    @property
    def ends_at(self) -> str:
        """Where every device is connected in the end."""
        return self.stories[-1].expects.ends_at


def one_after_another(name: str, *scenarios: Scenario) -> Scenario:
    """One story out of several, each beginning when the one before is over.

    One that moves the fleet comes last: nothing moves it back.
    """
    return Scenario(
        name=name,
        says=", then ".join(scenario.name for scenario in scenarios),
        lasts=sum(scenario.lasts for scenario in scenarios),
        parts=scenarios,
    )


def _blink(at: float, share: float) -> tuple[Step, Step]:
    return Step(at, Impose(conditions=Conditions(refuses=True), share=share)), Step(at, Cut(share=share))


OUTAGE = Scenario(
    name="outage",
    says="the broker is killed, and is back after two minutes",
    steps=(Step(30, Kill()), Step(150, Start())),
    restored_at=150,
    lasts=190,
    expects=Expectation(reconnects_at_least=1, spreads_return=True),
)
CUT = Scenario(
    name="cut",
    says="the network is gone for longer than the broker keeps a session, then lets all through again",
    steps=(Step(30, Impose(conditions=Conditions(is_silent=True))), Step(550, Impose(conditions=GOOD))),
    restored_at=550,
    lasts=590,
    expects=Expectation(reconnects_at_least=1, spreads_return=True),
)
FLAP = Scenario(
    name="flap",
    says="three devices in ten lose their network for five seconds, every half minute, four times",
    steps=tuple(
        step
        for start in (30, 60, 90, 120)
        for step in (*_blink(start, 0.3), Step(start + 5, Impose(conditions=GOOD, share=0.3)))
    ),
    restored_at=125,
    lasts=165,
    expects=Expectation(reconnects_at_least=1, touched=0.3),
)
SKEW = Scenario(
    name="skew",
    says="two clocks in ten fall back to 1970 and know it; then half of all jump an hour ahead, and three hours back",
    steps=(
        Step(30, SetClocks(share=0.2, by=timedelta(days=-20_000), is_lost=True)),
        Step(90, SetClocks(share=0.5, by=timedelta(hours=1))),
        Step(150, SetClocks(share=0.5, by=timedelta(hours=-3))),
    ),
    lasts=210,
    expects=Expectation(),
)
REGION_LOSS = Scenario(
    name="region-loss",
    says="a cluster is gone for good, and after a minute every device's name leads to the other",
    steps=(Step(30, Kill()), Step(90, Lead(cluster=SECOND))),
    restored_at=90,
    lasts=130,
    expects=Expectation(ends_at=SECOND, reconnects_at_least=1, spreads_return=True),
)
SLOW_LINK = Scenario(
    name="slow-link",
    says="a second of delay, two seconds of jitter and 2,000 bytes a second for everyone",
    steps=(
        Step(30, Impose(conditions=Conditions(delay_seconds=1, jitter_seconds=2, bytes_per_second=2_000))),
        Step(180, Impose(conditions=GOOD)),
    ),
    restored_at=180,
    lasts=220,
    expects=Expectation(harms=frozenset({Harm.LATE})),
)
LOSS = Scenario(
    name="loss",
    says="a fifth of all segments is lost, and connections are reset meanwhile",
    steps=(
        Step(30, Impose(conditions=Conditions(delay_seconds=0.1, loss=0.2))),
        Step(100, Cut(share=0.5)),
        Step(180, Impose(conditions=GOOD)),
    ),
    restored_at=180,
    lasts=220,
    expects=Expectation(reconnects_at_least=1, touched=0.5, harms=frozenset({Harm.LOST})),
)
NAT = Scenario(
    name="nat",
    says="a NAT forgets connections that are silent for 30 seconds, which is less than anyone's keep-alive",
    steps=(
        Step(30, Impose(conditions=Conditions(forgets_after_seconds=30))),
        Step(180, Impose(conditions=GOOD)),
    ),
    restored_at=180,
    lasts=280,
    expects=Expectation(reconnects_at_least=1, harms=frozenset({Harm.FORGOTTEN})),
)
ROTATION = Scenario(
    name="rotation",
    says="every device has a new key and certificate, and its connection is reset",
    steps=(Step(30, Renew()), Step(30, Cut())),
    restored_at=30,
    lasts=70,
    expects=Expectation(reconnects_at_least=1, spreads_return=True),
)

EVERYTHING = one_after_another("everything", OUTAGE, CUT, LOSS, NAT, ROTATION, REGION_LOSS)

SCENARIOS = {
    scenario.name: scenario
    for scenario in (OUTAGE, FLAP, SKEW, REGION_LOSS, SLOW_LINK, CUT, LOSS, NAT, ROTATION, EVERYTHING)
}
"""By the name they have on the command line."""
