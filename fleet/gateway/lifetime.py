"""How long a redirect may last."""

import re
from datetime import timedelta

from fleet.errors import RefusedError

MIN_REDIRECT = timedelta(minutes=5)
"""A device learns of it after the TTL of its name (60 s) and its next look-up; less would end before it began."""
MAX_REDIRECT = timedelta(days=7)
"""Longer is no debugging: pin the device in the stack file, where a reviewer sees it. Gateways' certificates are not
revocable, so this is also how long a lost laptop can matter (ADR 9)."""

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhd])")


def parse_lifetime(text: str) -> timedelta:
    """`90m`, `4h`, `2d`; `RefusedError` names the rule it breaks."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise RefusedError(f"--for: {text!r} is no span of time; give minutes, hours or days, such as 90m, 4h or 2d")
    span = int(found[1]) * _UNITS[found[2]]
    if not MIN_REDIRECT <= span <= MAX_REDIRECT:
        raise RefusedError(
            f"--for: {text} is not between {MIN_REDIRECT.seconds // 60} minutes and {MAX_REDIRECT.days} days; "
            f"a device that stays longer is pinned in the stack file"
        )
    return span
