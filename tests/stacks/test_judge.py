"""Every rule is asked, and no rule reads what it does not name."""

import inspect
from types import ModuleType

import pytest

from stacks.environment import Environment
from stacks.rules import choice, identity, pins, places
from stacks.rules.judge import RULES, judge
from tests.stacks.values import clusters, pin


@pytest.mark.parametrize("module", [choice, identity, pins, places], ids=lambda module: module.__name__)
def test_every_rule_that_is_written_is_asked(module: ModuleType) -> None:
    written = {
        function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert written <= set(RULES)


def test_every_rule_reads_what_can_be_known() -> None:
    knowable = {*Environment.model_fields, "today", "iot_regions", "other_domains"}
    for rule in RULES:
        assert inspect.signature(rule).parameters.keys() <= knowable, rule.__name__


def test_a_rule_is_asked_when_all_it_reads_is_known_and_not_before() -> None:
    lost = (pin(cluster="eu9"),)
    assert judge({"pins": lost}) == []
    assert [breach.path for breach in judge({"pins": lost, "clusters": clusters()})] == [("pins", 0, "cluster")]
