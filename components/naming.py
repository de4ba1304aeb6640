"""The physical names and tags of an environment.

Names are explicit, so that policies can name a resource before it exists and a reviewer can read them in the plan:
`flotilla-<environment>-<thing>` for what lives in one region, with the cluster's name in it where a name is global
(IAM), `flotilla-<environment>-<region>-<purpose>-<account>` for buckets, whose names the whole world shares.
"""

from dataclasses import dataclass

import pulumi

PROJECT = "flotilla"
DISPOSABLE_ENVIRONMENT = "dev"
"""The one environment that may be destroyed as a whole; elsewhere, what cannot be made again is protected."""

MAX_NAME_CHARACTERS = 64  # IAM role name and Lambda function name, the shortest among the names made here
MAX_BUCKET_CHARACTERS = 63  # S3 bucket naming rules
ACCOUNT_ID_CHARACTERS = 12  # AWS account identifiers


class NameTooLongError(ValueError):
    """A physical name AWS would refuse; the message says which part to shorten."""


@dataclass(frozen=True, kw_only=True)
class Naming:
    """How everything in one environment is called, and whom it belongs to."""

    environment: str
    owner: str
    account_id: pulumi.Output[str]
    """The account deployed to; unknown only while nothing can be asked."""

    @property
    def protects(self) -> bool:
        """Whether what cannot be made again is protected from deletion."""
        return self.environment != DISPOSABLE_ENVIRONMENT

    def name(self, thing: str, *, cluster: str | None = None) -> str:
        """The name of `thing`; with `cluster` where names are shared by all regions (IAM)."""
        parts = (PROJECT, self.environment, *([cluster] if cluster else []), thing)
        return self._fitting("-".join(parts), limit=MAX_NAME_CHARACTERS)

    def rule(self, thing: str) -> str:
        """The name of an IoT topic rule, which takes no hyphen."""
        return self.name(thing).replace("-", "_")

    def bucket(self, purpose: str, *, region: str) -> pulumi.Output[str]:
        """The name of the bucket for `purpose` in `region`."""
        stem = f"{PROJECT}-{self.environment}-{region}-{purpose}"
        self._fitting(f"{stem}-{'0' * ACCOUNT_ID_CHARACTERS}", limit=MAX_BUCKET_CHARACTERS)
        return self.account_id.apply(lambda account_id: f"{stem}-{account_id}")

    def tags(self, component: str) -> dict[str, str]:
        """What everything taggable carries: whose it is, where it belongs, and what made it."""
        return {"environment": self.environment, "component": component, "owner": self.owner}

    def _fitting(self, name: str, *, limit: int) -> str:
        if len(name) > limit:
            raise NameTooLongError(
                f"the name {name!r} has {len(name)} characters and AWS takes {limit}; "
                f"shorten the stack's name {self.environment!r} or the cluster's"
            )
        return name
