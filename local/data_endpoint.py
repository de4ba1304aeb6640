"""The names under which cells stand in the zone: `<prefix>-ats.iot.<region>.localhost`, as MiniStack gives them out."""

import re

_DATA_ENDPOINT = re.compile(r"[a-z0-9-]+\.iot\.(?P<region>[a-z0-9-]+)\.localhost(:[0-9]+)?")


def data_endpoint_region(name: str) -> str | None:
    """The region whose cell a name means; nothing if it is no data endpoint."""
    match = _DATA_ENDPOINT.fullmatch(name.rstrip(".").lower())
    return match["region"] if match else None
