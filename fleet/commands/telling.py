"""How every command of the fleet tells: as the factory's do, with the fleet's own errors.

Exit codes: 0 done; 1 the cloud or this machine failed, and a rerun goes on; 2 the request must change first; 130
interrupted by a person.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from botocore.exceptions import BotoCoreError

from fleet.errors import FleetError, RefusedError, UnfinishedError
from provisioning.commands.telling import FAILED, INTERRUPTED, REFUSED, STOPPED
from provisioning.errors import ProvisioningError
from provisioning.errors import RefusedError as FactoryRefusedError
from stacks.errors import StackError
from stacks.outputs import OutputsError


@contextmanager
def errors_told() -> Iterator[None]:
    """Turn what goes wrong inside into a message and an exit code."""
    try:
        yield
    except (RefusedError, FactoryRefusedError, StackError, OutputsError) as error:
        raise _told(error, REFUSED) from error
    except (FleetError, ProvisioningError, BotoCoreError, OSError) as error:
        raise _told(error, FAILED) from error
    except KeyboardInterrupt as error:
        raise _told(UnfinishedError(STOPPED), INTERRUPTED) from error


def _told(error: Exception, code: int) -> typer.Exit:
    typer.echo(f"fleet: {error}", err=True)
    return typer.Exit(code)
