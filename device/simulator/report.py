"""What came of a run: numbers for people and programs, and whether everything is as it must be. Pure."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from device.buffer.capacity import Capacity
from device.simulator.conditions import Harm
from device.simulator.course import Course, Passage
from device.simulator.fleet import Fleet, is_touched
from device.simulator.member import Member

SLOWEST_ANSWER_SECONDS = 1.0
"""Of the world's time: how much later than it dialled a device may be in, on a busy machine; and so on top of a window
as many seconds of the devices' time."""
KIB_A_DEVICE = 640
"""The most memory that a device may take, with its connection, the network between and the records of what it sent:
half as much again as 1,000 devices with durable buffers took in the longest story (docs/simulator.md)."""
KIB_AT_START = 16 * 1024
"""And what a run may take whatever its size, for libraries at their first use: three times the 5 MiB by which a run of
one device grew (measured: `everything` on mosquitto, with a durable buffer)."""


@dataclass(frozen=True)
class Finding:
    """One thing that must be so."""

    rule: str
    holds: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """`numbers` and `devices` are what `--json` prints, beside the findings."""

    numbers: dict[str, Any]
    findings: tuple[Finding, ...]
    devices: tuple[dict[str, Any], ...]

    @property
    def holds(self) -> bool:
        """Whether everything is as it must be."""
        return all(finding.holds for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        findings = [{"rule": f.rule, "holds": f.holds, "detail": f.detail} for f in self.findings]
        return {**self.numbers, "holds": self.holds, "findings": findings, "devices": list(self.devices)}


def make_report(fleet: Fleet, *, pace: float, grown_kib: int) -> Report:
    """`grown_kib`: by how much the process grew, at most, since before the fleet."""
    members, course, scenario = fleet.members, fleet.course, fleet.scenario
    dropped: Counter[str] = Counter()
    for member in members:
        dropped.update(member.tally.dropped or {})
    numbers = {
        "scenario": scenario.name,
        "says": scenario.says,
        "devices_count": len(members),
        "pace": pace,
        "took_seconds": round(course.took_seconds, 1),
        "connects_per_second_quota": fleet.connects_per_second,
        "window_seconds": fleet.window.total_seconds(),
        "peak_attempts_per_second": max(course.attempts.values(), default=0),
        "attempts": sum(course.attempts.values()),
        "rows_measured": sum(member.measured for member in members),
        "rows_acknowledged": sum(member.tally.rows for member in members),
        "rows_waiting": sum(member.waiting for member in members),
        "rows_dropped": dict(dropped),
        "batches": sum(member.tally.batches for member in members),
        "batches_nobody_heard": sum(member.tally.unheard for member in members),
        "reconnects": sum(max(0, member.tally.connections - 1) for member in members),
        "peak_buffer_bytes_a_device": course.peak_disk_bytes,
        "kib_a_device": round(grown_kib / len(members), 1),
        "harm": {harm.name.lower(): fleet.proxy.harm[harm] for harm in Harm},
        "stories": [_story(passage, course) for passage in course.passages],
    }
    return Report(
        numbers=numbers,
        findings=(*_findings(fleet, numbers, pace), _memory(len(members), grown_kib)),
        devices=tuple(_device(member, fleet) for member in members),
    )


def _story(passage: Passage, course: Course) -> dict[str, Any]:
    return {
        "story": passage.story.name,
        "began_at": round(passage.began, 1),
        "ended_at": round(passage.ended, 1),
        "peak_attempts_per_second_once_restored": course.peak_attempts_once_restored(passage),
        "seconds_until_all_back": passage.back_after,
        "reconnects": sum(passage.reconnects),
        "harm": {harm.name.lower(): passage.harm[harm] for harm in Harm},
    }


def _findings(fleet: Fleet, numbers: dict[str, Any], pace: float) -> list[Finding]:
    measured, acknowledged, waiting = (numbers[f"rows_{each}"] for each in ("measured", "acknowledged", "waiting"))
    dropped = sum(numbers["rows_dropped"].values())
    found = [
        Finding(
            "every row that was measured is acknowledged",
            measured == acknowledged > 0 and waiting == dropped == 0,
            f"{measured:,} measured, {acknowledged:,} acknowledged, {waiting:,} waiting, {dropped:,} dropped",
        ),
        _stored(fleet),
        Finding("what arrived is whole, and in order", not fleet.ground.faults(), "; ".join(fleet.ground.faults())),
    ]
    end = fleet.ground.server_name(fleet.scenario.ends_at)
    elsewhere = sum(member.tally.server_name != end for member in fleet.members)
    found.append(Finding(f"all end at {end}", not elsewhere, f"{elsewhere:,} are elsewhere"))
    for passage in fleet.course.passages:
        told = _passage(passage, fleet, pace)
        found += [replace(each, rule=f"{passage.story.name}: {each.rule}") for each in told]
    if fleet.world.on_disk:
        bound = Capacity.of_bytes(fleet.world.buffer_bytes).total_bytes
        found.append(
            Finding(
                "no buffer is larger than its bound",
                0 < fleet.course.peak_disk_bytes <= bound,
                f"{fleet.course.peak_disk_bytes:,} of {bound:,} bytes",
            )
        )
    return found


def _passage(passage: Passage, fleet: Fleet, pace: float) -> list[Finding]:
    """What must have come of one story."""
    expects, found = passage.story.expects, []
    if expects.reconnects_at_least:
        touched = [member.number for member in fleet.members if is_touched(member.number, expects.touched)]
        fewest = min(passage.reconnects[number] for number in touched)
        rule = f"each of the {len(touched):,} devices it happened to reconnected"
        found.append(Finding(rule, fewest >= expects.reconnects_at_least, f"the fewest reconnects are {fewest}"))
    found += [
        Finding(f"something {harm}", passage.harm[harm] > 0, f"{passage.harm[harm]:,} times")
        for harm in Harm
        if harm in expects.harms
    ]
    return found + (_return(passage, fleet, pace) if expects.spreads_return else [])


def _memory(devices: int, grown_kib: int) -> Finding:
    bound = KIB_AT_START + KIB_A_DEVICE * devices
    return Finding("memory stays within its bound", grown_kib <= bound, f"{grown_kib:,} of {bound:,} KiB")


def _stored(fleet: Fleet) -> Finding:
    rule = "every acknowledged row is stored, once"
    differ, unknown = 0, 0
    for member in fleet.members:
        for epoch, rows in member.tally.acknowledged.items():
            arrived = fleet.ground.arrived_rows(member.device, epoch)
            unknown += arrived is None
            differ += arrived is not None and arrived != rows
    if unknown:
        return Finding(rule, holds=True, detail="not known here: ask the lake")
    return Finding(rule, not differ, f"{differ:,} devices have more or fewer" if differ else "")


def _return(passage: Passage, fleet: Fleet, pace: float) -> list[Finding]:
    peak, back = fleet.course.peak_attempts_once_restored(passage), passage.back_after
    window, answer = fleet.window.total_seconds(), pace * SLOWEST_ANSWER_SECONDS
    told = f"{back or 0:.0f} s; the window is {window:.0f} s, and an answer may take {answer:.0f} s of theirs"
    return [
        Finding(
            "the return stays below the quota",
            peak is not None and peak <= fleet.connects_per_second,
            f"at most {peak or 0:,} connects in a second; the quota is {fleet.connects_per_second:,}",
        ),
        Finding(
            "all are back within one window",
            back is not None and back <= window + answer,
            "not all are back" if back is None else told,
        ),
    ]


def _device(member: Member, fleet: Fleet) -> dict[str, Any]:
    tally = member.tally
    arrived = [fleet.ground.arrived_rows(member.device, epoch) for epoch in tally.acknowledged]
    return {
        "device": member.device,
        "rows_measured": member.measured,
        "rows_acknowledged": tally.rows,
        "rows_stored": None if None in arrived else sum(rows or 0 for rows in arrived),
        "rows_waiting": member.waiting,
        "rows_dropped": dict(tally.dropped or {}),
        "reconnects": max(0, tally.connections - 1),
        "failures": tally.failures,
        "last_reason": tally.last_reason,
        "server_name": tally.server_name,
    }
