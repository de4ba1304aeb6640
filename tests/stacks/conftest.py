"""A good stack file to break, and the folder it is read from."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from stacks.environment import Environment
from stacks.load import load_environment

TODAY = date(2026, 6, 1)

GOOD = """\
encryptionsalt: v1:c2FsdA==
config:
  aws:region: eu-west-1
  flotilla:owner: platform-team
  flotilla:domain: iot.example.org
  flotilla:clusters:
    eu1: { region: eu-west-1, kind: managed, residency: EU, batches: kinesis }
    us1: { region: us-east-1, kind: managed, residency: US, batches: kinesis }
  flotilla:default:
    choose: single
    cluster: eu1
  flotilla:authorities:
    line-a:
      key: kms
      common_name: Line A Issuing CA
    line-b:
      key: kms
      common_name: Line B Issuing CA
  flotilla:models:
    fl100:
      vendor: Nordwind Elektronik
      soc: Nordic nRF9161
      modem: Nordic nRF9161
      key_storage: secure-element
      support_until: "2041-06-30"
  flotilla:alarms:
    rule_errors: 1
    registrations_refused: 5
    dead_letters_waiting: 1
    authority_expiry_days: 180
  flotilla:firmware:
    retention_mode: GOVERNANCE
    retention_days: 30
  flotilla:fleet: { clusters: { eu1: { devices: 100000 }, us1: { devices: 50000 } } }
  flotilla:pins:
    - device: device1
      cluster: us1
      residency: US
      owner: quality-team
      reason: Compares two clusters.
      expires: "2027-01-31"
    - device: device2
      address: 192.0.2.100
      owner: firmware-team
      reason: Talks to a gateway on a desk.
      expires: 2026-06-01
"""
"""Valid on TODAY as stack `lab`, with a key Pulumi keeps there and a date without quotes."""

Load = Callable[..., Environment]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write a stack file and load it: `load(text, stack="lab", other=text_of_stack_other)`."""

    def write_and_load(text: str, *, stack: str = "lab", other: str | None = None) -> Environment:
        (tmp_path / f"Pulumi.{stack}.yaml").write_text(text, encoding="utf-8")
        if other is not None:
            (tmp_path / "Pulumi.other.yaml").write_text(other, encoding="utf-8")
        return load_environment(stack, today=TODAY, directory=tmp_path)

    return write_and_load
