"""What went wrong, as a document (RFC 9457): the same words as the commands', and who must act."""

from enum import StrEnum
from http import HTTPStatus
from typing import Self

from pydantic import Field

from provisioning.errors import CloudError, ConflictError, LeaseError, RefusedError, UnknownError
from stacks.environment import Frozen

PROBLEM_TYPE = "application/problem+json"
"""RFC 9457, section 3."""


class Who(StrEnum):
    """Who must act before the same request can succeed."""

    LINE = "line"
    """Whoever made the request: asking again changes nothing."""
    STATION = "station"
    """Whoever looks after this machine: its disk, clock, ledger, keys."""
    OPERATOR = "operator"
    """Whoever runs the cloud and the factory's authorities; a rerun continues."""


class Problem(Frozen):
    """One problem. Nothing was acknowledged; what was acknowledged before stands."""

    type: str = Field(description="Which kind of problem, for programs.", examples=["/problems/conflict"])
    title: str = Field(description="The kind in words.", examples=["Conflict"])
    status: int = Field(description="The HTTP status.", examples=[409])
    detail: str = Field(description="What is wrong, where, and the way out, as the commands say it.")
    who: Who = Field(description="Who must act: line, station or operator.")
    device: str | None = Field(default=None, description="The device it is about, if it is about one.")

    @classmethod
    def of(cls, error: Exception, *, device: str | None = None) -> Self:
        """The problem in an error of ours; whatever else a machine throws is the station's."""
        match error:
            case ConflictError():
                kind, status, who = "conflict", HTTPStatus.CONFLICT, Who.LINE
            case LeaseError():
                return cls.unready(error, device=device)
            case UnknownError():
                kind, status, who = "unknown", HTTPStatus.NOT_FOUND, Who.LINE
            case RefusedError():
                kind, status, who = "refused", HTTPStatus.UNPROCESSABLE_ENTITY, Who.LINE
            case CloudError():
                kind, status, who = "cloud", HTTPStatus.SERVICE_UNAVAILABLE, Who.OPERATOR
            case _:
                kind, status, who = "station", HTTPStatus.SERVICE_UNAVAILABLE, Who.STATION
        return cls.plain(status, str(error), kind=kind, who=who, device=device)

    @classmethod
    def unready(cls, error: Exception, *, device: str | None) -> Self:
        """An authority that cannot sign now, whatever keeps it: never the caller's fault."""
        whose = f"device {device}: " if device else ""
        detail = f"{whose}nothing was issued, ask again once this is mended: {error}"
        who = who_mends(error)
        return cls.plain(HTTPStatus.SERVICE_UNAVAILABLE, detail, kind="signer", who=who, device=device)

    @classmethod
    def plain(
        cls, status: HTTPStatus, detail: str, *, kind: str = "request", who: Who = Who.LINE, device: str | None = None
    ) -> Self:
        """A problem in one's own words."""
        return cls(
            type=f"/problems/{kind}", title=status.phrase, status=int(status), detail=detail, who=who, device=device
        )


def who_mends(error: Exception) -> Who:
    """Who must act before an authority can sign again: whoever runs it, unless this machine is in the way."""
    return Who.OPERATOR if isinstance(error, CloudError | RefusedError) else Who.STATION
