"""parliament finds nothing in the policies of our roles, and would if there were something."""

import json
from typing import Any

import pytest

from tests.components.policy_judge import findings
from tests.components.programs import Case, Programs
from tests.components.tree import ROLE_POLICY, Tree

TABLE = "${eu1-registrar-manifest.arn}"


def test_the_judge_finds_nothing_in_any_role_of_any_stack(case: Case, programs: Programs) -> None:
    tree = Tree.of(programs.planned(case))
    policies = tree.of_type(ROLE_POLICY)
    assert policies, "there are roles"
    found = {one.name: findings(one.inputs["policy"], tree) for one in policies}
    assert not {name: lines for name, lines in found.items() if lines}


@pytest.mark.parametrize(
    ("statement", "issue"),
    [
        ({"Action": "dynamodb:GetThing", "Resource": TABLE}, "UNKNOWN_ACTION"),
        ({"Action": "sqs:SendMessage", "Resource": TABLE}, "RESOURCE_MISMATCH"),
        ({"Action": "dynamodb:GetItem", "Resource": "*"}, "RESOURCE_STAR"),
        (
            {"Action": "dynamodb:GetItem", "Resource": TABLE, "Condition": {"Equals": {"a": "b"}}},
            "UNKNOWN_OPERATOR",
        ),
    ],
)
def test_the_judge_finds_what_is_wrong(statement: dict[str, Any], issue: str, programs: Programs) -> None:
    tree = Tree.of(programs.planned(Case(stack="dev", has_certificates=True)))
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    assert [line for line in findings(json.dumps(policy), tree) if line.startswith(issue)]
