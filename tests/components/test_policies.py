"""Every policy document: its golden file, the rules it keeps, and what an independent reader says of it.

After a change that is meant: FLOTILLA_WRITE_GOLDEN=1 .venv/bin/pytest tests/components/test_policies.py
"""

import copy
import inspect
import json
import os
import pkgutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

import components.policies
from components.policies.statement import Document
from tests.components.policy_documents import ACCOUNT, DOCUMENTS, Kind, Written
from tests.components.policy_invariants import (
    INVARIANTS,
    ZONE_KEYS,
    Invariant,
    changes_devices_names_alone,
    erases_nothing_of_a_device,
    excludes_nothing,
    is_well_formed,
    lets_in_whom_it_names,
    names_its_actions,
    names_its_resources,
    trusts_one_service_for_this_account,
)
from tests.components.policy_judge import parliament_findings

GOLDEN = Path(__file__).parent / "golden"
WRITE_GOLDEN = "FLOTILLA_WRITE_GOLDEN"

KEY_POLICY_STAR = "RESOURCE_STAR"
"""What parliament says of any key policy: it does not know that `*` means the key there."""
TOLERATED = {
    Kind.ROLE: frozenset[str](),
    Kind.RESOURCE: frozenset[str](),
    Kind.KEY: frozenset({KEY_POLICY_STAR}),
    # It knows the condition keys of IAM, and not those of AWS IoT's own policies.
    Kind.DEVICE: frozenset({"UNKNOWN_CONDITION_FOR_ACTION"}),
    # It reads what is attached to an identity or a resource; a trust has no resource.
    Kind.TRUST: frozenset({"MALFORMED"}),
}

UNKNOWN_TO_THE_JUDGE = frozenset({"UNKNOWN_ACTION: Unknown action iot:DeleteConnection"})
"""Younger than the judge's data; Service Authorization Reference, AWS IoT: resource type client."""

SERVICE = {"Service": "iot.amazonaws.com"}
OURS = {
    "StringEquals": {"aws:SourceAccount": ACCOUNT},
    "ArnLike": {"aws:SourceArn": f"arn:aws:iot:eu-north-1:{ACCOUNT}:rule/a"},
}
TOPIC = f"arn:aws:iot:eu-north-1:{ACCOUNT}:topic/a"


def test_every_document_function_is_among_those_tested() -> None:
    written = {one.name for one in DOCUMENTS}
    generic = {"document", "service_trust"}  # what the others are made with
    made = {
        name
        for module in pkgutil.iter_modules(components.policies.__path__)
        for name, function in inspect.getmembers(
            import_module(f"components.policies.{module.name}"), inspect.isfunction
        )
        if function.__annotations__.get("return") is Document and not name.startswith("_")
    }
    assert made - generic == written


@pytest.mark.parametrize("written", DOCUMENTS, ids=str)
def test_every_document_is_its_golden_file(written: Written) -> None:
    path = GOLDEN / f"{written.name}.json"
    text = json.dumps(written.document, indent=2) + "\n"
    if os.environ.get(WRITE_GOLDEN):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, f"if this is meant, run again with {WRITE_GOLDEN}=1"


def test_there_is_no_golden_file_without_its_document() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == {one.name for one in DOCUMENTS}


@pytest.mark.parametrize("written", DOCUMENTS, ids=str)
@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda one: str(one.__name__))
def test_every_document_keeps_every_invariant(invariant: Invariant, written: Written) -> None:
    assert not invariant(written), invariant.__doc__


@pytest.mark.parametrize("written", DOCUMENTS, ids=str)
def test_an_independent_judge_finds_nothing_it_understands(written: Written) -> None:
    text = json.dumps(written.document).replace("${iot:Connection.Thing.ThingName}", "device1")
    found = [finding for finding in parliament_findings(text) if finding.split(":")[0] not in TOLERATED[written.kind]]
    assert set(found) <= UNKNOWN_TO_THE_JUDGE


def _bad(kind: Kind, **statement: object) -> Written:
    defaults = {"Sid": "Bad", "Effect": "Allow", "Action": ["iot:Publish"], "Resource": [TOPIC]}
    return Written("bad", kind, {"Version": "2012-10-17", "Statement": [defaults | statement]})


def _without(document: Document, sid: str, *path: str) -> Document:
    """The document without a statement, or without what stands at `path` in it."""
    changed = copy.deepcopy(document)
    statement = next(one for one in changed["Statement"] if one["Sid"] == sid)
    if not path:
        changed["Statement"].remove(statement)
        return changed
    within = statement
    for name in path[:-1]:
        within = within[name]
    del within[path[-1]]
    return changed


def _forgetting(sid: str, *path: str) -> Callable[[Document], Document]:
    return lambda document: _without(document, sid, *path)


def _routing(change: Callable[[Document], Document]) -> list[Written]:
    """Both documents of routing, changed."""
    names = ("route_sweep_policy", "route_operator_policy")
    return [Written(one.name, one.kind, change(one.document)) for one in DOCUMENTS if one.name in names]


