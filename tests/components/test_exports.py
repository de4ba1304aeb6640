"""What every stack exports is what the tools read, and says of routing what its stack file says."""

from datetime import UTC, datetime

from stacks.environment import Environment
from stacks.load import load_environment
from stacks.outputs import Outputs
from tests.components.programs import Case, Programs


def exported(case: Case, programs: Programs) -> Outputs:
    return Outputs.model_validate(programs.planned(case).exports)


def said(case: Case) -> Environment:
    return load_environment(case.stack, today=datetime.now(UTC).date())


def test_every_stack_exports_what_the_tools_read(case: Case, programs: Programs) -> None:
    outputs, environment = exported(case, programs), said(case)
    assert (outputs.environment, outputs.domain) == (environment.name, environment.domain)
    assert {name: (each.region, each.residency) for name, each in outputs.clusters.items()} == {
        name: (each.region, each.residency.value) for name, each in environment.clusters.items()
    }
    assert outputs.authorities.keys() == environment.authorities.keys()


def test_the_tools_choose_the_default_as_the_stack_file_does(case: Case, programs: Programs) -> None:
    told, default = exported(case, programs).routing.default, said(case).default
    assert (told.choose, told.cluster) == (default.choose.value, default.cluster)
    assert tuple(told.clusters) == default.clusters
    assert told.continents == {continent.value: cluster for continent, cluster in default.continents.items()}


def test_the_tools_know_every_pin_and_no_other(case: Case, programs: Programs) -> None:
    told = exported(case, programs).routing.pins
    assert {(device, pin.target, pin.residency) for device, pin in told.items()} == {
        (pin.device, pin.cluster or pin.address, pin.residency.value if pin.residency else None)
        for pin in said(case).pins
    }


def test_the_route_table_that_is_told_is_the_one_that_is_made(case: Case, programs: Programs) -> None:
    routing = exported(case, programs).routing
    names = [
        one.registration.inputs["name"]
        for one in programs.planned(case).resources
        if one.registration.type == "aws:dynamodb/table:Table" and "revision" in str(one.registration.inputs)
    ]
    assert names == [routing.route_table]
    assert routing.max_share_percent == said(case).routing.max_share_percent
