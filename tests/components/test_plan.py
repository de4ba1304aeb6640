"""The plan of a stack: the same text every time, and nothing in it that is secret or belongs to one machine."""

import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from local.plan import PlanChange, compare_plan, render_plan
from local.plan_text import plan_text
from local.program import PROJECT_ROOT
from tests.components.programs import STACK_NAMES, Case, Programs
from tests.components.tree import Tree

ACCOUNT_ID = re.compile(r"(?<![0-9a-f])\d{12}(?![0-9a-f])")


def _rendered(case: Case, programs: Programs) -> str:
    run = programs.planned(case)
    return plan_text(case.stack, run.resources, run.exports, project_root=PROJECT_ROOT)


@pytest.mark.parametrize("stack", STACK_NAMES)
def test_the_committed_plan_is_what_the_program_says(stack: str) -> None:
    change = compare_plan(stack, project_root=PROJECT_ROOT)
    assert not change.stale, f"run `make plan` and commit it with the change:\n{change.diff()}"


def test_a_plan_rendered_twice_is_the_same_to_the_byte(programs: Programs) -> None:
    case = Case(stack="dev", has_certificates=True)
    again = render_plan(case.stack, project_root=PROJECT_ROOT, config=programs.config(case))
    assert _rendered(case, programs) == again


def test_a_plan_names_every_resource_once(case: Case, programs: Programs) -> None:
    document = yaml.safe_load(_rendered(case, programs))
    entries = [(entry["type"], entry["name"]) for entry in document["resources"]]
    registrations = Tree.of(programs.planned(case)).registrations
    assert sorted(entries) == sorted((one.type, one.name) for one in registrations)


def test_a_plan_holds_nothing_of_this_machine_or_of_an_account(case: Case, programs: Programs) -> None:
    text = _rendered(case, programs)
    assert str(PROJECT_ROOT) not in text
    assert str(Path.home()) not in text
    assert not ACCOUNT_ID.findall(text), "an account id"
    assert "PRIVATE KEY" not in text
    assert "${unknown}" not in text, "a value that a reviewer cannot read"


Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a small project of its own; its program is given."""

    def write_program(body: str) -> Path:
        (tmp_path / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n", encoding="utf-8")
        imports = "import json\nimport pulumi\nimport pulumi_aws as aws\n"
        (tmp_path / "__main__.py").write_text(imports + dedent(body), encoding="utf-8")
        return tmp_path

    return write_program


def _plan(root: Path) -> str:
    return render_plan("dev", project_root=root)


QUEUE = """
class Post(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("tiny:index:Post", name)
        queue = aws.sqs.Queue(f"{name}-queue", message_retention_seconds=%d, opts=pulumi.ResourceOptions(parent=self))
Post("post")
"""


def test_a_changed_input_shows_as_one_changed_line_of_the_diff(write: Write) -> None:
    before, after = _plan(write(QUEUE % 60)), _plan(write(QUEUE % 3600))
    change = PlanChange(stack="dev", path=Path("dev.plan.yaml"), committed=before, rendered=after)
    changed = [line for line in change.diff().splitlines() if re.match(r"[-+](?![-+])", line)]
    assert changed == ["-    messageRetentionSeconds: 60", "+    messageRetentionSeconds: 3600"]
    (component,) = change.components()
    assert (component.component, component.resources, component.changed) == ("post", 2, 1)


def test_a_new_resource_and_a_lost_one_are_counted(write: Write) -> None:
    before = _plan(write(QUEUE % 60))
    after = _plan(write(QUEUE.replace("-queue", "-box") % 60))
    change = PlanChange(stack="dev", path=Path("dev.plan.yaml"), committed=before, rendered=after)
    (component,) = change.components()
    assert (component.added, component.removed, component.changed) == (1, 1, 0)


def test_without_a_committed_plan_everything_is_added(write: Write) -> None:
    change = PlanChange(stack="dev", path=Path("dev.plan.yaml"), committed="", rendered=_plan(write(QUEUE % 60)))
    assert change.stale
    assert [component.added for component in change.components()] == [2]


def test_a_json_input_is_shown_as_a_structure(write: Write) -> None:
    root = write(
        """
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": ["sqs:*"]}]}
        queue = aws.sqs.Queue("box")
        aws.sqs.QueuePolicy("rule", queue_url=queue.url, policy=json.dumps(policy))
        """
    )
    (entry,) = [one for one in yaml.safe_load(_plan(root))["resources"] if one["name"] == "rule"]
    assert entry["inputs"]["policy"]["Statement"] == [{"Action": ["sqs:*"], "Effect": "Deny"}]
    assert entry["inputs"]["queueUrl"] == "${box.url}"


def test_a_secret_is_masked(write: Write) -> None:
    root = write('aws.sqs.Queue("box", name=pulumi.Output.secret("hunter2"))\n')
    text = _plan(root)
    assert "hunter2" not in text
    assert "name: ${secret}" in text


def test_a_path_of_this_machine_becomes_relative(write: Write) -> None:
    root = write(
        """
        from pathlib import Path
        code = pulumi.FileArchive(str(Path(__file__).parent / "build" / "code.zip"))
        aws.lambda_.Function("work", role="role", code=code)
        """
    )
    (entry,) = yaml.safe_load(_plan(root))["resources"]
    assert entry["inputs"]["code"] == {"archive": "build/code.zip"}, "no archive is there, and none is needed"


def test_options_show_what_was_asked_for_and_not_what_inputs_imply(write: Write) -> None:
    root = write(
        """
        first = aws.sqs.Queue("first", opts=pulumi.ResourceOptions(protect=True))
        aws.sqs.Queue("implied", name=first.name)
        aws.sqs.Queue("second", opts=pulumi.ResourceOptions(depends_on=[first], retain_on_delete=True))
        """
    )
    options = {one["name"]: one.get("options") for one in yaml.safe_load(_plan(root))["resources"]}
    assert options == {
        "first": {"protect": True},
        "implied": None,
        "second": {"depends_on": ["first"], "retain_on_delete": True},
    }
