"""One mistake at a time in a good stack file: the message names file, line, key, rule and way out."""

from dataclasses import dataclass

import pytest

from stacks.errors import StackError
from tests.stacks.conftest import GOOD, Load


@dataclass(frozen=True)
class Mistake:
    """Replace `old` by `new`; the problem must be at `line`, or where the file first differs from the good one."""

    what: str
    old: str
    new: str
    key: str
    rule: str
    way_out: str
    line: int = 0

    def text(self) -> str:
        assert GOOD.count(self.old) == 1, f"{self.old!r} must stand once in the good file"
        return GOOD.replace(self.old, self.new)

    def place(self) -> str:
        differs = next(index for index, (good, bad) in enumerate(zip(GOOD, self.text(), strict=False)) if good != bad)
        line = self.line or GOOD.count("\n", 0, differs) + 1
        return f"Pulumi.lab.yaml:{line}: " + (f"{self.key}: " if self.key else "")


PIN1 = "flotilla:pins[0]"

MISTAKES = [
    Mistake(
        "a key Pulumi does not know",
        "config:\n",
        "conifg: {}\nconfig:\n",
        "conifg",
        "nothing reads this key",
        "did you mean `config`?",
    ),
    Mistake(
        "an unknown key of ours",
        "flotilla:owner:",
        "flotilla:ownr:",
        "flotilla:ownr",
        "nothing reads this key",
        "did you mean `flotilla:owner`?",
    ),
    Mistake(
        "a key like the desk's own, which no stack file needs",
        "flotilla:owner:",
        "flotilla:authorities_directry:",
        "flotilla:authorities_directry",
        "nothing reads this key",
        "the keys here are aws:region, flotilla:alarms, flotilla:authorities, flotilla:clusters",
    ),
    Mistake(
        "a region that AWS does not have",
        "region: us-east-1",
        "region: us-east-9",
        "flotilla:clusters.us1.region",
        "AWS IoT Core is in no region us-east-9",
        "did you mean us-east-",
    ),
    Mistake(
        "a key without our prefix",
        "  flotilla:models:",
        "  models:",
        "models",
        "nothing reads this key",
        "flotilla:models",
    ),
    Mistake(
        "an unknown key of the provider",
        "aws:region: eu-west-1",
        "aws:region: eu-west-1\n  aws:secretKey: hush",
        "aws:secretKey",
        "nothing reads this key",
        "aws:profile",
        line=4,
    ),
    Mistake(
        "a missing key",
        "  flotilla:domain: iot.example.org\n",
        "",
        "flotilla:domain",
        "this key is missing",
        "add it",
        line=2,
    ),
    Mistake(
        "an unknown key inside",
        "us1: { region: us-east-1, kind: managed, residency: US, batches: kinesis }",
        "us1: { regoin: us-east-1, region: us-east-1, kind: managed, residency: US, batches: kinesis }",
        "flotilla:clusters.us1.regoin",
        "nothing reads this key",
        "did you mean `region`? the keys here are batches, kind, region, residency",
    ),
    Mistake(
        "a missing key inside",
        "      reason: Compares two clusters.\n",
        "",
        f"{PIN1}.reason",
        "this key is missing",
        "add it",
        line=36,
    ),
    Mistake(
        "a value that is no choice",
        "residency: EU",
        "residency: UK",
        "flotilla:clusters.eu1.residency",
        "'UK' is no choice here",
        "write one of 'EU', 'US' or 'AP'",
    ),
    Mistake(
        "a retention mode that is no choice",
        "GOVERNANCE",
        "LENIENT",
        "flotilla:firmware.retention_mode",
        "'LENIENT' is no choice here",
        "'GOVERNANCE' or 'COMPLIANCE'",
    ),
    Mistake(
        "a number in quotes",
        "retention_days: 30",
        'retention_days: "30"',
        "flotilla:firmware.retention_days",
        "this must be a whole number, and is '30'",
        "without quotes",
    ),
    Mistake(
        "a number too small",
        "authority_expiry_days: 180",
        "authority_expiry_days: 29",
        "flotilla:alarms.authority_expiry_days",
        "29 is too small",
        "write at least 30",
    ),
    Mistake(
        "a number too large",
        "retention_days: 30",
        "retention_days: 36501",
        "flotilla:firmware.retention_days",
        "36501 is too large",
        "write at most 36500",
    ),
    Mistake(
        "yes for true",
        "  flotilla:alarms:",
        "  flotilla:routing: { dnssec: maybe }\n  flotilla:alarms:",
        "flotilla:routing.dnssec",
        "this must be true or false, and is 'maybe'",
        "write true or false",
        line=26,
    ),
    Mistake(
        "a share of nothing",
        "  flotilla:alarms:",
        "  flotilla:routing: { max_share_percent: 0 }\n  flotilla:alarms:",
        "flotilla:routing.max_share_percent",
        "0 is too small",
        "write at least 1",
        line=26,
    ),
    Mistake(
        "a share of more than the fleet",
        "  flotilla:alarms:",
        "  flotilla:routing: { max_share_percent: 101 }\n  flotilla:alarms:",
        "flotilla:routing.max_share_percent",
        "101 is too large",
        "write at most 100",
        line=26,
    ),
    Mistake(
        "a share that is no whole number",
        "  flotilla:alarms:",
        "  flotilla:routing: { max_share_percent: 2.5 }\n  flotilla:alarms:",
        "flotilla:routing.max_share_percent",
        "this must be a whole number, and is 2.5",
        "without quotes",
        line=26,
    ),
    Mistake(
        "a share with its unit",
        "  flotilla:alarms:",
        "  flotilla:routing: { max_share_percent: 10% }\n  flotilla:alarms:",
        "flotilla:routing.max_share_percent",
        "this must be a whole number, and is '10%'",
        "without quotes",
        line=26,
    ),
    Mistake(
        "a cluster named like the default",
        "    us1: { region: us-east-1, kind: managed, residency: US, batches: kinesis }",
        "    us1: { region: us-east-1, kind: managed, residency: US, batches: kinesis }\n"
        "    default: { region: us-west-2, kind: managed, residency: US, batches: kinesis }",
        "flotilla:clusters.default",
        "`fleet route` takes it for wherever the wildcard leads",
        "rename the cluster",
        line=9,
    ),
    Mistake(
        "nothing where a mapping should be",
        "eu1: { region: eu-west-1, kind: managed, residency: EU, batches: kinesis }",
        "eu1:",
        "flotilla:clusters.eu1",
        "this must be a mapping of keys to values, and is empty",
        "write its keys below it",
    ),
    Mistake(
        "an empty text",
        "vendor: Nordwind Elektronik",
        "vendor: ' '",
        "flotilla:models.fl100.vendor",
        "this text is empty",
        "write what a reviewer should read",
    ),
    Mistake(
        "a common name too long for a certificate",
        "Line A Issuing CA",
        "A" * 65,
        "flotilla:authorities.line-a.common_name",
        "this text has 65 characters",
        "shorten it to 64",
    ),
    Mistake(
        "an owner that cannot be a tag",
        "platform-team",
        "platform & team",
        "flotilla:owner",
        "'platform & team' is not allowed here: it becomes an AWS tag",
        "name the team",
    ),
    Mistake(
        "a domain with a trailing dot",
        "iot.example.org",
        "iot.example.org.",
        "flotilla:domain",
        "without a trailing dot",
        "write it such as iot.example.com",
    ),
    Mistake(
        "a home region that is none",
        "aws:region: eu-west-1",
        "aws:region: Ireland",
        "aws:region",
        "'Ireland' is not allowed here: a region is an AWS region code",
        "eu-west-1",
    ),
    Mistake(
        "a cluster name that cannot be a DNS label",
        "us1: { region",
        "US_1: { region",
        "flotilla:clusters.US_1",
        "'US_1' is not allowed here: a name is 2 to 31 lower-case letters",
        "rename it",
    ),
    Mistake(
        "a bad device id",
        "device: device1",
        "device: Device1",
        f"{PIN1}.device",
        "device id 'Device1' has capitals",
        "DNS folds case and MQTT does not: use lower case",
    ),
    Mistake(
        "a date that does not exist",
        '"2027-01-31"',
        '"2027-02-30"',
        f"{PIN1}.expires",
        "'2027-02-30' is no date",
        'write it in quotes, as "2036-12-31"',
    ),
    Mistake(
        "a bare date that does not exist",
        '"2027-01-31"',
        "2027-02-30",
        f"{PIN1}.expires",
        "'2027-02-30' is no such date or number",
        "correct it",
    ),
    Mistake(
        "a date as the Pulumi CLI rewrites it",
        '"2027-01-31"',
        "2027-01-31 00:00:00 +0000 UTC",
        f"{PIN1}.expires",
        "is no date",
        "in quotes",
    ),
    Mistake(
        "an address out of range",
        "192.0.2.100",
        "192.0.2.256",
        "flotilla:pins[1].address",
        "'192.0.2.256' is no IPv4 address",
        "write four numbers",
    ),
    Mistake(
        "an address that nobody can reach",
        "192.0.2.100",
        "127.0.0.1",
        "flotilla:pins[1].address",
        "127.0.0.1 is a loopback address",
        "unicast address",
    ),
    Mistake(
        "a key twice",
        "      key: kms\n      common_name: Line B",
        "      key: kms\n      key: file\n      common_name: Line B",
        "flotilla:authorities.line-b.key",
        "this key stands in line 17 already",
        "remove one of the two",
        line=18,
    ),
    Mistake(
        "an alias",
        "    us1: { region: us-east-1, kind: managed, residency: US, batches: kinesis }",
        "    us1: &here { region: us-east-1, kind: managed, residency: US, batches: kinesis }\n    us2: *here",
        "flotilla:clusters.us2",
        "an alias",
        "write the value out",
        line=8,
    ),
    Mistake(
        "a merge",
        "    us1: { region: us-east-1, kind: managed, residency: US, batches: kinesis }",
        "    us1: { <<: { region: us-east-1 }, kind: managed, residency: US, batches: kinesis }",
        "flotilla:clusters.us1",
        "a key is text",
        "write out what `<<` merges",
    ),
    Mistake(
        "a tag that makes an object",
        "reason: Compares two clusters.",
        "reason: !!python/object:os.system {}",
        f"{PIN1}.reason",
        "the tag",
        "remove the tag",
    ),
    Mistake(
        "broken syntax",
        "{ region: eu-west-1, kind: managed, residency: EU, batches: kinesis }",
        "{ region: eu-west-1, kind: managed, residency: EU",
        "",
        "is not YAML",
        "correct the syntax",
        line=8,
    ),
    Mistake(
        "two clusters in one region",
        "region: us-east-1",
        "region: eu-west-1",
        "flotilla:clusters.us1.region",
        "region eu-west-1 is used by cluster eu1 already",
        "give this cluster another region",
    ),
    Mistake(
        "a region outside its residency",
        "region: us-east-1",
        "region: ap-southeast-2",
        "flotilla:clusters.us1.region",
        "region ap-southeast-2 is not in residency US",
        "choose a region us-*",
    ),
    Mistake(
        "a large fleet that stores every batch by itself",
        "residency: US, batches: kinesis }",
        "residency: US, batches: lambda }",
        "flotilla:clusters.us1.batches",
        "50,000 devices would write a file a batch, and 10,000 at most may",
        "write batches: kinesis",
    ),
    Mistake(
        "a way that no batch takes",
        "residency: US, batches: kinesis }",
        "residency: US, batches: firehose }",
        "flotilla:clusters.us1.batches",
        "'firehose' is no choice here",
        "write one of 'lambda' or 'kinesis'",
    ),
    Mistake(
        "a cluster whose load nobody states",
        ", us1: { devices: 50000 }",
        "",
        "flotilla:fleet.clusters",
        "nothing says how many devices cluster us1 must carry",
        "add us1: { devices: ... }",
        line=34,
    ),
    Mistake(
        "a load of no cluster",
        "us1: { devices: 50000 }",
        "us1: { devices: 50000 }, us9: { devices: 1 }",
        "flotilla:fleet.clusters.us9",
        "there is no cluster us9",
        "name one of eu1, us1",
    ),
    Mistake(
        "a fleet larger than the account's connections",
        "eu1: { devices: 100000 }",
        "eu1: { devices: 500001, connects_per_second: 3000 }",
        "flotilla:fleet.clusters.eu1.devices",
        "500,001 devices are more than the 500,000 connections of the account",
        "or spread the devices over more clusters",
    ),
    Mistake(
        "an operator whose network no keep-alive holds in",
        "{ clusters: { eu1: { devices: 100000 }",
        "{ operators: { Deaf: { idle_timeout_seconds: 20 } }, clusters: { eu1: { devices: 100000 }",
        "flotilla:fleet.operators.Deaf",
        "operator Deaf forgets a silent connection after 20 s, and AWS IoT Core takes no keep-alive below 30 s",
        "lengthen that timeout, or take another network",
    ),
    Mistake(
        "a fleet that would take too long to come back",
        "{ clusters: { eu1: { devices: 100000 }",
        "{ recovery_minutes: 4, clusters: { eu1: { devices: 100000 }",
        "flotilla:fleet.clusters.eu1.connects_per_second",
        "100,000 devices need 5 minutes to come back at 500 connects/s, and 4 are allowed",
        "have AWS raise the quota to 506 connects/s",
        line=34,
    ),
    Mistake(
        "a quota of nothing",
        "eu1: { devices: 100000 }",
        "eu1: { devices: 100000, connects_per_second: 0 }",
        "flotilla:fleet.clusters.eu1.connects_per_second",
        "0 is too small",
        "write at least 1",
    ),
    Mistake(
        "a default that does not exist",
        "    cluster: eu1",
        "    cluster: eu9",
        "flotilla:default.cluster",
        "there is no cluster eu9",
        "name one of eu1, us1",
    ),
    Mistake(
        "a pin whose target does not exist",
        "      cluster: us1",
        "      cluster: us9",
        f"{PIN1}.cluster",
        "there is no cluster us9",
        "name one of eu1, us1",
    ),
    Mistake(
        "a pin that breaks residency",
        "      cluster: us1",
        "      cluster: eu1",
        f"{PIN1}.cluster",
        "the device's data must stay in US, and cluster eu1 keeps it in EU",
        "pin it to us1",
    ),
    Mistake(
        "an expired pin",
        '"2027-01-31"',
        '"2026-05-31"',
        f"{PIN1}.expires",
        "the pin of device1 expired on 2026-05-31",
        "have quality-team renew it",
    ),
    Mistake(
        "a device pinned twice",
        "device: device2",
        "device: device1",
        "flotilla:pins[1].device",
        "device device1 is pinned by pins[0] already",
        "keep one of the two",
    ),
    Mistake(
        "a batch window that is none",
        'support_until: "2041-06-30"',
        'support_until: "2041-06-30"\n      batch_window: { freshest_seconds: 1000 }',
        "flotilla:models.fl100.batch_window",
        "freshest_seconds 1000 is more than stalest_seconds 900",
        "exchange them",
    ),
    Mistake(
        "rows that outlast the buffer",
        'support_until: "2041-06-30"',
        'support_until: "2041-06-30"\n      batch_window: { stalest_seconds: 39794 }',
        "flotilla:models.fl100.batch_window.stalest_seconds",
        "rows that wait 11.1 hours for their batch, and 1.5 more for a lost connection, outlast the 12.6 hours for "
        "which a buffer keeps every row",
        "write at most 39793",
    ),
    Mistake(
        "a model out of support",
        '"2041-06-30"',
        '"2026-05-31"',
        "flotilla:models.fl100.support_until",
        "support of model fl100 ended on 2026-05-31",
        "extend the support",
    ),
    Mistake(
        "a key in a file outside dev",
        "line-a:\n      key: kms",
        "line-a:\n      key: file",
        "flotilla:authorities.line-a.key",
        "a key in a file is for dev only, and this is lab",
        "write key: kms",
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.what.replace(" ", "-"))
def test_a_mistake_is_named_with_its_line_its_key_its_rule_and_the_way_out(mistake: Mistake, load: Load) -> None:
    with pytest.raises(StackError) as caught:
        load(mistake.text())

    told = [line.removeprefix(mistake.place()) for line in str(caught.value).splitlines() if mistake.place() in line]
    halves = [line.partition("; ")[::2] for line in told]
    found = [way_out for rule, way_out in halves if mistake.rule in rule and mistake.way_out in way_out]
    assert len(found) == 1, f"at {mistake.place()!r} the rule and way out must be told, but:\n{caught.value}"
