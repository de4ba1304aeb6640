"""What a deployment gives to the tools: the one seam between infrastructure and `fleet`, `provisioning`, `local`.

`__main__` exports these fields, one stack output each; `pulumi stack output --json` (or the desk) writes them to a
file; the tools read that file with `read_outputs`. A change here is made with both sides in one commit.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from stacks.environment import Environment

OUTPUTS_VERSION = 3


class OutputsError(Exception):
    """The outputs file cannot be used; says what is wrong and the way out."""


class _Typed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Stamp(BaseModel):
    """The version alone, which says how the rest is to be read."""

    version: int


class ClusterOutputs(_Typed):
    """One ingestion cluster."""

    region: str
    kind: str
    residency: str
    server_name: str
    """What devices verify: `<cluster>.clusters.<domain>`."""
    max_connections: int
    """The account's quota there, as the stack file states it."""
    max_connects_per_second: int
    """Likewise, of new connections."""
    data_endpoint: str
    """The host name the cluster's CNAME leads to."""
    manifest_table: str
    """DynamoDB table of `protocol.admission` items, in this cluster's region."""
    lake_bucket: str
    """S3 bucket the batches arrive in."""
    batches: str
    """`lambda` or `kinesis`: how they come there."""
    ingest_function: str
    """Lambda function that stores them."""
    dead_letter_queue_url: str
    """SQS queue of what could not be delivered."""
    firmware_bucket: str
    alarm_topic_arn: str


class AuthorityOutputs(_Typed):
    """One issuing authority."""

    key: str
    """Where its key is: `file`, `kms`, `pkcs11` or `vendor`."""
    key_arn: str | None = None
    key_region: str | None = None
    """Only of a key in KMS: Pulumi leaves out what is null."""
    ca_certificate_ids: dict[str, str]
    """Cluster to the id of the CA registered there; empty until the authority has a certificate."""


class DefaultOutputs(_Typed):
    """Where the wildcard leads, as the stack file chooses it (`stacks.environment.Default`)."""

    choose: str
    """`single`, `latency` or `geolocation`."""
    cluster: str | None = None
    """`single`: the cluster. `geolocation`: the cluster for places no continent names."""
    clusters: list[str] = []
    """`latency`: the candidates."""
    continents: dict[str, str] = {}
    """`geolocation`: continent's code to cluster."""


class PinOutputs(_Typed):
    """A device whose record Pulumi owns: no tool touches its name."""

    target: str
    """A cluster, or an IPv4 address."""
    residency: str | None = None


class RoutingOutputs(_Typed):
    """What `fleet route` works on."""

    route_table: str
    """DynamoDB table of routes, in the home region."""
    default: DefaultOutputs
    pins: dict[str, PinOutputs]
    """Device to its pin."""
    max_share_percent: int
    """How much of the fleet one plan may change without being told so twice."""


class Outputs(_Typed):
    """A whole deployment."""

    version: int
    environment: str
    domain: str
    home_region: str
    zone_id: str
    name_servers: list[str]
    routing: RoutingOutputs
    device_policy_name: str
    """The IoT policy of devices, the same name in every cluster region."""
    device_group_name: str = ""
    """The thing group that carries that policy, likewise; empty in a deployment older than the group."""
    clusters: dict[str, ClusterOutputs]
    authorities: dict[str, AuthorityOutputs]
    authorities_without_certificate: dict[str, str]
    """Authority to the command that makes its certificate; empty when there is nothing left to do."""


def routing_outputs(environment: Environment) -> dict[str, Any]:
    """What the environment itself says of routing: `RoutingOutputs` but for the table. Absent is left out, not null."""
    default = environment.default
    return {
        "default": {
            "choose": default.choose.value,
            **({"cluster": default.cluster} if default.cluster else {}),
            "clusters": list(default.clusters),
            "continents": {continent.value: cluster for continent, cluster in sorted(default.continents.items())},
        },
        "pins": {
            pin.device: {
                "target": pin.cluster or pin.address,
                **({"residency": pin.residency.value} if pin.residency else {}),
            }
            for pin in environment.pins
        },
        "max_share_percent": environment.routing.max_share_percent,
    }


def read_outputs(path: Path) -> Outputs:
    """The outputs in a JSON file; `OutputsError` says why not, and what to run."""
    rewrite = f"write it with: pulumi stack output --json > {path}"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise OutputsError(f"{path}: cannot be read ({error.strerror}); {rewrite}") from error
    except UnicodeDecodeError as error:
        raise OutputsError(f"{path}: is not UTF-8; {rewrite}") from error
    try:
        stamp = _Stamp.model_validate_json(text)
        if stamp.version == OUTPUTS_VERSION:
            return Outputs.model_validate_json(text)
    except ValidationError as error:
        wrong = ", ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}".lstrip(": ") for each in error.errors())
        raise OutputsError(f"{path}: is not the outputs of a Flotilla deployment ({wrong}); {rewrite}") from error
    raise OutputsError(f"{path}: has version {stamp.version}, these tools read version {OUTPUTS_VERSION}; deploy again")
