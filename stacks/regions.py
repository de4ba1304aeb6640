"""In which regions AWS runs IoT Core, as the pinned botocore knows them."""

from functools import cache


@cache
def iot_regions() -> frozenset[str]:
    """The codes of the commercial regions. GovCloud and China are other partitions (`components.policies.arns`)."""
    from botocore.session import get_session  # noqa: PLC0415 - a line reads stack files often, and never asks this

    return frozenset(get_session().get_available_regions("iot"))
