"""A stack file becomes an environment whole, or is refused with everything that is wrong with it."""

from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from stacks.environment import Choice, KeyStorage, Residency
from stacks.errors import StackError
from stacks.load import load_environment
from tests.stacks.conftest import GOOD, TODAY, Load


def test_a_good_file_becomes_typed_values(load: Load) -> None:
    environment = load(GOOD)
    assert environment.name == "lab", "the name comes from the file's name"
    assert environment.home_region == "eu-west-1"
    assert environment.clusters["us1"].residency is Residency.US
    assert environment.default.choose is Choice.SINGLE
    assert environment.models["fl100"].key_storage is KeyStorage.SECURE_ELEMENT
    assert environment.models["fl100"].support_until == date(2041, 6, 30), "a date in quotes"
    assert environment.pins[1].expires == date(2026, 6, 1), "a date without quotes"
    assert environment.routing.dnssec is False, "a block left out has its defaults"
    assert environment.routing.max_share_percent == 10, "the share of an Expansion ring"


@pytest.mark.parametrize("percent", [1, 100])
def test_a_plan_may_be_held_to_a_hundredth_of_the_fleet_or_to_nothing(percent: int, load: Load) -> None:
    text = f"{GOOD}  flotilla:routing: {{ max_share_percent: {percent} }}\n"
    assert load(text).routing.max_share_percent == percent


def test_an_environment_cannot_be_changed_afterwards(load: Load) -> None:
    environment = load(GOOD)
    with pytest.raises(ValidationError):
        environment.domain = "elsewhere.example.org"  # type: ignore[misc]  # the very mistake under test


def test_what_pulumi_the_provider_and_the_desk_keep_in_the_file_is_left_alone(load: Load) -> None:
    keys = "  aws:region: eu-west-1\n  aws:profile: fleet\n  flotilla:authorities_directory: somewhere\n"
    text = f"secretsprovider: awskms://alias/x\nencryptedkey: eA==\n{GOOD}".replace("  aws:region: eu-west-1\n", keys)
    assert load(text) == load(GOOD)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(load: Load) -> None:
    text = (
        GOOD.replace("flotilla:owner", "flotilla:ownr")
        .replace("residency: EU", "residency: UK")
        .replace("choose: single", "choose: latency")
        .replace("retention_days: 30", "retention_days: 0")
        .replace('"2027-01-31"', '"2025-01-31"')
    )
    with pytest.raises(StackError) as caught:
        load(text)
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (2, "flotilla:owner"),
        (4, "flotilla:ownr"),
        (7, "flotilla:clusters.eu1.residency"),
        (9, "flotilla:default"),
        (11, "flotilla:default.cluster"),
        (33, "flotilla:firmware.retention_days"),
        (41, "flotilla:pins[0].expires"),
    ], "rules between sound values are asked although other values are not sound"


def test_a_value_that_is_wrong_in_itself_causes_no_second_complaint(load: Load) -> None:
    with pytest.raises(StackError) as caught:
        load(GOOD.replace("    us1: {", "    US1: {"))
    keys = [problem.key for problem in caught.value.problems]
    assert keys == ["flotilla:clusters.US1"], "the pin to us1 is not blamed for the cluster's bad name"


def test_more_than_two_hundred_pins_are_refused_at_the_first_too_many(load: Load) -> None:
    def pins(count: int) -> str:
        pin = "    - { device: pin-%d, cluster: us1, owner: qa, reason: Load., expires: '2027-01-01' }\n"
        return GOOD.partition("    - device: device1")[0] + "".join(pin % number for number in range(count))

    assert len(load(pins(200)).pins) == 200
    with pytest.raises(
        StackError, match=r"^Pulumi\.lab\.yaml:236: flotilla:pins\[200\]: 201 devices are pinned"
    ) as caught:
        load(pins(201))
    assert len(caught.value.problems) == 1


def test_a_domain_that_overlaps_another_stacks_is_refused(load: Load) -> None:
    with pytest.raises(
        StackError, match=r"Pulumi\.lab\.yaml:5: flotilla:domain: .* overlaps example\.org of stack other"
    ):
        load(GOOD, other=GOOD.replace("iot.example.org", "example.org"))


@pytest.mark.parametrize("other", ["", "config: 5\n", "config: {flotilla:domain: [", "config: {flotilla:domain: 7}\n"])
def test_a_broken_file_of_another_stack_is_that_stacks_own_problem(other: str, load: Load) -> None:
    assert load(GOOD, other=other).name == "lab"


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just text\n"])
def test_a_file_that_is_no_mapping_is_refused(text: str, load: Load) -> None:
    with pytest.raises(StackError, match=r"^Pulumi\.lab\.yaml:1: this file is a mapping of keys; start it with `conf"):
        load(text)


@pytest.mark.parametrize("text", ["secretsprovider: x\n", "config:\n", "config: []\n", "config: text\n"])
def test_a_file_without_config_is_refused_once(text: str, load: Load) -> None:
    with pytest.raises(
        StackError, match=r"^Pulumi\.lab\.yaml:1: config: a stack file has its values under `config`"
    ) as caught:
        load(text)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("stack", ["nope", "", "../lab", "lab/../lab", "*"])
def test_a_stack_without_a_file_is_refused_and_the_stacks_there_are_named(
    stack: str, load: Load, tmp_path: Path
) -> None:
    load(GOOD)
    with pytest.raises(StackError) as caught:
        load_environment(stack, today=TODAY, directory=tmp_path)
    assert str(caught.value) == f"Pulumi.{stack}.yaml: there is no such stack file; stacks are: lab"


def test_a_stack_whose_name_is_too_long_for_bucket_names_is_refused(load: Load) -> None:
    assert load(GOOD, stack="s" * 16).name == "s" * 16
    with pytest.raises(StackError, match="a stack's name is 2 to 16"):
        load(GOOD.replace("iot.example.org", "iot2.example.org"), stack="s" * 17)


def test_a_file_that_cannot_be_decoded_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.lab.yaml").write_bytes(b"config:\n  flotilla:owner: \xff\n")
    with pytest.raises(StackError, match=r"Pulumi\.lab\.yaml: is not UTF-8 \(byte 26\); save it as UTF-8"):
        load_environment("lab", today=TODAY, directory=tmp_path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.lab.yaml").mkdir()
    with pytest.raises(StackError, match=r"Pulumi\.lab\.yaml: cannot be read \(Is a directory\)"):
        load_environment("lab", today=TODAY, directory=tmp_path)
