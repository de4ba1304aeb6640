"""One reviewed file an environment: what it may say, and how it is told what is wrong."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from provisioning.factory_file import FactoryFile
from provisioning.read_factory import FACTORIES, available_factories, factory_path, parse_factory, read_factory
from stacks.document import parse_document
from stacks.environment import GATEWAY_AUTHORITY
from stacks.errors import StackError
from stacks.load import available_stacks, load_environment
from tests.provisioning.factory import CEREMONY, Factory, provisioning

GOOD = """\
environment: dev
root: { common_name: R, organization: O, key: file, lifetime_years: 30 }
authorities:
  line-a: { common_name: A, key: file, lifetime_years: 20, path_length: 0, serials: "0a" }
  line-b: { common_name: B, key: kms, lifetime_years: 20, path_length: 1, serials: "0b" }
lines:
  bench-a: { authority: line-a, models: [fl100, fl50] }
  bench-b: { authority: line-b, models: [fl100] }
stations:
  night-1:
    line: bench-b
    common_name: S
    key: pkcs11
    lifetime_years: 17
    serials: "0c01"
    lease: { begins: "2026-12-01", ends: "2027-02-28", certificates: 50000, from_hour: 22, to_hour: 6 }
models:
  fl100: { lifetime_years: 15 }
  fl50: { key_type: rsa-2048, key_made: factory, lifetime_years: 12 }
