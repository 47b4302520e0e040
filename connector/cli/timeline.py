"""One process as a story: each message, who sent it, what waits, and what went wrong."""

from __future__ import annotations

from datetime import UTC, datetime

from connector.cli.output import line
from connector.client.wire import listed, objects, short, text
from connector.odrl.model import Json

_HEAD = {
    "state": "state",
    "type": "as",
    "counterPartyId": "partner",
    "counterPartyAddress": "at",
    "assetId": "dataset",
    "contractAgreementId": "agreement",
    "contractId": "agreement",
    "traceId": "correlation",
    "waitingFor": "waits for you",
    "errorDetail": "ended because",
}
_ANSWERS = {True: "answers", False: "does not answer", None: "was not tried yet"}
_UNTOLD = ("@type", "at", "event", "message", "id")  # said elsewhere in the line, or to nobody's use


def print_timeline(record: dict[str, Json], timeline: dict[str, Json]) -> None:
    """Print a process and its timeline, as the management API gives them."""
    line(text(record.get("@id")))
    for field, name in _HEAD.items():
        if words := text(record.get(field)):
            line(f"  {name:<14}{words}")
    (peer,) = objects(timeline.get("peer"))
    line(f"  {'the partner':<14}{_ANSWERS[peer.get('answers')]}")  # type: ignore[index]
    if isinstance(deadline := record.get("deadline"), int):
        line(
            f"  {'ends itself':<14}{datetime.fromtimestamp(deadline / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC if nothing moves it"
        )
    for event in objects(timeline.get("events")):
        line(f"  {text(event.get('at'))[11:23]}  {_words(text(event.get('event')), event)}")
    for waiting in objects(timeline.get("pending")):
        line(f"  on its way: {_words(text(waiting.get('message')), waiting)}")


def _words(name: str, told: dict[str, Json]) -> str:
    """Return the name, then everything else that is told."""
    message = [text(told["message"])] if "event" in told and "message" in told else []
    others = [
        f"{key}={short(words) if words.startswith('http') else words}"
        for key, value in told.items()
        if key not in _UNTOLD and listed(value) and (words := text(value))
    ]
    return "  ".join([f"{name:<24}", *message, *others]).rstrip()
