"""`connector import edc`: the way over from Eclipse EDC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli import output
from connector.cli.exits import Exit
from connector.cli.output import JsonOption
from connector.cli.own import HERE, DirOption, ManagementOption, running

if TYPE_CHECKING:
    from connector.cli.edc import Finding

imports = typer.Typer(help="Bring what another connector offers over to this one.", no_args_is_help=True)


@imports.command("edc")
def edc(
    url: Annotated[str, typer.Argument(metavar="URL", help="EDC's management API, such as http://edc:8181/management.")],
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", metavar="KEY", envvar="CONNECTOR_EDC_API_KEY", help="EDC's key, if it has one."),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this it is only told what would be done.")] = False,
    dir: DirOption = HERE,
    management_url: ManagementOption = None,
    json: JsonOption = False,
) -> None:
    """Copy assets, policies and contract definitions from a running EDC, and say what its policies were worth there."""
    from connector.cli.edc import Outcome, move  # with all that reads policies: not before it is needed

    with running(dir, management_url) as api, output.working("reading what EDC offers"):
        connection = api.connection
        findings = connection.loop.run(move(url, api_key, connection.own.api, apply))
    unfinished = [one for one in findings if one.outcome in (Outcome.DIFFERS, Outcome.REFUSED)]
    output.result({"applied": apply, "findings": [one.document() for one in findings]}, lambda: _print(findings, apply))
    if unfinished:
        raise typer.Exit(Exit.FAILED)


def _print(findings: list[Finding], apply: bool) -> None:
    from connector.cli.edc import Outcome

    for finding in findings:
        for words in finding.lines():
            output.line(words)
    counts = ", ".join(f"{sum(one.outcome is outcome for one in findings)} {outcome}" for outcome in Outcome)
    output.line(
        f"{counts}: " + ("the new ones were copied" if apply else "nothing was changed; --apply copies the new ones")
    )
