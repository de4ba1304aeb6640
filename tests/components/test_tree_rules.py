"""Each rule of the tree refuses what it is there for: a real tree with one thing broken."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from local.registration import Registration
from tests.components import tree as kinds
from tests.components import tree_rules as rules
from tests.components.programs import Case, Programs
from tests.components.tree import Tree

Break = Callable[[Registration], Registration | None]
"""Breaks a resource; None takes it away."""


@pytest.fixture
def sound(programs: Programs) -> Tree:
    return Tree.of(programs.planned(Case(stack="dev", has_certificates=True)))


def broken(tree: Tree, token: str, change: Break) -> tuple[Tree, Registration]:
    """The tree with its first resource of a type changed, and that resource as it was."""
    first = tree.of_type(token)[0]
    changed = change(first)
    return Tree([one for one in (*tree.registrations, changed) if one is not None and one is not first]), first


def with_input(**inputs: Any) -> Break:
    return lambda one: replace(one, inputs={**one.inputs, **inputs})


def without_input(*names: str) -> Break:
    return lambda one: replace(one, inputs={key: value for key, value in one.inputs.items() if key not in names})


def gone(_: Registration) -> None:
    return None


def with_statement(name: str, **changes: Any) -> Break:
    """Changes the first statement of the policy in input `name`."""

    def change(one: Registration) -> Registration:
        document = json.loads(one.inputs[name])
        document["Statement"][0] |= changes
        return replace(one, inputs={**one.inputs, name: json.dumps(document)})

    return change


OPEN_TRUST: dict[str, Any] = {"Condition": {}}
FOREIGN_TRUST = {"Condition": {"StringEquals": {"aws:SourceAccount": "999999999999"}}}
SEVERAL_SERVICES = {"Principal": {"Service": ["iot.amazonaws.com", "lambda.amazonaws.com"]}}
ANYBODY = {"Principal": {"AWS": "*"}}


@pytest.mark.parametrize(
    ("rule", "token", "change"),
    [
        pytest.param(rules.parented, kinds.BUCKET, lambda one: replace(one, parent=None), id="without a parent"),
        pytest.param(rules.tagged, kinds.QUEUE, without_input("tags"), id="without tags"),
        pytest.param(rules.tagged, kinds.ROLE, with_input(tags={"owner": "x", "component": "y"}), id="one tag short"),
        pytest.param(rules.in_a_region, kinds.TOPIC, lambda one: replace(one, region=None), id="without a region"),
        pytest.param(rules.private_queues, kinds.QUEUE, without_input("sqsManagedSseEnabled"), id="open queue"),
        pytest.param(rules.private_topics, kinds.TOPIC, without_input("kmsMasterKeyId"), id="open topic"),
        pytest.param(
            rules.named_actions, kinds.ROLE_POLICY, with_statement("policy", Action="*"), id="every action there is"
        ),
        pytest.param(
            rules.named_actions, kinds.ROLE_POLICY, with_statement("policy", Action=["s3:*"]), id="all of a service"
        ),
        pytest.param(
            rules.named_actions,
            "aws:iot/policy:Policy",
            with_statement("policy", Action=["iot:Connect", "*"]),
            id="every action for a device",
        ),
    ],
)
def test_a_resource_that_breaks_a_rule_is_named(rule: rules.Rule, token: str, change: Break, sound: Tree) -> None:
    tree, culprit = broken(sound, token, change)
    assert rule(sound) == []
    assert [line for line in rule(tree) if culprit.name in line], f"{rule.__name__} does not see {culprit.name}"


@pytest.mark.parametrize(
    ("rule", "token", "change", "owner"),
    [
        (rules.private_buckets, kinds.BUCKET_ENCRYPTION, gone, "encrypted"),
        (rules.private_buckets, kinds.BUCKET_PUBLIC_ACCESS, gone, "public access"),
        (rules.private_buckets, kinds.BUCKET_PUBLIC_ACCESS, with_input(ignorePublicAcls=False), "public access"),
        (rules.private_buckets, kinds.BUCKET_OWNERSHIP, gone, "ACLs"),
        (rules.private_buckets, kinds.BUCKET_POLICY, gone, "without TLS"),
        (rules.private_buckets, kinds.BUCKET_POLICY, with_statement("policy", Resource=[]), "without TLS"),
        (rules.private_buckets, kinds.BUCKET_POLICY, with_statement("policy", Effect="Allow"), "without TLS"),
        (rules.private_queues, kinds.QUEUE_POLICY, gone, "without TLS"),
        (rules.private_topics, kinds.TOPIC_POLICY, gone, "without TLS"),
        (rules.private_topics, kinds.TOPIC_POLICY, with_statement("policy", Condition={}), "without TLS"),
        (rules.apart_functions, kinds.LOG_GROUP, gone, "log group"),
    ],
)
def test_what_a_resource_needs_beside_it_is_missed(
    rule: rules.Rule, token: str, change: Break, owner: str, sound: Tree
) -> None:
    functions = [f"/aws/lambda/{one.inputs['name']}" for one in sound.of_type(kinds.FUNCTION)]
    ordered = sorted(sound.registrations, key=lambda one: one.inputs.get("name") not in functions)
    tree, _ = broken(Tree(ordered), token, change)
    assert len([line for line in rule(tree) if owner in line]) == 1


@pytest.mark.parametrize("change", [OPEN_TRUST, FOREIGN_TRUST, SEVERAL_SERVICES, ANYBODY])
def test_a_role_that_trusts_more_than_one_service_for_this_account_is_named(
    change: dict[str, Any], sound: Tree
) -> None:
    excepted = rules.TRUST_WITHOUT_ACCOUNT.keys()
    bound = Tree([one for one in sound.registrations if not any(name in str(one.inputs) for name in excepted)])
    tree, role = broken(bound, kinds.ROLE, with_statement("assumeRolePolicy", **change))
    assert [line for line in rules.narrow_trust(tree) if role.name in line]


def test_two_functions_with_one_role_are_named(sound: Tree) -> None:
    borrowed = sound.of_type(kinds.FUNCTION)[1].inputs["role"]
    tree, function = broken(sound, kinds.FUNCTION, with_input(role=borrowed))
    assert f"{function.name} shares its role" in rules.apart_functions(tree)


def test_one_name_for_two_resources_is_named(sound: Tree) -> None:
    twin = replace(sound.of_type(kinds.QUEUE)[0], type=kinds.TOPIC, urn="urn:twin")
    assert rules.uniquely_named(Tree([*sound.registrations, twin])) == [f"{twin.name} is the name of several resources"]


def test_every_exception_from_narrow_trust_is_used_and_has_a_reason(sound: Tree) -> None:
    services = {
        statement["Principal"]["Service"]
        for role in sound.of_type(kinds.ROLE)
        for document in kinds.policy_documents(role)
        for statement in document["Statement"]
    }
    assert rules.TRUST_WITHOUT_ACCOUNT.keys() <= services, "an exception nobody needs is a hole"
    assert all(rules.TRUST_WITHOUT_ACCOUNT.values())
