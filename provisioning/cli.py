"""`python -m provisioning`: the commands of the factory."""

import typer

from provisioning.commands.audit import audit
from provisioning.commands.batch import batch
from provisioning.commands.ceremony import ceremony
from provisioning.commands.certificates import commands as certificates_commands
from provisioning.commands.crl import crl
from provisioning.commands.import_elements import import_elements
from provisioning.commands.issue import issue
from provisioning.commands.ledger import commands as ledger_commands
from provisioning.commands.profiles import commands as profiles_commands
from provisioning.commands.reconcile import reconcile
from provisioning.commands.retire import retire
from provisioning.commands.revocation import commands as revocation_commands
from provisioning.commands.revoke import revoke
from provisioning.commands.rotate import rotate
from provisioning.commands.serve import serve
from provisioning.commands.station import commands as station_commands
from provisioning.commands.sync import sync
from provisioning.commands.verify import verify

app = typer.Typer(
    help="The factory: where every identity is born. Exit codes: 0 done, 1 failed and may be rerun, 2 refused.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in (
    ceremony,
    issue,
    batch,
    import_elements,
    verify,
    sync,
    reconcile,
    revoke,
    retire,
    rotate,
    crl,
    audit,
    serve,
):
    app.command()(_command)
app.add_typer(ledger_commands, name="ledger")
app.add_typer(profiles_commands, name="profiles")
app.add_typer(certificates_commands, name="certificates")
app.add_typer(station_commands, name="station")
app.add_typer(revocation_commands, name="revocation")
