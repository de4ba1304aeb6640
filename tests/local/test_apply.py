"""The engine in miniature, on a real cell: what is created, left alone, changed, replaced, deleted and refused."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from botocore.exceptions import ClientError

from components.function import ARCHIVES
from local.appliers.registry import APPLIERS
from local.apply import Action, ApplyError
from local.archives import FOR_AWS, archive_path
from local.cells import Cells, start_cells
from local.registration import ProgramError
from local.state import STATE_FILE, Entry, State, StateError, Step, read_state
from stacks.load import STACKS, available_stacks
from tests.local.tiny_program import Bench

REGION = "eu-north-1"

pytestmark = pytest.mark.cloud


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cells]:
    running = start_cells(tmp_path_factory.mktemp("engine"), [REGION], home_region=REGION, domain="iot-dev.example.com")
    yield running
    running.stop()


@pytest.fixture
def bench(cells: Cells, tmp_path: Path) -> Bench:
    return Bench(cells, tmp_path / "project")


def queue(name: str, retention: int = 60) -> str:
    return f'aws.sqs.Queue("{name}", name="{name}", message_retention_seconds={retention})\n'


def function(name: str) -> str:
    """One whose archive stands beside the program."""
    return f"""
    trust = json.dumps({{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow",
        "Principal": {{"Service": "lambda.amazonaws.com"}}, "Action": "sts:AssumeRole"}}]}})
    role = aws.iam.Role("role", name="runs-{name}", assume_role_policy=trust)
    aws.lambda_.Function("{name}", name="{name}", role=role.arn, runtime="python3.11", handler="{name}.handler",
        code=pulumi.FileArchive("{name}.zip"))
    """


def test_a_second_run_calls_nothing_and_gives_the_same_result(bench: Bench) -> None:
    program = queue("steady") + 'pulumi.export("x", 1)\n'
    first = bench.apply(program)
    second = bench.apply(program)
    assert first.actions() == {"steady": Action.CREATED}
    assert second.actions() == {"steady": Action.UNCHANGED}
    assert second.run == first.run
    assert not second.cloud._clients, "without a single client nothing can have been called"


def test_a_changed_input_is_updated_in_place(bench: Bench) -> None:
    bench.apply(queue("grows", 60))
    changed = bench.apply(queue("grows", 120))
    (resource,) = changed.run.resources
    assert changed.actions() == {"grows": Action.UPDATED}
    attributes = bench.cloud.client("sqs", REGION).get_queue_attributes(QueueUrl=resource.id, AttributeNames=["All"])
    assert attributes["Attributes"]["MessageRetentionPeriod"] == "120"


def test_an_input_that_cannot_change_replaces_the_resource_and_renews_what_stands_on_it(bench: Bench) -> None:
    def program(*, lock: bool) -> str:
        return f"""
        bucket = aws.s3.Bucket("bucket", bucket="flotilla-replaced", object_lock_enabled={lock})
        aws.s3.BucketPublicAccessBlock("block", bucket=bucket.bucket, block_public_acls=True)
        """

    bench.apply(program(lock=False))
    changed = bench.apply(program(lock=True))
    assert changed.actions() == {"bucket": Action.REPLACED, "block": Action.UPDATED}
    s3 = bench.cloud.client("s3", REGION)
    found = s3.get_public_access_block(Bucket="flotilla-replaced")["PublicAccessBlockConfiguration"]
    assert found["BlockPublicAcls"], "the new bucket would stand open without it"


def table(*indexed: str, projection: str = "ALL") -> str:
    attributes = ", ".join(f'{{"name": "{name}", "type": "S"}}' for name in ("id", *indexed))
    indexes = ", ".join(
        f'{{"name": "by-{name}", "key_schemas": [{{"attribute_name": "{name}", "key_type": "HASH"}}], '
        f'"projection_type": "{projection}"}}'
        for name in indexed
    )
    return f"""
    aws.dynamodb.Table("kept", name="kept", billing_mode="PAY_PER_REQUEST", hash_key="id",
        attributes=[{attributes}], global_secondary_indexes=[{indexes}])
    """


def test_an_index_of_a_table_comes_and_goes_and_the_items_stay(bench: Bench) -> None:
    bench.apply(table())
    dynamodb = bench.cloud.client("dynamodb", REGION)
    dynamodb.put_item(TableName="kept", Item={"id": {"S": "1"}, "colour": {"S": "red"}})

    def answers(name: str) -> list[str]:
        found = dynamodb.query(
            TableName="kept",
            IndexName=f"by-{name}",
            KeyConditionExpression="#key = :value",
            ExpressionAttributeNames={"#key": name},
            ExpressionAttributeValues={":value": {"S": "red"}},
        )
        return [item["id"]["S"] for item in found["Items"]]

    assert bench.apply(table("colour")).actions() == {"kept": Action.UPDATED}, "as Pulumi does: the items are the fleet"
    assert answers("colour") == ["1"], "items that were there before the index are in it"
    bench.apply(table("colour", projection="KEYS_ONLY"))
    bench.apply(table("shape"))
    indexes = dynamodb.describe_table(TableName="kept")["Table"]["GlobalSecondaryIndexes"]
    assert [index["IndexName"] for index in indexes] == ["by-shape"]
    assert dynamodb.get_item(TableName="kept", Key={"id": {"S": "1"}})["Item"]["colour"]["S"] == "red"


def test_what_the_program_no_longer_has_is_deleted_last_made_first(bench: Bench) -> None:
    bench.apply(
        queue("stays")
        + 'role = aws.iam.Role("role", name="goes", assume_role_policy=json.dumps({"Version": "2012-10-17",'
        '"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"},'
        '"Action": "sts:AssumeRole"}]}))\n'
        'aws.iam.RolePolicy("permission", name="p", role=role.name, policy=json.dumps({"Version": "2012-10-17",'
        '"Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}]}))\n'
    )
    less = bench.apply(queue("stays"))
    assert less.actions() == {"stays": Action.UNCHANGED, "role": Action.DELETED, "permission": Action.DELETED}
    with pytest.raises(ClientError, match="NoSuchEntity"):
        bench.cloud.client("iam", REGION).get_role(RoleName="goes")
    assert [entry.name for entry in read_state(bench.folder).entries()] == ["stays"]


def test_a_protected_resource_is_not_deleted(bench: Bench) -> None:
    bench.apply('aws.sqs.Queue("guarded", name="guarded", opts=pulumi.ResourceOptions(protect=True))')
    with pytest.raises(ApplyError, match=r"aws:sqs/queue:Queue guarded: is protected.*take the protection away"):
        bench.apply("")
    assert bench.cloud.client("sqs", REGION).get_queue_url(QueueName="guarded")
    bench.apply('aws.sqs.Queue("guarded", name="guarded")')
    assert bench.apply("").actions() == {"guarded": Action.DELETED}


def test_a_type_without_an_applier_is_an_error_that_names_type_and_resource(bench: Bench) -> None:
    with pytest.raises(ProgramError, match=r"^aws:ec2/vpc:Vpc net: the desk cannot apply this type"):
        bench.apply('aws.ec2.Vpc("net", cidr_block="10.0.0.0/16")')


def test_a_refused_call_is_an_error_that_names_resource_call_and_reason(bench: Bench) -> None:
    program = """
    aws.iot.TopicRule("rule", name="rule", enabled=True, sql="SELECT * FROM 'a'", sql_version="2016-03-23",
        sqs=[{"role_arn": "arn:aws:iam::000000000000:role/missing", "queue_url": "http://localhost/q",
              "use_base64": False}])
    """
    expected = r"^aws:iot/topicRule:TopicRule rule: CreateTopicRule was refused: InvalidRequestException: .*missing"
    with pytest.raises(ProgramError, match=expected):
        bench.apply(program)


def test_a_region_without_a_cell_is_an_error_that_names_the_regions_there_are(bench: Bench) -> None:
    with pytest.raises(ProgramError, match=r"Queue far: region us-west-2 has no cell on this desk; there are eu-north"):
        bench.apply('aws.sqs.Queue("far", name="far", region="us-west-2")')


def test_an_archive_that_was_not_built_says_how_to_build_it(bench: Bench) -> None:
    program = """
    aws.lambda_.Function("f", role="arn:aws:iam::000000000000:role/r", runtime="python3.11", handler="f.handler",
        code=pulumi.FileArchive("build/functions/f.zip"))
    """
    with pytest.raises(ProgramError, match=r"Function f: the archive build/functions/f\.zip is not there; .*make func"):
        bench.apply(program)


def test_a_function_is_updated_when_only_the_bytes_of_its_archive_changed(bench: Bench) -> None:
    program = function("f")

    def archive(answer: int) -> None:
        with zipfile.ZipFile(bench.folder / "f.zip", "w") as file:
            file.writestr("f.py", f"def handler(event, context):\n    return {answer}\n")

    bench.folder.mkdir()
    archive(1)
    bench.apply(program)
    archive(2)
    assert bench.apply(program).actions() == {"role": Action.UNCHANGED, "f": Action.UPDATED}
    answer = bench.cloud.client("lambda", REGION).invoke(FunctionName="f", Payload=b"{}")
    assert json.load(answer["Payload"]) == 2


def test_an_archive_that_carries_an_older_module_than_the_project_is_refused_even_if_it_was_deployed(
    bench: Bench,
) -> None:
    program = function("g")
    module = bench.folder / "g.py"
    bench.folder.mkdir()
    module.write_text("def handler(event, context):\n    return 1\n", encoding="utf-8")
    with zipfile.ZipFile(bench.folder / "g.zip", "w") as file:
        file.write(module, "g.py")
    bench.apply(program)
    module.write_text("def handler(event, context):\n    return 2\n", encoding="utf-8")
    with pytest.raises(
        ProgramError, match=r"Function g: the archive g\.zip holds another g\.py than .* make functions"
    ):
        bench.apply(program)


def test_a_secret_is_applied_and_not_written_to_the_state(bench: Bench) -> None:
    program = 'aws.sns.Topic("quiet", name="quiet", display_name=pulumi.Output.secret("hush-hush"))'
    (resource,) = bench.apply(program).run.resources
    attributes = bench.cloud.client("sns", REGION).get_topic_attributes(TopicArn=resource.id)["Attributes"]
    assert attributes["DisplayName"] == "hush-hush"
    assert "hush-hush" not in (bench.folder / STATE_FILE).read_text(encoding="utf-8")
    assert bench.apply(program).actions() == {"quiet": Action.UNCHANGED}


def test_the_intent_is_on_disk_before_the_call_and_stays_when_it_is_refused(bench: Bench) -> None:
    with pytest.raises(ProgramError):
        bench.apply('aws.sqs.Queue("broken", name="broken", message_retention_seconds=1)')
    (left,) = read_state(bench.folder).interrupted()
    assert (left.name, left.step) == ("broken", Step.CHANGING)


def test_every_change_of_the_state_is_on_disk_when_the_call_returns(tmp_path: Path) -> None:
    state = State(tmp_path / STATE_FILE, {"r": "1"}, {})
    entry = Entry(urn="u", type="t", name="n", region="r", step=Step.APPLIED, order=state.next_order(), inputs={"a": 1})
    state.put(entry)
    assert read_state(tmp_path).entries() == (entry,)
    assert read_state(tmp_path).next_order() == entry.order + 1
    state.remove("u")
    assert read_state(tmp_path).entries() == ()
    assert read_state(tmp_path).incarnations == {"r": "1"}


@pytest.mark.parametrize("content", ["{", "[]", '{"version": 9, "incarnations": {}, "entries": {}}'])
def test_a_state_that_cannot_be_understood_is_refused_with_the_way_out(tmp_path: Path, content: str) -> None:
    (tmp_path / STATE_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(StateError, match=r"state\.json: .*start anew"):
        read_state(tmp_path)


def test_every_type_of_every_stack_can_be_applied() -> None:
    for stack in available_stacks():
        plan = yaml.safe_load((STACKS / f"{stack}.plan.yaml").read_text(encoding="utf-8"))
        types = {resource["type"] for resource in plan["resources"] if resource["type"].startswith("aws:")}
        assert types
        assert types <= APPLIERS.keys(), f"the desk cannot bring up {stack}"


def test_the_desk_runs_archives_of_this_machines_platform_and_leaves_lambdas_alone(tmp_path: Path) -> None:
    assert str(FOR_AWS) == ARCHIVES, "the program's"
    assert archive_path(f"{ARCHIVES}/ingest.zip", tmp_path) == tmp_path / "build" / "functions" / "here" / "ingest.zip"
    assert archive_path("g.zip", tmp_path) == tmp_path / "g.zip"
