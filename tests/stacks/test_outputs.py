"""What a deployment gives to the tools is read back as it was written, or refused with the way out."""

import json
from pathlib import Path
from typing import Any

import pytest

from stacks.outputs import (
    OUTPUTS_VERSION,
    AuthorityOutputs,
    ClusterOutputs,
    DefaultOutputs,
    Outputs,
    OutputsError,
    PinOutputs,
    RoutingOutputs,
    read_outputs,
)

OUTPUTS = Outputs(
    version=OUTPUTS_VERSION,
    environment="lab",
    domain="iot.example.org",
    home_region="eu-west-1",
    zone_id="Z0123456789",
    name_servers=["ns1.example.net", "ns2.example.net"],
    routing=RoutingOutputs(
        route_table="flotilla-lab-routes",
        default=DefaultOutputs(choose="single", cluster="eu1"),
        pins={"desk1": PinOutputs(target="192.0.2.100")},
        max_share_percent=10,
    ),
    device_policy_name="flotilla-lab-device",
    clusters={
        "eu1": ClusterOutputs(
            region="eu-west-1",
            kind="managed",
            residency="EU",
            server_name="eu1.clusters.iot.example.org",
            max_connections=500_000,
            max_connects_per_second=500,
            data_endpoint="abc-ats.iot.eu-west-1.amazonaws.com",
            manifest_table="flotilla-lab-manifest",
            lake_bucket="flotilla-lab-eu-west-1-lake-123456789012",
            batches="kinesis",
            ingest_function="flotilla-lab-ingest",
            dead_letter_queue_url="https://sqs.eu-west-1.amazonaws.com/123456789012/flotilla-lab-dead-letters",
            firmware_bucket="flotilla-lab-eu-west-1-firmware-123456789012",
            alarm_topic_arn="arn:aws:sns:eu-west-1:123456789012:flotilla-lab-alarms",
        )
    },
    authorities={
        "line-a": AuthorityOutputs(
            key="kms",
            key_arn="arn:aws:kms:eu-west-1:123456789012:key/0123",
            key_region="eu-west-1",
            ca_certificate_ids={"eu1": "ab" * 32},
        ),
        "line-b": AuthorityOutputs(key="file", key_arn=None, key_region=None, ca_certificate_ids={}),
    },
    authorities_without_certificate={"line-b": "python -m provisioning ceremony line-b.yaml"},
)


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "outputs.json"
    path.write_text(json.dumps(OUTPUTS.model_dump() | changes), encoding="utf-8")
    return path


def test_outputs_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    assert read_outputs(written(tmp_path)) == OUTPUTS


def test_outputs_of_another_version_are_refused_with_the_way_out(tmp_path: Path) -> None:
    path = written(tmp_path, version=OUTPUTS_VERSION - 1)
    with pytest.raises(OutputsError) as caught:
        read_outputs(path)
    assert str(caught.value) == f"{path}: has version 2, these tools read version 3; deploy again"


def test_outputs_of_another_version_are_refused_for_their_version_whatever_else_changed(tmp_path: Path) -> None:
    path = written(tmp_path, version=OUTPUTS_VERSION + 1, a_field_of_the_future=True)
    with pytest.raises(OutputsError, match=r"has version 4, these tools read version 3; deploy again"):
        read_outputs(path)


@pytest.mark.parametrize("content", ["", "[]", "{", "{}", '{"version": 3, "zone": "x"}', "5", "null"])
def test_what_is_no_outputs_of_ours_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "outputs.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(
        OutputsError, match=r"is not the outputs of a Flotilla deployment \(.+\); write it with"
    ) as caught:
        read_outputs(path)
    assert len(str(caught.value).splitlines()) == 1, "one problem is one line"


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "outputs.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(OutputsError, match="is not UTF-8; write it with"):
        read_outputs(path)


def test_a_missing_file_is_refused_with_the_command_that_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "outputs.json"
    with pytest.raises(OutputsError) as caught:
        read_outputs(path)
    assert str(caught.value) == (
        f"{path}: cannot be read (No such file or directory); write it with: pulumi stack output --json > {path}"
    )


def test_outputs_with_a_field_nobody_knows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputsError, match="a_stray_export"):
        read_outputs(written(tmp_path, a_stray_export=1))
