"""All commands in the order in which a new operator meets them."""

from __future__ import annotations

from typing import Annotated

import typer

from connector import __version__
from connector.cli import exchange, folder, output, policy, processes
from connector.cli.doctor import doctor
from connector.cli.exits import EPILOG, Exit
from connector.cli.keyring import keys
from connector.cli.migration import imports
from connector.cli.output import JsonOption

app = typer.Typer(
    help="A data-space connector for hospitals: publish, negotiate, transfer, enforce.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich costs more than all the rest of `connector --help`
    pretty_exceptions_enable=False,
)


def version(json: JsonOption = False) -> None:
    """Print the version."""
    output.result({"version": __version__}, __version__)


def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit after the exchange: 0 only if all went as promised.")] = False,
    json: JsonOption = False,
) -> None:
    """Two hospitals on this machine, with real data: catalogue, refusal, negotiation, transfer, limits, revocation."""
    from connector.demo import run

    promises = run(once, stderr=json)
    output.result({"held": all(promises.values()), "promises": promises})
    if not all(promises.values()):
        raise typer.Exit(Exit.FAILED)


for command in (demo, folder.init, folder.check, folder.serve, doctor, exchange.catalog, exchange.fetch, exchange.negotiate):
    app.command()(command)
app.add_typer(processes.negotiations, name="negotiations")
app.add_typer(processes.agreements, name="agreements")
app.add_typer(processes.transfers, name="transfers")
app.add_typer(policy.app, name="policy")
app.add_typer(keys, name="keys")
app.add_typer(imports, name="import")
app.command()(version)
