"""A desk's certificates go into the desk, not beside the stack files, which are committed and deployed."""

from pathlib import Path

from local.ceremony import ways_to_certificates
from local.deployment import Deployment
from local.desk import DeskRecord
from local.typed import typed
from local.up_command import certificate_lines
from stacks.outputs import AuthorityOutputs
from tests.stacks.test_outputs import OUTPUTS

HOME = Path("/somewhere/desk")
MISSING = {"line-a": "kms", "line-b": "file", "station-1": "pkcs11", "vendor": "vendor"}
OF_ANY_DEPLOYMENT = OUTPUTS.model_copy(
    update={
        "authorities": {name: AuthorityOutputs(key=key, ca_certificate_ids={}) for name, key in MISSING.items()},
        "authorities_without_certificate": dict.fromkeys(MISSING, "… --out stacks/authorities/lab …"),
    }
)
CEREMONY = typed(
    *("provisioning", "ceremony", "stacks/factories/lab.yaml", "--factory", "/somewhere/desk/factory"),
    *("--out", "/somewhere/desk/authorities", "--outputs", "/somewhere/desk/outputs.json"),
)


def test_no_certificate_of_a_desk_is_put_beside_the_stack_files() -> None:
    ways = ways_to_certificates(OF_ANY_DEPLOYMENT, "lab", HOME)
    assert ways.keys() == MISSING.keys()
    assert (ways["line-a"], ways["line-b"]) == (CEREMONY, CEREMONY)
    assert all("/somewhere/desk/authorities" in way and "stacks/authorities" not in way for way in ways.values())


def test_one_command_for_several_authorities_is_told_once_and_with_what_it_needs() -> None:
    outputs = OF_ANY_DEPLOYMENT.model_copy(
        update={"authorities_without_certificate": dict(ways_to_certificates(OF_ANY_DEPLOYMENT, "lab", HOME))}
    )
    deployment = Deployment("lab", HOME, DeskRecord(stack="lab"), outputs, (), (), "")
    first, *_, last = certificate_lines(deployment)
    assert first == f"no certificate yet: line-a, line-b. Make it: {CEREMONY}"
    assert f"{typed('local', 'env', '--stack', 'lab', '--home', '/somewhere/desk')})" in last
