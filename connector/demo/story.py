"""What happens in the demo, in the order of a contract's life."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from connector.cli import exchange
from connector.cli.output import progress
from connector.client import Agreement, Transfer
from connector.client.download import Edr, Pulled, pull
from connector.client.terms import terms
from connector.client.wire import objects, text
from connector.demo.hospitals import Hospital
from connector.demo.screen import Screen
from connector.errors import ConnectorError, Denied
from connector.odrl.model import Json

DATASET = "gbsg2"
RESEARCH, MARKETING = "eu-ehds:HealthcareScientificResearch", "dpv:Marketing"
PATIENCE = 20.0  # seconds for one step

T = TypeVar("T")


def tell(screen: Screen, odense: Hospital, aarhus: Hospital) -> None:
    """Show one exchange, from the catalogue until the contract gives nothing more."""
    screen.opening(
        "Two hospitals on this machine, each with its own connector, keys and database:",
        *(
            f"    {h.name}  {role}  DSP {h.as_peer.address}  ready in {h.started:.2f} s"
            for h, role in ((odense, "provides"), (aarhus, "consumes"))
        ),
    )
    catalogue(screen, odense, aarhus)
    refusal(screen, odense, aarhus)
    agreed = agreement(screen, odense, aarhus)
    transfer = transferred(screen, aarhus, agreed)
    uses(screen, odense, aarhus, transfer)
    ending(screen, agreed)


def catalogue(screen: Screen, odense: Hospital, aarhus: Hospital) -> None:
    found, took = timed(lambda: aarhus.api.post("catalog", "request", body=odense.as_peer.body))
    screen.chapter("Catalogue", f"Aarhus asks Odense, {took}")
    offers = [offer for dataset in objects(found.get("dataset")) for offer in objects(dataset.get("hasPolicy"))]
    for dataset in objects(found.get("dataset")):
        screen.line(f"{text(dataset.get('@id'))}  {text(dataset.get('title'))}")
    for sentence in terms(offers[0] if offers else {}):
        screen.line(f"odrl: {sentence}", "cyan")
    screen.promise("Odense shows Aarhus the trial and its terms", len(offers) == 1)


def refusal(screen: Screen, odense: Hospital, aarhus: Hospital) -> None:
    screen.chapter("Refused", f"the same offer, for {MARKETING}")
    try:
        exchange.agree(aarhus.api.connection.catalog(odense.as_peer), DATASET, MARKETING, None, PATIENCE)
    except Denied as error:
        screen.line(str(error).splitlines()[0], "yellow")
        refused = "purpose" in str(error)
    else:
        refused = False
    at_odense = aarhus_negotiations(odense, "TERMINATED")
    screen.promise("no contract for the wrong purpose; both sides are TERMINATED and know why", refused and bool(at_odense))


def agreement(screen: Screen, odense: Hospital, aarhus: Hospital) -> Agreement:
    agreed = exchange.agree(aarhus.api.connection.catalog(odense.as_peer), DATASET, RESEARCH, None, PATIENCE)
    screen.chapter("Negotiated", f"for {RESEARCH}")
    messages(screen, aarhus.api.get("contractnegotiations", agreed.negotiation, "timeline"))
    theirs = objects(odense.api.query("contractagreements"))
    same = [text(one.get("@id")) for one in theirs] == [agreed.id]
    screen.promise(f"both sides hold {agreed.id}", same)
    return agreed


def transferred(screen: Screen, aarhus: Hospital, agreed: Agreement) -> Transfer:
    transfer, took = timed(lambda: agreed.transfer(within=PATIENCE))
    screen.chapter("Transferred", f"HttpData-PULL, started in {took}")
    messages(screen, aarhus.api.get("transferprocesses", transfer.id, "timeline"))
    return transfer


def uses(screen: Screen, odense: Hospital, aarhus: Hospital, transfer: Transfer) -> None:
    """Use the data as often as agreed, with a suspension in between, and once more."""
    out = aarhus.settings.root / "gbsg2.csv"
    original = odense.settings.root / "data" / "gbsg2.csv"
    edr = transfer.edr()
    pulled = bring(edr, out)
    rows = out.read_bytes().count(b"\n") - 1
    screen.chapter("Pulled", f"{pulled.bytes:,} bytes in {pulled.seconds * 1000:.0f} ms, sha256 {pulled.sha256[:16]}...")
    whole = pulled.sha256 == sha256(original.read_bytes()).hexdigest()
    screen.promise(f"use 1 of 2: {rows} patients, byte for byte Odense's file", whole and rows == 686)

    screen.chapter("Revoked", "Odense suspends the transfer; Aarhus still holds the token")
    theirs = text(odense.api.query("transferprocesses")[0].get("@id"))
    odense.api.post("transferprocesses", theirs, "suspend", body={"reason": "the ethics board wants to look again"})
    why = refused(edr, out)
    screen.line(why or "the token still works", "yellow")
    screen.promise("the token is dead at once", bool(why))
    odense.api.post("transferprocesses", theirs, "resume")
    aarhus.api.wait("transferprocesses", transfer.id, frozenset({"STARTED"}), PATIENCE)
    fresh = transfer.edr()
    screen.promise("use 2 of 2: resumed, with a fresh token", bring(fresh, out).bytes == pulled.bytes)

    screen.chapter("Used up", "the contract says twice")
    why = refused(fresh, out)
    screen.line(why or "the data came a third time", "yellow")
    screen.promise("the third use is refused", bool(why))
    state = aarhus.api.wait("transferprocesses", transfer.id, frozenset({"TERMINATED", "COMPLETED"}), PATIENCE)
    cause = text(aarhus.api.get("transferprocesses", transfer.id).get("errorDetail"))
    screen.line(f"Aarhus' transfer: {state}, {cause}", "yellow")
    screen.promise("Aarhus is told that it is over, and why", "uses-exhausted" in cause)


def ending(screen: Screen, agreed: Agreement) -> None:
    try:
        agreed.transfer(within=PATIENCE)
    except ConnectorError as error:
        why = str(error).splitlines()[0]
        screen.line(why, "yellow")
    else:
        why = ""
    screen.promise("no other transfer can be made under the same contract", bool(why))


# --- pieces --------------------------------------------------------------------------------------------------------


def messages(screen: Screen, timeline: dict[str, Json]) -> None:
    """Print the protocol's messages of a process as its side saw them go and come."""
    events = [
        event for event in objects(timeline.get("events")) if text(event.get("event")).endswith((".sent", ".received"))
    ]
    queued = [event for event in objects(timeline.get("events")) if "at" in event]
    start = datetime.fromisoformat(text(queued[0].get("at"))) if queued else None
    for event in events:
        since = datetime.fromisoformat(text(event.get("at"))) - start if start else None
        arrow = "Aarhus -> Odense" if text(event.get("by")) == "CONSUMER" else "Odense -> Aarhus"
        millis = since.total_seconds() * 1000 if since else 0.0
        screen.line(f"{millis:6.0f} ms  {arrow}  {text(event.get('message')):<18}{text(event.get('after'))}")


def bring(edr: Edr, out: Path) -> Pulled:
    """Pull with the data address that was held before, whatever became of it meanwhile."""

    async def held() -> Edr:
        return edr

    with progress(out.name) as bar:
        return asyncio.run(pull(held, out, bar))


def refused(edr: Edr, out: Path) -> str:
    """Try to pull; return the reason of the refusal, "" when there was none."""
    try:
        bring(edr, out)
    except Denied as error:
        return str(error)
    return ""


def aarhus_negotiations(odense: Hospital, state: str) -> list[dict[str, Json]]:
    """Return the provider's negotiations in a state; it may hear of it a moment after the consumer."""
    give_up = time.monotonic() + PATIENCE
    while not (found := odense.api.query("contractnegotiations", state=state)) and time.monotonic() < give_up:
        time.sleep(0.01)
    return found


def timed(work: Callable[[], T]) -> tuple[T, str]:
    """Return what `work` gives, and how long it took in words."""
    began = time.monotonic()
    result = work()
    return result, f"{(time.monotonic() - began) * 1000:.0f} ms"
