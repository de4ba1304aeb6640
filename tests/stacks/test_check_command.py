"""`python -m stacks check`, run as people and pipelines run it."""

import json
import subprocess
import sys
from pathlib import Path

from tests.stacks.conftest import GOOD

GOOD_FOR_LONG = GOOD.replace("2027-01-31", "2036-12-31").replace("2026-06-01", "2036-12-31")
ROOT = Path(__file__).resolve().parents[2]


def check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stacks", "check", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_committed_stacks_are_in_order() -> None:
    result = check()
    assert (result.returncode, result.stderr) == (0, "")
    for stack in ("dev", "staging", "production"):
        assert stack in result.stdout


def test_one_stack_is_shown_by_name_and_as_data() -> None:
    result = check("--stack", "production", "--json")
    assert result.returncode == 0, result.stdout
    (report,) = json.loads(result.stdout)
    assert (report["stack"], report["valid"], report["problems"]) == ("production", True, [])
    assert report["environment"]["clusters"]["ap1"]["region"] == "ap-southeast-2"


def test_problems_are_printed_one_a_line_and_the_exit_code_tells(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.lab.yaml").write_text(GOOD_FOR_LONG.replace("cluster: us1", "cluster: us9"), encoding="utf-8")
    result = check("--directory", tmp_path)
    assert result.returncode == 2
    assert result.stdout == (
        "Pulumi.lab.yaml:37: flotilla:pins[0].cluster: there is no cluster us9; name one of eu1, us1\n"
    )
    assert "Traceback" not in result.stderr


def test_problems_are_data_for_machines(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.lab.yaml").write_text(GOOD_FOR_LONG.replace("cluster: us1", "cluster: us9"), encoding="utf-8")
    result = check("--directory", tmp_path, "--json")
    assert result.returncode == 2
    assert json.loads(result.stdout) == [
        {
            "stack": "lab",
            "valid": False,
            "problems": [
                {
                    "file": "Pulumi.lab.yaml",
                    "line": 37,
                    "key": "flotilla:pins[0].cluster",
                    "rule": "there is no cluster us9",
                    "way_out": "name one of eu1, us1",
                }
            ],
            "environment": None,
            "certificates": {},
        }
    ]


def test_a_bad_certificate_of_an_authority_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.lab.yaml").write_text(GOOD_FOR_LONG, encoding="utf-8")
    authorities = tmp_path / "authorities"
    (authorities / "lab").mkdir(parents=True)
    assert check("--directory", tmp_path, "--authorities", authorities).returncode == 0
    (authorities / "lab" / "line-a.pem").write_text("not yet", encoding="utf-8")
    result = check("--directory", tmp_path, "--authorities", authorities, "--json")
    assert result.returncode == 2
    (report,) = json.loads(result.stdout)
    assert "it is no certificate in PEM" in report["problems"][0]["rule"]


def test_a_stack_that_does_not_exist_or_a_folder_without_stacks_is_a_problem(tmp_path: Path) -> None:
    result = check("--stack", "nope")
    assert (result.returncode, result.stdout) == (
        2,
        "Pulumi.nope.yaml: there is no such stack file; stacks are: dev, production, staging\n",
    )
    assert check("--directory", tmp_path).returncode == 2
