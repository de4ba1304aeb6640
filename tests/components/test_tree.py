"""The resources of every stack, before and after its authorities have certificates, keep every rule."""

import pytest

from tests.components.programs import Case, Programs
from tests.components.tree import Tree
from tests.components.tree_rules import RULES, Rule


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.__name__))
def test_every_stack_keeps_every_rule(rule: Rule, case: Case, programs: Programs) -> None:
    broken = rule(Tree.of(programs.planned(case)))
    assert not broken, f"{rule.__doc__}\n" + "\n".join(broken)


def test_a_certificate_adds_what_it_is_registered_and_watched_with(programs: Programs) -> None:
    without = {one.name for one in Tree.of(programs.planned(Case(stack="dev", has_certificates=False))).registrations}
    given = {one.name for one in Tree.of(programs.planned(Case(stack="dev", has_certificates=True))).registrations}
    assert without < given, "a certificate takes nothing away"
    added = given - without
    assert any("expiring" in name for name in added), "an authority with a certificate has an alarm for its end"
    assert any(name.endswith("-rule") for name in added), "and a rule that hands its devices to the registrar"
