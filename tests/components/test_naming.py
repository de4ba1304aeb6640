"""Physical names are the same in every run, and never longer than AWS takes."""

from typing import Any

import pytest

from components.naming import NameTooLongError, Naming


def naming(environment: str = "dev") -> Naming:
    # Only buckets read the account, and these tests make none whose name is waited for.
    account_id: Any = None
    return Naming(environment=environment, owner="platform-team", account_id=account_id)


def test_a_name_says_project_environment_and_thing() -> None:
    assert naming().name("ingest") == "flotilla-dev-ingest"


def test_a_name_shared_by_all_regions_says_the_cluster_too() -> None:
    assert naming().name("ingest", cluster="eu1") == "flotilla-dev-eu1-ingest"


def test_a_topic_rule_has_no_hyphen() -> None:
    assert naming("my-dev").rule("registered-line-a") == "flotilla_my_dev_registered_line_a"


def test_tags_say_whose_what_and_where() -> None:
    assert naming().tags("routing") == {"environment": "dev", "component": "routing", "owner": "platform-team"}


def test_only_dev_may_be_destroyed_as_a_whole() -> None:
    assert not naming("dev").protects
    assert naming("staging").protects
    assert naming("production").protects


@pytest.mark.parametrize(("characters", "fits"), [(64, True), (65, False)])
def test_a_name_longer_than_aws_takes_is_refused(characters: int, fits: bool) -> None:
    thing = "x" * (characters - len("flotilla-dev-"))
    if fits:
        assert len(naming().name(thing)) == characters
    else:
        with pytest.raises(NameTooLongError, match=r"has 65 characters and AWS takes 64; shorten"):
            naming().name(thing)


def test_a_bucket_name_longer_than_aws_takes_is_refused_before_the_account_is_known() -> None:
    with pytest.raises(NameTooLongError, match="AWS takes 63"):
        naming("an-environment-with-a-long-name").bucket("lake", region="ap-southeast-2")
