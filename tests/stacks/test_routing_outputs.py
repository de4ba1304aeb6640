"""What the tools are told of routing is what the stack file says, in every way it can say it."""

import json
from typing import Any

import pytest

from stacks.environment import Environment
from stacks.outputs import DefaultOutputs, PinOutputs, RoutingOutputs, routing_outputs
from tests.stacks.conftest import GOOD, Load

SINGLE = "    choose: single\n    cluster: eu1\n"
LATENCY = "    choose: latency\n    clusters: [us1, eu1]\n"
GEOLOCATION = "    choose: geolocation\n    cluster: us1\n    continents: { SA: us1, EU: eu1, AF: eu1 }\n"


def read_back(environment: Environment) -> RoutingOutputs:
    """As a tool reads it: through the JSON that a deployment writes."""
    exported: dict[str, Any] = {"route_table": "flotilla-lab-routes", **routing_outputs(environment)}
    assert "null" not in json.dumps(exported), "Pulumi leaves out what is null, so nothing may depend on one"
    return RoutingOutputs.model_validate_json(json.dumps(exported))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(SINGLE, DefaultOutputs(choose="single", cluster="eu1"), id="single"),
        pytest.param(LATENCY, DefaultOutputs(choose="latency", clusters=["us1", "eu1"]), id="latency"),
        pytest.param(
            GEOLOCATION,
            DefaultOutputs(choose="geolocation", cluster="us1", continents={"EU": "eu1", "AF": "eu1", "SA": "us1"}),
            id="geolocation",
        ),
    ],
)
def test_the_default_is_told_as_it_was_chosen(text: str, expected: DefaultOutputs, load: Load) -> None:
    assert GOOD.count(SINGLE) == 1
    assert read_back(load(GOOD.replace(SINGLE, text))).default == expected


def test_continents_come_in_one_order_however_the_file_lists_them(load: Load) -> None:
    outputs = routing_outputs(load(GOOD.replace(SINGLE, GEOLOCATION)))
    assert list(outputs["default"]["continents"]) == ["AF", "EU", "SA"], "or a reordered file would show as a change"


def test_pins_are_told_with_their_target_and_their_residency_where_they_have_one(load: Load) -> None:
    assert read_back(load(GOOD)).pins == {
        "device1": PinOutputs(target="us1", residency="US"),
        "device2": PinOutputs(target="192.0.2.100", residency=None),
    }


def test_without_pins_there_are_none(load: Load) -> None:
    assert read_back(load(GOOD[: GOOD.index("  flotilla:pins:")])).pins == {}


def test_the_share_is_told(load: Load) -> None:
    text = f"{GOOD}  flotilla:routing: {{ max_share_percent: 25 }}\n"
    assert read_back(load(text)).max_share_percent == 25
