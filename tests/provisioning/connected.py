"""A factory that reaches a deployed environment, on the embedded AWS."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from cryptography.hazmat.primitives import hashes

from local.aws_environment import aws_environment
from local.deployment import Deployment
from tests.provisioning.factory import CEREMONY, Factory, Finished, provisioning

BOTH_LINES = (
    CEREMONY.replace("lines:\n", "lines:\n  bench-b: { authority: line-b, models: [fl100, fl50] }\n")
    + "  line-b: { common_name: Flotilla Dev Line B Issuing CA, key: kms, lifetime_years: 20, path_length: 0 }\n"
)
"""`CEREMONY`, and the authority of stack dev whose key is in KMS."""
UNREACHABLE = "http://127.0.0.1:1"
"""No cloud answers there."""


@dataclass(frozen=True)
class Connected:
    """A factory of its own that reaches a deployed environment."""

    factory: Factory
    desk: Deployment

    @property
    def outputs(self) -> Path:
        return self.desk.home / "outputs.json"

    @property
    def variables(self) -> Mapping[str, str]:
        return aws_environment(self.desk.record)

    def client(self, service: str, region: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]  # the service is a variable here
            service,
            region_name=region,
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def sync_order(self, *more: str, outputs: Path | None = None) -> list[str | Path]:
        """The arguments of `sync`."""
        return [
            *("sync", "--stack", "dev", "--outputs", outputs or self.outputs, "--factory", self.factory.folder),
            *("--json", *more),
        ]

    def sync(self, *more: str, variables: Mapping[str, str] | None = None, outputs: Path | None = None) -> Finished:
        return provisioning(
            *self.sync_order(*more, outputs=outputs),
            variables=self.variables if variables is None else variables,
        )

    def revoke(self, device: str, *more: str) -> Finished:
        return self.factory.revoke(
            device, "--outputs", self.outputs, *more, reason="key-compromise", variables=self.variables
        )

    def item(self, cluster: str, fingerprint: str) -> dict[str, str] | None:
        """What a cluster's manifest holds."""
        found = self.desk.outputs.clusters[cluster]
        key = {"fingerprint": {"S": fingerprint}}
        answer = self.client("dynamodb", found.region).get_item(TableName=found.manifest_table, Key=key)
        return {name: value["S"] for name, value in answer["Item"].items()} if "Item" in answer else None

    def fingerprint(self, device: str) -> str:
        return self.factory.chain(device)[0].fingerprint(hashes.SHA256()).hex()
