"""The events of an agent as a person reads them: what happened in the first column, then the rest."""

from collections.abc import Callable
from typing import Any

_GOOD, _BAD, _NEWS = "green", "red", "yellow"
_STYLES = {
    "acknowledged": _GOOD,
    "connected": _GOOD,
    "configured": _GOOD,
    "firmware_confirmed": _GOOD,
    "failed": _BAD,
    "buffer_dropped": _BAD,
    "sample_failed": _BAD,
    "sampler_lost": _BAD,
    "companion_failed": _BAD,
    "buffer_quarantined": _BAD,
    "buffer_unavailable": _BAD,
    "configuration_rejected": _BAD,
    "firmware_rolled_back": _BAD,
    "row_refused": _BAD,
    "unheard": _NEWS,
    "clock_jumped": _NEWS,
    "moved": _NEWS,
    "thinning": _NEWS,
    "summoned": _NEWS,
}
COLUMN = 14
"""How wide the first column is."""


def line_of(event: dict[str, Any]) -> tuple[str, str, str]:
    """First column, rest, and the style of the first column."""
    name = str(event["event"])
    sentence = _SENTENCES.get(name, _plain)(event)
    first, _, rest = sentence.partition("|")
    return first, rest, _STYLES.get(name, "")


def _plain(event: dict[str, Any]) -> str:
    """An event that needs no sentence of its own."""
    rest = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in event.items() if name != "event")
    return f"{event['event'].replace('_', ' ')}|{rest}"


def _thinning(event: dict[str, Any]) -> str:
    if event["keeps_one_in"] == 1:
        return f"whole again|the buffer has room; {event['left_out']} values were left out since the start"
    return f"thinning|the buffer fills: one value in {event['keeps_one_in']} is kept"


def _failed(event: dict[str, Any]) -> str:
    """A new identity is refused until the registrar has admitted it; later the same refusal is a fault."""
    cause = "failed" if event["was_ever_admitted"] else "not yet"
    return f"{cause}|{event['reason']}; again in {event['retry_in_seconds']} s"


_SENTENCES: dict[str, Callable[[dict[str, Any]], str]] = {
    "resolved": lambda e: "resolved|" + " -> ".join(e["chain"]),
    "trusted": lambda e: f"server|is trusted, {e['tls']}, {e['cipher']}",
    "connected": lambda e: f"connected|to {e['server_name']}, keep-alive {e['keep_alive_seconds']:g} s",
    "moved": lambda e: f"moved|from {e['from']} to {e['to']}: its name leads there now",
    "route_unknown": lambda e: f"stays|at {e['server_name']}: {e['reason']}",
    "summoned": lambda _e: "told to move|it looks up where it belongs",
    "not_served": lambda e: f"not served|{e['what']}: {e['reason']}",
    "unheard": lambda e: (
        f"unheard|rows {e['first']} to {e['last']}: nobody subscribed to them; again in {e['retry_in_seconds']} s"
    ),
    "failed": _failed,
    "acknowledged": lambda e: (
        f"acknowledged|rows {e['first']} to {e['last']}: {e['measurements']} measurements in {e['bytes']} bytes"
    ),
    "sample_failed": lambda e: f"no reading|of {e['what']}: {e['reason']}; it is tried again with each sample",
    "sample_works": lambda e: f"reading|of {e['what']} works again",
    "sampler_lost": lambda e: f"no sampler|{e['reason']}; nothing more is measured",
    "thinning": _thinning,
    "clock_jumped": lambda e: f"clock jumped|by {e['by_seconds']:+g} s; rows keep their order",
    "buffer_dropped": lambda e: f"dropped|{e['rows']} rows of priority {e['priority']}: {e['reason']}",
    "buffer_unavailable": lambda e: f"no flash|{e['reason']}; rows wait in memory",
    "buffer_available": lambda _e: "flash|takes rows again",
    "buffer_quarantined": lambda e: (
        f"damaged|the buffer: {e['reason']}; {e['saved']} rows of {e['rows'] or 'an unknown number'} saved; "
        f"the damaged file is kept as {e['kept']}"
    ),
    "job_ended": lambda e: f"job|{e['job']}: {e['status']}, {e['reason']}",
    "job_begun": lambda e: f"job|{e['job']}: {e['operation']} begun",
    "job_resumed": lambda e: f"job|{e['job']}: {e['operation']} was begun before, and is looked into",
    "configuration_rejected": lambda e: "rejected|" + "; ".join(f"{p}: {r}" for p, r in e["reasons"].items()),
    "summary": lambda e: (
        f"done|{e['batches']} batches of {e['device']} delivered to {e['server_name'] or 'nobody'}; "
        f"{e['waiting_rows']} rows wait for the next start"
    ),
}