gateway: { common_name: G, key: file, lifetime_years: 20 }
"""


def changed(key: str, value: Any) -> dict[str, Any]:
    """The good file with one key, dotted, set; `None` removes it."""
    document: dict[str, Any] = yaml.safe_load(GOOD)
    *path, last = key.split(".")
    place: Any = document
    for part in path:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return document


def parsed(document: Any) -> FactoryFile:
    return parse_factory(parse_document(yaml.safe_dump(document, sort_keys=False), "dev.yaml"))


def told(document: Any) -> str:
    """What is said of a file that is refused."""
    with pytest.raises(StackError) as refused:
        parsed(document)
    assert all(problem.file == "dev.yaml" and problem.line and problem.way_out for problem in refused.value.problems)
    return str(refused.value)


LINE_A = {"common_name": "C", "key": "file", "lifetime_years": 20, "path_length": 0}
REFUSED = [
    ("root.lifetime", 30, "root.lifetime: nothing reads this key; did you mean `lifetime_years`?"),
    ("root.key", "kms", "root.key: 'kms' is no choice here"),
    ("root.common_name", None, "root.common_name: this key is missing; add it; provisioning/factory_file.py says"),
    ("root.common_name", "", "root.common_name: this text is empty"),
    ("root.common_name", "x" * 65, "root.common_name: this text has 65 characters; shorten it to 64"),
    ("root.algorithm", "sha1", "root.algorithm: 'sha1' is no choice here; write one of 'ecdsa-p256-sha256', 'ecdsa-"),
    ("root.lifetime_years", "30", "root.lifetime_years: this must be a whole number"),
    ("root.lifetime_years", 51, "root.lifetime_years: 51 is too large; write at most 50"),
    ("root.lifetime_years", 20, "authorities.line-a.lifetime_years: an authority of 20 years outlives its root of 20"),
    ("authorities.line-a.lifetime_years", 31, "an authority of 31 years outlives its root of 30"),
    ("authorities.line-a.path_length", 2, "authorities.line-a.path_length: 2 is too large; write at most 1"),
    ("authorities.line-a.path_length", False, "authorities.line-a.path_length: this must be a whole number"),
    ("authorities.line-a.key", "hsm", "authorities.line-a.key: 'hsm' is no choice here"),
    ("authorities.line-b.common_name", "a", "authorities.line-b.common_name: 'a' is the name of line-a already"),
    ("authorities.line-b.common_name", "R", "authorities.line-b.common_name: 'R' is the name of the root already"),
    ("authorities.line-b.algorithm", "ecdsa-p384-sha384", "the stack makes ECC_NIST_P256 keys in KMS, which do not"),
    ("authorities.line-b.serials", "0a77", "authorities.line-b.serials: serial numbers 0a77… are of line-a already"),
    ("authorities.line-a.serials", "0A", "'0A' is no beginning of serial numbers; write 1 to 4 octets"),
    ("authorities.line-a.serials", "0102030405", "'0102030405' is no beginning of serial numbers"),
    ("authorities.line-a.serials", "80", "'80' makes serial numbers that are negative or short; begin with 01 to 7f"),
    ("authorities.line-a.serials", "00ff", "makes serial numbers that are negative or short"),
    (
        "refused_keys",
        ["../lost.txt"],
        "refused_keys[0]: '../lost.txt' is not allowed here: a list of keys is a file beside",
    ),
    ("refused_keys", ["lost.csv"], "refused_keys[0]: 'lost.csv' is not allowed here"),
    ("authorities.Line_C", LINE_A, "authorities.Line_C"),
    ("authorities.line-c", LINE_A, "authorities.line-c: no line issues with this authority; name it in a line"),
    ("authorities.gateway", LINE_A, "authorities.gateway: gateway signs no devices; describe it under `gateway`"),
    ("authorities", {}, "authorities: a factory has at least one of these; add one, such as line-a"),
    ("lines", {}, "lines: a factory has at least one of these"),
    (
        "lines.bench-a.authority",
        "line-z",
        "lines.bench-a.authority: there is no authority 'line-z'; write one of",
    ),
    ("lines.bench-a.models", [], "lines.bench-a.models: this list is empty; write at least one item"),
    ("lines.bench-a.models", ["fl50", "fl7"], "lines.bench-a.models[1]: there is no model 'fl7'; write one of fl100"),
    ("lines.bench-a.models", ["fl50", "fl50"], "lines.bench-a.models[1]: fl50 stands in this list already"),
    ("lines.bench-a.models", ["fl100"], "models.fl50: no line makes this model; name it in a line, or remove it"),
    ("models.fl100.lifetime_years", 20, "a device of 20 years outlives its authority line-a of 20"),
    ("models.fl100.key_type", "ed25519", "models.fl100.key_type: 'ed25519' is no choice here"),
    ("models.fl100.key_made", "cloud", "models.fl100.key_made: 'cloud' is no choice here"),
    ("stations.night-1.line", "bench-z", "stations.night-1.line: there is no line 'bench-z'; write one of bench-a"),
    (
        "stations.night-1.line",
        "bench-a",
        "authority line-a may have no station below it (path_length: 0); give",
    ),
    ("stations.night-1.lifetime_years", 20, "a station of 20 years outlives its authority line-b of 20"),
    ("stations.night-1.lifetime_years", 15, "during the lease, outlive a station of 15; write at least 16"),
    ("stations.night-1.serials", "0c", None),
    ("stations.night-1.serials", "0b01", "stations.night-1.serials: serial numbers 0b01… are of line-b already (0b…)"),
    ("stations.night-1.lease.ends", "2026-11-30", "lease.ends: the lease ends before it begins, on 2026-12-01"),
    ("stations.night-1.lease.ends", "2027-12-01", None),
    ("stations.night-1.lease.ends", "2027-12-02", "the lease lasts 367 days, and 366 are the most"),
    ("stations.night-1.lease.to_hour", 22, "from 22 to 22 o'clock there is no hour to issue in"),
    ("stations.night-1.lease.certificates", 0, "stations.night-1.lease.certificates: 0 is too small"),
    ("stations.night-1.lease", None, "stations.night-1.lease: this key is missing"),
    ("stations.line-a", yaml.safe_load(GOOD)["stations"]["night-1"], "stations.line-a: line-a is a signer already"),
    ("gateway.common_name", "S", "gateway.common_name: 'S' is the name of night-1 already"),
    ("environment", "staging", "authorities.line-a.key: a signing key in a file is for dev only; write kms, or pkcs11"),
    ("environment", "staging", "gateway.key: a signing key in a file is for dev only"),
    ("environment", None, "environment: this key is missing"),
]


@pytest.mark.parametrize(("key", "value", "said"), REFUSED)
def test_a_file_that_breaks_a_rule_is_refused_with_file_line_and_key(key: str, value: Any, said: str | None) -> None:
    document = changed(key, value)
    if said is None:
        assert parsed(document), "just inside the rule"
    else:
        assert said in told(document)


def test_what_the_good_file_says_is_what_is_read() -> None:
    factory = parsed(yaml.safe_load(GOOD))
    assert factory.models_of("line-a") == ("fl100", "fl50")
    assert factory.models_of("line-b") == ("fl100",)
    assert factory.models["fl100"].lifetime.days == 5479, "15 years"
    assert factory.stations["night-1"].lease.lasts.days == 90


def test_every_mistake_is_told_at_once_whichever_section_it_is_in() -> None:
    document = changed("authorities.line-b.common_name", "A") | {"environment": "staging"}
    document["root"]["lifetime_years"] = "thirty"
    document["lines"]["bench-b"]["models"] = ["fl7"]
    with pytest.raises(StackError) as refused:
        parsed(document)
    assert {problem.key for problem in refused.value.problems} >= {
        "root.lifetime_years",
        "authorities.line-a.key",
        "lines.bench-b.models[0]",
        "gateway.key",
    }
    document["root"]["lifetime_years"] = 30
    assert "authorities.line-b.common_name: 'A' is the name of line-a already" in told(document)


def test_one_station_that_is_nowhere_does_not_hide_what_is_wrong_with_the_next() -> None:
    document = changed("stations.night-1.line", "bench-z")
    other = yaml.safe_load(GOOD)["stations"]["night-1"] | {"common_name": "T", "serials": "0d", "lifetime_years": 15}
    document["stations"]["night-2"] = other
    said = told(document)
    assert "stations.night-1.line: there is no line 'bench-z'" in said
    assert "stations.night-2.lifetime_years: devices of 15 years" in said


@given(root=st.integers(-5, 60), authority=st.integers(-5, 60), station=st.integers(-5, 60), model=st.integers(-5, 60))
def test_a_file_is_accepted_exactly_when_its_lives_fit_into_each_other(
    root: int, authority: int, station: int, model: int
) -> None:
    document = changed("root.lifetime_years", root)
    for each in document["authorities"].values():
        each["lifetime_years"] = authority
    for each in document["models"].values():
        each["lifetime_years"] = model
    document["stations"]["night-1"]["lifetime_years"] = station
    try:
        parsed(document)
    except StackError:
        accepted = False
    else:
        accepted = True
    assert accepted == (1 <= model < station < authority < root <= 50)


@pytest.mark.parametrize("stack", available_stacks())
def test_the_factory_of_every_stack_describes_exactly_what_the_stack_names(stack: str) -> None:
    factory, environment = read_factory(FACTORIES / f"{stack}.yaml")
    assert environment == load_environment(stack, today=date(2026, 11, 23))
    signers = {*factory.authorities, *factory.stations, *([GATEWAY_AUTHORITY] if factory.gateway else [])}
    assert signers == set(environment.authorities)
    assert set(factory.models) == set(environment.models)


def test_every_stack_has_a_factory() -> None:
    assert available_factories() == available_stacks()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("line-a", "line-z", "authorities.line-z: stack dev has no authority line-z, so no cluster would know it"),
        (
            "Dev Line A Issuing",
            "Other",
            "ceremony.yaml:9: authorities.line-a.common_name: is Flotilla Other CA here",
        ),
        (
            "file, lifetime_years: 20",
            "kms, lifetime_years: 20",
            "authorities.line-a.key: is kms here and file in",
        ),
        ("fl50", "fl70", "models.fl70: stack dev has no model fl70; add it there under flotilla:models"),
        ("fl100: {", "fl100: { key_made: factory,", "dev says this model keeps its key in secure-element, which makes"),
    ],
)
def test_a_factory_that_contradicts_its_stack_is_refused(old: str, new: str, said: str, tmp_path: Path) -> None:
    held = Factory(tmp_path).ceremony(CEREMONY.replace(old, new))
    assert (held.code, held.out) == (2, "")
    assert said in held.err
    assert not (tmp_path / "factory").exists(), "nothing is written before everything is checked"


def test_profiles_check_tells_each_file_and_fails_where_one_is_wrong(tmp_path: Path) -> None:
    good = provisioning("profiles", "check")
    assert good.code == 0
    assert all(f"{stack}.yaml" in good.out for stack in available_stacks())
    wrong = tmp_path / "dev.yaml"
    wrong.write_text(GOOD.replace("lifetime_years: 30", "lifetime_years: 19"))
    bad = provisioning("profiles", "check", "--profiles", wrong)
    assert bad.code == 2
    assert "dev.yaml:4: authorities.line-a.lifetime_years: an authority of 20 years outlives its root" in bad.err
    keys = [each["key"] for each in provisioning("profiles", "check", "--profiles", wrong, "--json").json["problems"]]
    assert keys == ["authorities.line-a.lifetime_years", "authorities.line-b.lifetime_years"]
    committed = factory_path("dev")
    other = provisioning("profiles", "check", "--stack", "production", "--profiles", committed)
    assert other.code == 2
    assert "dev.yaml: environment: is the factory of dev, and --stack says production; give --stack dev" in other.err
    wrong.write_text("")
    empty = provisioning("profiles", "check", "--profiles", wrong)
    assert empty.code == 2
    assert "dev.yaml:1: this file is a mapping of keys; start it with `environment:`" in empty.err


def test_profiles_show_says_who_signs_what_and_until_when() -> None:
    shown = provisioning("profiles", "show", "--stack", "dev", "--json").json
    rows = {row["profile"]: row for row in shown["profiles"]}
    assert rows["authority line-a"]["limits"] == "signs fl100, fl50; lines bench-a; serial numbers 0a…"
    assert rows["model fl50"]["key"] == "made by the factory"
    assert rows["model fl100"]["limits"] == "made on bench-a, bench-b; has its hardware-module name"
    assert provisioning("profiles", "show", "--stack", "nowhere").code == 2
