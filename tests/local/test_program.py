"""The runner, on tiny programs of its own."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from local.program import ProgramError, ProgramRun, Registration, run_program
from local.wire import UNKNOWN

Write = Callable[[str], Path]


class Recorder:
    """A backend that answers with what a test gave it, and remembers the threads it was called from."""

    def __init__(self, outputs: dict[str, Any] | None = None, refused: dict[str, str] | None = None) -> None:
        self.outputs = outputs or {}
        self.refused = refused or {}
        self.created: list[str] = []
        self.invoked: list[tuple[str, dict[str, Any]]] = []
        self.threads: set[int] = set()

    def create(self, registration: Registration) -> tuple[str, dict[str, Any]]:
        self.threads.add(threading.get_ident())
        self.created.append(registration.name)
        if registration.name in self.refused:
            raise RuntimeError(self.refused[registration.name])
        return f"{registration.name}-id", dict(self.outputs)

    def invoke(self, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.invoked.append((token, arguments))
        return {"accountId": "000000000000", "arn": "arn", "id": "000000000000", "userId": "u"}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_program(body: str) -> Path:
        (tmp_path / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n", encoding="utf-8")
        imports = "import pulumi\nimport pulumi_aws as aws\n"
        (tmp_path / "__main__.py").write_text(imports + dedent(body), encoding="utf-8")
        return tmp_path

    return write_program


def run(root: Path, backend: Recorder, *, preview: bool = False, **config: str) -> ProgramRun:
    return run_program("dev", backend, preview=preview, project_root=root, config=config)


def one(result: ProgramRun, name: str) -> Registration:
    (found,) = [resource.registration for resource in result.resources if resource.registration.name == name]
    return found


COMPONENT = """
class Box(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("flotilla:index:Box", name, None, opts)
        self.queue = aws.sqs.Queue(
            f"{name}-queue", name="q", region="eu-north-1", message_retention_seconds=60,
            opts=pulumi.ResourceOptions(parent=self, protect=True, ignore_changes=["policy"]),
        )
        self.register_outputs({})

box = Box("box")
alarm = aws.sns.Topic("topic", name=box.queue.name.apply(lambda name: name + "-alarm"))
pulumi.export("queue", box.queue.arn)
pulumi.export("stack", pulumi.get_stack())
pulumi.export("project", pulumi.get_project())
"""


def test_a_registration_carries_parent_region_options_and_dependencies(write: Write) -> None:
    result = run(write(COMPONENT), Recorder({"arn": "arn:queue"}))
    queue = one(result, "box-queue")
    box = one(result, "box")
    assert queue.type == "aws:sqs/queue:Queue"
    assert queue.parent == box.urn
    assert box.parent is None
    assert not box.custom
    assert queue.urn == "urn:pulumi:dev::tiny::flotilla:index:Box$aws:sqs/queue:Queue::box-queue"
    assert queue.region == "eu-north-1"
    assert queue.protect
    assert queue.ignore_changes == ("policy",)
    topic = one(result, "topic")
    assert topic.inputs == {"name": "q-alarm"}, "an input that is not in the answer is echoed as an output"
    assert topic.dependencies == (queue.urn,)
    assert topic.property_dependencies == {"name": (queue.urn,)}
    assert topic.region is None


def test_exports_are_the_programs_exports(write: Write) -> None:
    result = run(write(COMPONENT), Recorder({"arn": "arn:queue"}))
    assert result.exports == {"queue": "arn:queue", "stack": "dev", "project": "tiny"}


def test_whole_numbers_arrive_as_integers_and_fractions_as_floats(write: Write) -> None:
    program = """
    aws.cloudwatch.MetricAlarm("a", comparison_operator="x", evaluation_periods=3, threshold=0.5, period=60)
    """
    inputs = one(run(write(program), Recorder()), "a").inputs
    assert (inputs["evaluationPeriods"], inputs["threshold"], inputs["period"]) == (3, 0.5, 60)
    assert type(inputs["evaluationPeriods"]) is int


def test_an_archive_is_its_path_and_a_secret_is_flagged(write: Write) -> None:
    program = """
    aws.lambda_.Function("f", role="r", code=pulumi.FileArchive("build/x.zip"),
        environment={"variables": {"KEY": pulumi.Output.secret("hidden")}})
    """
    function = one(run(write(program), Recorder()), "f")
    assert function.inputs["code"] == {"archive": "build/x.zip"}
    assert function.inputs["environment"] == {"variables": {"KEY": "hidden"}}
    assert function.secrets == {"environment"}


def test_configuration_reaches_the_program(write: Write) -> None:
    root = write('pulumi.export("found", pulumi.Config("flotilla").get("authorities_directory"))')
    result = run_program(
        "dev", Recorder(), preview=False, project_root=root, config={"flotilla:authorities_directory": "d"}
    )
    assert result.exports == {"found": "d"}
    assert run(root, Recorder()).exports == {}, "the configuration of one run does not reach the next"


def test_a_provider_function_is_answered_by_the_backend(write: Write) -> None:
    backend = Recorder()
    program = """
    pulumi.export("account", aws.get_caller_identity_output().account_id)
    pulumi.export("plain", aws.get_caller_identity().account_id)
    """
    assert run(write(program), backend).exports == {"account": "000000000000", "plain": "000000000000"}
    assert {token for token, _ in backend.invoked} == {"aws:index/getCallerIdentity:getCallerIdentity"}


def test_an_unknown_output_runs_no_callback_in_a_preview_and_arrives_as_unknown(write: Write) -> None:
    program = """
    first = aws.sqs.Queue("first")
    aws.sns.Topic("second", name=first.arn.apply(lambda arn: arn.split(":")[5]), display_name=first.id)
    pulumi.export("arn", first.arn)
    """
    result = run(write(program), Recorder({"arn": UNKNOWN}), preview=True)
    assert one(result, "second").inputs["name"] == UNKNOWN
    assert result.exports["arn"] == UNKNOWN


def test_a_refused_resource_is_named_with_the_reason(write: Write) -> None:
    program = """
    first = aws.sqs.Queue("first")
    second = aws.sqs.Queue("second", name=first.arn)
    pulumi.export("arn", second.arn)
    """
    backend = Recorder({"arn": "a"}, refused={"first": "the quota is reached"})
    with pytest.raises(ProgramError, match=r"^aws:sqs/queue:Queue first: the quota is reached$"):
        run(write(program), backend)
    assert backend.created == ["first"], "nothing that depends on a failed resource is begun"


def test_an_error_in_the_program_names_its_file_and_line(write: Write) -> None:
    with pytest.raises(ProgramError, match=r"^__main__.py:4: 'missing'$"):
        run(write('\n{}["missing"]'), Recorder())


def test_an_error_in_a_callback_names_its_file_and_line(write: Write) -> None:
    program = """
    queue = aws.sqs.Queue("q")
    aws.sns.Topic("t", name=queue.arn.apply(lambda arn: arn[99]))
    """
    with pytest.raises(ProgramError, match=r"^__main__.py:5: string index out of range$"):
        run(write(program), Recorder({"arn": "short"}))


def test_an_error_that_reaches_many_resources_still_names_its_line(write: Write) -> None:
    program = """
    queue = aws.sqs.Queue("q")
    broken = queue.arn.apply(lambda arn: arn[99])
    for name in ("a", "b", "c", "d", "e", "f"):
        aws.sns.Topic(name, name=broken)
    """
    with pytest.raises(ProgramError, match=r"^__main__.py:5: string index out of range$"):
        run(write(program), Recorder({"arn": "short"}))


def test_two_resources_of_one_name_are_refused(write: Write) -> None:
    with pytest.raises(ProgramError, match="aws:sqs/queue:Queue twin: another resource has the URN"):
        run(write('aws.sqs.Queue("twin")\naws.sqs.Queue("twin")'), Recorder())


def test_a_project_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="has no project name"):
        run(tmp_path, Recorder())


def test_independent_resources_are_created_side_by_side(write: Write) -> None:
    meeting = threading.Barrier(2, timeout=20)

    class Meeting(Recorder):
        def create(self, registration: Registration) -> tuple[str, dict[str, Any]]:
            meeting.wait()
            return super().create(registration)

    assert len(run(write('aws.sqs.Queue("a")\naws.sqs.Queue("b")'), Meeting()).resources) == 2


def test_runs_do_not_disturb_each_other_nor_the_process(write: Write) -> None:
    root = write(COMPONENT)
    first = run(root, Recorder({"arn": "a"}))
    for _ in range(20):
        assert run(root, Recorder({"arn": "a"})) == first
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
