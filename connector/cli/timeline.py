"""One process as a story: each message, who sent it, what waits, and what went wrong."""

from __future__ import annotations

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
    "errorDetail": "ended because",
}


def print_timeline(record: dict[str, Json], timeline: Json) -> None:
    """Print a process and its timeline (a list of events, or an object that holds one beside what is pending)."""
    print(text(record.get("@id")))
    for field, name in _HEAD.items():
        if words := text(record.get(field)):
            print(f"  {name:<14}{words}")
    document = timeline if isinstance(timeline, dict) else {"events": timeline}
    for event in objects(next((document[k] for k in ("events", "timeline", "messages") if k in document), [])):
        print(f"  {_time(event)}  {_event(event)}")
    for waiting in objects(document.get("pending")):
        print(f"  waiting: {_event(waiting)}")


def _time(event: dict[str, Json]) -> str:
    return text(event.get("at", event.get("time")))[11:23]


def _event(event: dict[str, Json]) -> str:
    """Return the words of an event: its name first, then every other field it has."""
    name = text(event.get("event", event.get("kind", event.get("message"))))
    others = [
        f"{key}={short(words) if words.startswith('http') else words}"
        for key, value in event.items()
        if key not in ("@type", "at", "time", "event", "kind", "seq", "subject", "correlationId") and listed(value)
        if (words := text(value))
    ]
    return "  ".join([f"{name:<28}", *others]).rstrip()
