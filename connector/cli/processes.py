"""`connector negotiations | agreements | transfers`: what the running connector is doing, and the operator's say in it."""

from __future__ import annotations

from typing import Annotated

import typer

from connector.cli import output
from connector.cli.output import JsonOption
from connector.cli.own import HERE, DirOption, ManagementOption, management
from connector.cli.timeline import print_timeline
from connector.client import Management
from connector.client.terms import duties, terms
from connector.client.wire import text
from connector.odrl.model import Json

negotiations = typer.Typer(help="Contract negotiations of the running connector.", no_args_is_help=True)
agreements = typer.Typer(help="Contract agreements of the running connector.", no_args_is_help=True)
transfers = typer.Typer(help="Transfer processes of the running connector.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Told to the partner.")]
StateOption = Annotated[str | None, typer.Option("--state", help="Only those in this state, such as TERMINATED.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest.")]

# Columns of each list: heading and field of the management API's record.
_NEGOTIATION = {"ID": "@id", "STATE": "state", "AS": "type", "PARTNER": "counterPartyId", "DATASET": "assetId"}
_AGREEMENT = {"ID": "@id", "PROVIDER": "providerId", "CONSUMER": "consumerId", "DATASET": "assetId"}
_TRANSFER = {"ID": "@id", "STATE": "state", "AS": "type", "DATASET": "assetId", "AGREEMENT": "contractId"}


def _list(api: Management, family: str, columns: dict[str, str], limit: int, **equal: str | None) -> None:
    rows = api.query(family, limit=limit, **{k: v for k, v in equal.items() if v is not None})
    cells = [[text(row.get(field)) for field in columns.values()] for row in rows]
    output.result(list(rows), lambda: output.table(list(columns), cells, "none"))


def _show(api: Management, family: str, id: str) -> None:
    record, events = api.get(family, id), api.get(family, id, "timeline")
    output.result({**record, "timeline": events}, lambda: print_timeline(record, events))


def _act(api: Management, family: str, id: str, verb: str, **body: Json) -> None:
    """Ask for a step, and say in which state it left the process."""
    api.post(family, id, verb, body={"@id": id, **body})
    state = text(api.get(family, id).get("state"))
    output.result({"@id": id, "done": verb, "state": state}, f"{id}: {verb}, now {state}" if state else f"{id}: {verb}")


# --- negotiations --------------------------------------------------------------------------------------------------


@negotiations.command("list")
def list_negotiations(
    state: StateOption = None,
    limit: LimitOption = 50,
    dir: DirOption = HERE,
    url: ManagementOption = None,
    json: JsonOption = False,
) -> None:
    """List negotiations with their states."""
    with management(dir, url) as api:
        _list(api, "contractnegotiations", _NEGOTIATION, limit, state=state)


@negotiations.command("show")
def show_negotiation(id: IdArgument, dir: DirOption = HERE, url: ManagementOption = None, json: JsonOption = False) -> None:
    """Show one negotiation: each message, who sent it, the next retry, the last error."""
    with management(dir, url) as api:
        _show(api, "contractnegotiations", id)


@negotiations.command("approve")
def approve(id: IdArgument, dir: DirOption = HERE, url: ManagementOption = None, json: JsonOption = False) -> None:
    """Take the step that waits for a person."""
    with management(dir, url) as api:
        _act(api, "contractnegotiations", id, "approve")


@negotiations.command("reject")
def reject(
    id: IdArgument,
    reason: ReasonOption = "refused by the operator",
    dir: DirOption = HERE,
    url: ManagementOption = None,
    json: JsonOption = False,
) -> None:
    """Refuse the step that waits for a person; ends the negotiation."""
    with management(dir, url) as api:
        _act(api, "contractnegotiations", id, "reject", reason=reason)


@negotiations.command("terminate")
def terminate_negotiation(
    id: IdArgument,
    reason: ReasonOption = "ended by the operator",
    dir: DirOption = HERE,
    url: ManagementOption = None,
    json: JsonOption = False,
) -> None:
    """End a negotiation and tell the partner why."""
    with management(dir, url) as api:
        _act(api, "contractnegotiations", id, "terminate", reason=reason)


# --- agreements ----------------------------------------------------------------------------------------------------


@agreements.command("list")
def list_agreements(
    limit: LimitOption = 50, dir: DirOption = HERE, url: ManagementOption = None, json: JsonOption = False
) -> None:
    """List agreements with both sides and the dataset."""
    with management(dir, url) as api:
        _list(api, "contractagreements", _AGREEMENT, limit)


@agreements.command("show")
def show_agreement(id: IdArgument, dir: DirOption = HERE, url: ManagementOption = None, json: JsonOption = False) -> None:
    """Show one agreement: who, what, and its terms in plain words."""
    with management(dir, url) as api:
        record = api.get("contractagreements", id)
    lines = [f"{heading.lower():<10}{text(record.get(field))}" for heading, field in _AGREEMENT.items()]
    lines += [f"terms     {line}" for line in terms(record.get("policy"))]
    lines += [f"duty      {line}" for line in duties(record.get("policy"))]
    output.result(record, "\n".join(lines))


@agreements.command("retire")
def retire(
    id: IdArgument,
    reason: ReasonOption = "retired by the operator",
    dir: DirOption = HERE,
    url: ManagementOption = None,
    json: JsonOption = False,
) -> None:
    """End an agreement: its transfers are terminated, its tokens are dead, the partner is told."""
    with management(dir, url) as api:
        api.post("contractagreements", id, "retire", body={"@id": id, "reason": reason})
    output.result({"@id": id, "done": "retire"}, f"{id}: retired")


# --- transfers -----------------------------------------------------------------------------------------------------


@transfers.command("list")
def list_transfers(
    state: StateOption = None,
    limit: LimitOption = 50,
    dir: DirOption = HERE,
    url: ManagementOption = None,
    json: JsonOption = False,
) -> None:
    """List transfer processes with their states."""
    with management(dir, url) as api:
        _list(api, "transferprocesses", _TRANSFER, limit, state=state)


@transfers.command("show")
def show_transfer(id: IdArgument, dir: DirOption = HERE, url: ManagementOption = None, json: JsonOption = False) -> None:
    """Show one transfer: each message, who sent it, the next retry, the last error."""
    with management(dir, url) as api:
        _show(api, "transferprocesses", id)


@transfers.command("suspend")
def suspend(
    id: IdArgument,
    reason: ReasonOption = "suspended by the operator",
    dir: DirOption = HERE,
    url: ManagementOption = None,
    json: JsonOption = False,
) -> None:
    """Stop the flow of data for now; its tokens are dead at once."""
    with management(dir, url) as api:
        _act(api, "transferprocesses", id, "suspend", reason=reason)


@transfers.command("resume")
def resume(id: IdArgument, dir: DirOption = HERE, url: ManagementOption = None, json: JsonOption = False) -> None:
    """Let a suspended transfer go on, with fresh tokens."""
    with management(dir, url) as api:
        _act(api, "transferprocesses", id, "resume")


@transfers.command("terminate")
def terminate_transfer(
    id: IdArgument,
    reason: ReasonOption = "ended by the operator",
    dir: DirOption = HERE,
    url: ManagementOption = None,
    json: JsonOption = False,
) -> None:
    """End a transfer and tell the partner why; its tokens are dead at once."""
    with management(dir, url) as api:
        _act(api, "transferprocesses", id, "terminate", reason=reason)
