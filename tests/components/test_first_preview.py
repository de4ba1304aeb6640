"""A first `pulumi preview`: nothing is known yet, and still the program asks for exactly what the plan says."""

from local.program import ProgramRun
from tests.components.programs import Case, Programs


def _asked_for(run: ProgramRun) -> set[tuple[str, str, str | None]]:
    return {(one.registration.type, one.registration.name, one.registration.parent) for one in run.resources}


def test_with_every_output_unknown_the_program_asks_for_the_same_resources(case: Case, programs: Programs) -> None:
    planned, previewed = _asked_for(programs.planned(case)), _asked_for(programs.previewed(case))
    assert planned == previewed, "which resources exist hangs on a value that a preview cannot know"


def test_with_every_output_unknown_what_is_plain_stays_known(case: Case, programs: Programs) -> None:
    def plain(run: ProgramRun) -> dict[str, str]:
        names = ("region", "name")
        return {
            one.registration.urn: " ".join(str(one.registration.inputs.get(name)) for name in names)
            for one in run.resources
            if one.registration.type.startswith(("aws:lambda/function:", "aws:sqs/queue:", "aws:dynamodb/"))
        }

    assert plain(programs.planned(case)) == plain(programs.previewed(case)), "a name hangs on an unknown value"
