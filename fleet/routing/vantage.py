"""Where an AWS region is: what a geolocation record set asks of whoever looks a name up there."""

CONTINENTS = {
    "af": "AF",
    "ap": "AS",
    "ca": "NA",
    "cn": "AS",
    "eu": "EU",
    "il": "AS",
    "me": "AS",
    "mx": "NA",
    "sa": "SA",
    "us": "NA",
}
"""Route 53's continent codes by the first part of a region's code."""
OCEANIA = frozenset({"ap-southeast-2", "ap-southeast-4", "ap-southeast-6"})
"""Sydney, Melbourne and New Zealand: `ap-` regions on another continent."""


def continent(region: str) -> str | None:
    """The continent code of a region; nothing for one we do not know."""
    return "OC" if region in OCEANIA else CONTINENTS.get(region.partition("-")[0])
