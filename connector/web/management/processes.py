"""What the answers about negotiations and transfers share."""

from __future__ import annotations

from connector.dsp.process import Process
from connector.errors import NotFound
from connector.odrl.model import Json
from connector.ports import AuditRecord, Envelope
from connector.services.history import Timeline
from connector.web.management import states
from connector.web.management.fields import Fields
from connector.web.management.jsonld import Node
from connector.web.management.operation import Call, millis

NO_REASON = "no reason was given"  # version 4 does not ask for one
CALLBACK = ("uri", "events", "transactional", "authKey", "authCodeId")


def missing(noun: str, id: str) -> NotFound:
    return NotFound(f"Object of type {noun} with ID={id} was not found")


def callbacks(body: Fields) -> tuple[Json, ...]:
    """Return the callback addresses of a request; each needs a uri."""
    found: list[Json] = []
    for item in body.objects("callbackAddresses"):
        uri = item.mandatory("uri")
        if uri and not uri.startswith(("http://", "https://")):
            item.wrong("uri", f"value '{item.at('uri')}' must be an http(s) URL", uri)
        found.append({name: item.node[name] for name in CALLBACK if item.raw(name) is not None})
    return tuple(found)


def reason(call: Call) -> str:
    """Return the reason of a termination, suspension or retirement. Raises ValidationFailure."""
    named = call.body.identifier()
    if named not in (None, call.id):
        call.body.wrong("@id", f"the @id of the body must be the one of the path, {call.id}", named)
    words = (call.body.text("reason") or NO_REASON) if call.typed else call.body.mandatory("reason")
    call.body.check()
    return words


def shared(process: Process) -> Node:
    """Return the fields that EDC shows of both kinds of process, and ours: what a person decides, and when it ends."""
    node: Node = {
        "@id": process.id,
        "type": process.role.upper(),
        "state": states.shown(process),
        "stateTimestamp": millis(process.updated_at),
        "createdAt": millis(process.created_at),
        "counterPartyId": process.peer,
        "counterPartyAddress": process.peer_address,
        "correlationId": process.peer_pid,
        "traceId": process.correlation_id,
        "waitingFor": process.waiting,
        "deadline": millis(process.deadline),
    }
    if process.cause is not None:
        node["errorDetail"] = f"{process.cause.code}: {process.cause.detail}"
        node["cause"] = {"code": process.cause.code, "detail": process.cause.detail, "by": process.cause.by.upper()}
    return node


def show_timeline(timeline: Timeline) -> Node:
    process = timeline.process
    return {
        "@id": process.id,
        "@type": "Timeline",
        "state": states.shown(process),
        "waitingFor": process.waiting,
        "traceId": process.correlation_id,
        "peer": {"id": process.peer, "address": process.peer_address, "answers": timeline.peer_answers},
        "events": [_event(record, process) for record in timeline.events],
        "pending": [_pending(envelope) for envelope in timeline.outbox],
    }


def _event(record: AuditRecord, process: Process) -> Node:
    by = process.role.other if record.event.endswith(".received") else process.role
    detail = {name: value for name, value in record.detail.items() if name not in ("at", "event")}
    return {"at": record.at.isoformat(), "event": record.event, "by": by.upper(), **detail}


def _pending(envelope: Envelope) -> Node:
    return {
        "message": envelope.kind,
        "id": envelope.id,
        "attempts": envelope.attempts,
        "nextTry": envelope.next_try.isoformat(),
        "givesUp": None if envelope.give_up_at is None else envelope.give_up_at.isoformat(),
        "lastStatus": envelope.last_status,
        "lastError": envelope.last_error,
    }