def _with(document: Document, sid: str, **changes: object) -> Document:
    changed = copy.deepcopy(document)
    next(one for one in changed["Statement"] if one["Sid"] == sid).update(changes)
    return changed


BAD_ROUTING: list[tuple[Callable[[Written], list[str]], Written]] = [
    (rule, written)
    for rule, change in (
        (changes_devices_names_alone, _forgetting("KeepTheWildcard")),
        (changes_devices_names_alone, lambda one: _with(one, "KeepTheWildcard", Resource=["arn:aws:route53:::x/Z"])),
        (changes_devices_names_alone, _forgetting("ChangeDevices", "Condition", "ForAllValues:StringLike")),
        (
            changes_devices_names_alone,
            lambda one: _with(one, "ChangeDevices", Resource=["arn:aws:route53:::hostedzone/*"]),
        ),
        *(
            (changes_devices_names_alone, _forgetting("ChangeDevices", "Condition", operator, key))
            for operator, keys in (
                ("Null", ZONE_KEYS),
                ("ForAllValues:StringEquals", {name: ZONE_KEYS[name] for name in ("Types", "Actions")}),
            )
            for key in keys.values()
        ),
        (erases_nothing_of_a_device, _forgetting("ClearItsOwn", "Condition", "Null")),
        (erases_nothing_of_a_device, _forgetting("ClearItsOwn", "Condition")),
        (erases_nothing_of_a_device, lambda one: _with(one, "WriteRoutes", Action=["dynamodb:BatchWriteItem"])),
    )
    for written in _routing(change)
]

BAD: list[tuple[Callable[[Written], list[str]], Written]] = [
    (names_its_actions, _bad(Kind.ROLE, Action="*")),
    (names_its_actions, _bad(Kind.ROLE, Action=["**"])),
    (names_its_actions, _bad(Kind.DEVICE, Action=["iot:*"])),
    (names_its_actions, _bad(Kind.RESOURCE, Effect="Deny", Action=["*"])),
    (names_its_resources, _bad(Kind.ROLE, Resource="*")),
    (names_its_resources, _bad(Kind.DEVICE, Resource=[TOPIC, "*"])),
    (names_its_resources, _bad(Kind.ROLE, Action=["cloudwatch:PutMetricData"], Resource=["*"])),
    (
        names_its_resources,
        _bad(
            Kind.ROLE,
            Action=["cloudwatch:PutMetricData", "iot:Publish"],
            Resource=["*"],
            Condition={"StringEquals": {"cloudwatch:namespace": "Flotilla"}},
        ),
    ),
    (excludes_nothing, _bad(Kind.ROLE, NotAction=["iot:Publish"])),
    (excludes_nothing, _bad(Kind.ROLE, NotResource=[TOPIC])),
    (excludes_nothing, _bad(Kind.RESOURCE, NotPrincipal={"AWS": "*"})),
    (trusts_one_service_for_this_account, _bad(Kind.TRUST, Principal="*", Condition=OURS)),
    (trusts_one_service_for_this_account, _bad(Kind.TRUST, Principal={"AWS": "*"}, Condition=OURS)),
    (trusts_one_service_for_this_account, _bad(Kind.TRUST, Principal={"Service": ["a", "b"]}, Condition=OURS)),
    (trusts_one_service_for_this_account, _bad(Kind.TRUST, Principal=SERVICE)),
    (trusts_one_service_for_this_account, _bad(Kind.TRUST, Principal=SERVICE, Condition=OURS | {"ArnLike": {}})),
    (
        trusts_one_service_for_this_account,
        _bad(Kind.TRUST, Principal=SERVICE, Condition=OURS | {"ArnLike": {"aws:SourceArn": "*"}}),
    ),
    (
        trusts_one_service_for_this_account,
        _bad(Kind.TRUST, Principal=SERVICE, Condition=OURS | {"StringEquals": {"aws:SourceAccount": "999999999999"}}),
    ),
    (lets_in_whom_it_names, _bad(Kind.RESOURCE, Principal="*")),
    (lets_in_whom_it_names, _bad(Kind.KEY, Principal={"AWS": "*"})),
    (lets_in_whom_it_names, _bad(Kind.KEY, Principal={"AWS": "arn:aws:iam::999999999999:root"})),
    (lets_in_whom_it_names, _bad(Kind.RESOURCE, Principal=SERVICE)),
    (is_well_formed, _bad(Kind.ROLE, Sid="has a blank")),
    (is_well_formed, Written("bad", Kind.ROLE, {"Version": "2008-10-17", "Statement": []})),
    (
        is_well_formed,
        Written("bad", Kind.ROLE, {"Version": "2012-10-17", "Statement": [{"Sid": "Twice"}, {"Sid": "Twice"}]}),
    ),
]


@pytest.mark.parametrize(("invariant", "document"), BAD + BAD_ROUTING)
def test_every_invariant_rejects_what_breaks_it(invariant: Invariant, document: Written) -> None:
    assert invariant(document)


def test_no_invariant_is_without_a_document_it_rejects() -> None:
    assert {invariant for invariant, _ in BAD + BAD_ROUTING} == set(INVARIANTS)
