"""JSON <-> message: what `jsonld.document.normalise` has brought to canonical form, and what goes out in that form.

DSP 2025-1, sections 5, 7 and 9. One table, `FIELDS`, says how each field of each message is spelled, read and written;
policies are read and written by `odrl.read` only. Readers of answers (`read_ack`, `read_error`) never refuse: a peer's
2xx or 4xx stands whatever its body holds (DSP-068), so they take what they understand of any spelling.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any, NamedTuple, cast

import orjson

from connector.dsp import messages as m
from connector.dsp.messages import DSP_CONTEXT, Ack, CatalogRequest, DataAddress, EndpointProperty, Kind, Message
from connector.dsp.process import Process
from connector.dsp.versions import Auth, Version, read_version, select_version, write_versions
from connector.errors import Malformed
from connector.odrl import read as odrl
from connector.odrl.model import Json, Policy, PolicyKind

__all__ = [
    "Auth", "Version", "digest", "read_ack", "read_catalog_request", "read_data_address", "read_error", "read_message",
    "read_version", "select_version", "wire_types", "write_ack", "write_catalog", "write_catalog_request",
    "write_data_address", "write_dataset", "write_error", "write_message", "write_versions",
]  # fmt: skip

EDC_CONTEXT = "https://w3id.org/edc/dspace/v0.0.1"
NO_PID = "urn:uuid:00000000-0000-0000-0000-000000000000"  # DSP-066: errors must carry pids, known or not
CATALOG_REQUEST = "CatalogRequestMessage"
EVENT = "ContractNegotiationEventMessage"

WIRE: Mapping[Kind, tuple[str, type[Any]]] = {
    Kind.REQUEST: ("ContractRequestMessage", m.ContractRequest),
    Kind.OFFER: ("ContractOfferMessage", m.ContractOffer),
    Kind.ACCEPT: (EVENT, m.ContractAccepted),
    Kind.AGREE: ("ContractAgreementMessage", m.ContractAgreement),
    Kind.VERIFY: ("ContractAgreementVerificationMessage", m.ContractVerification),
    Kind.FINALIZE: (EVENT, m.ContractFinalized),
    Kind.TERMINATE: ("ContractNegotiationTerminationMessage", m.ContractTermination),
    Kind.TRANSFER_REQUEST: ("TransferRequestMessage", m.TransferRequest),
    Kind.START: ("TransferStartMessage", m.TransferStart),
    Kind.SUSPEND: ("TransferSuspensionMessage", m.TransferSuspension),
    Kind.COMPLETE: ("TransferCompletionMessage", m.TransferCompletion),
    Kind.TERMINATE_TRANSFER: ("TransferTerminationMessage", m.TransferTermination),
}
EVENTS = {Kind.ACCEPT: "ACCEPTED", Kind.FINALIZE: "FINALIZED"}
ERRORS = {"catalog": "CatalogError", "negotiations": "ContractNegotiationError", "transfers": "TransferError"}


# --- messages -------------------------------------------------------------------------------------------------------


def wire_types(kinds: Iterable[Kind]) -> frozenset[str]:
    """Return the wire types of `kinds`: what `normalise` is asked for."""
    return frozenset(WIRE[kind][0] for kind in kinds)


def read_message(document: Mapping[str, Json], allowed: frozenset[Kind]) -> Message:
    """Return the message that the canonical `document` holds.

    Raises:
        Malformed: none of `allowed`, or a field is missing; the text names it.
    """
    kind = _kind(document, allowed)
    values: dict[str, Any] = {}
    for spec in fields(WIRE[kind][1]):
        field = FIELDS[spec.name]
        if document.get(field.key) is not None:
            values[spec.name] = field.read(document[field.key], field.key)
        elif spec.default is MISSING:
            raise Malformed(f"{field.key} is missing")
    return cast(Message, WIRE[kind][1](**values))


def write_message(message: Message) -> bytes:
    """Return the message in canonical compact form."""
    body: dict[str, Any] = {"@context": [DSP_CONTEXT], "@type": WIRE[message.kind][0]}
    for spec in fields(message):
        field, value = FIELDS[spec.name], getattr(message, spec.name)
        if value is not None and value != ():
            body[field.key] = field.write(value)
    if message.kind in EVENTS:
        body["eventType"] = EVENTS[message.kind]
    return orjson.dumps(body)


def digest(document: Mapping[str, Json]) -> str:
    """Return a digest of the content: tells a repeated message from a new one when it has no `@id` (DSP-053)."""
    return "sha256:" + hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def read_data_address(value: Json, where: str = "dataAddress") -> DataAddress:
    """Return the data address; names of properties stay as they were written (DSP-086)."""
    address = _object(value, where)
    given = address.get("endpointProperties") or []
    if not isinstance(given, list):
        raise Malformed(f"{where}.endpointProperties must be an array")
    properties = [_object(entry, f"{where}.endpointProperties[{index}]") for index, entry in enumerate(given)]
    return DataAddress(
        endpoint_type=_text(address.get("endpointType"), f"{where}.endpointType"),
        endpoint=_text(address["endpoint"], f"{where}.endpoint") if "endpoint" in address else None,
        properties=tuple(
            EndpointProperty(
                _text(entry.get("name"), f"{where}.endpointProperties[{index}].name"),
                _text(entry.get("value"), f"{where}.endpointProperties[{index}].value"),
            )
            for index, entry in enumerate(properties)
        ),
    )


def write_data_address(address: DataAddress) -> dict[str, Json]:
    written: dict[str, Json] = {"@type": "DataAddress", "endpointType": address.endpoint_type}
    if address.endpoint is not None:
        written["endpoint"] = address.endpoint
    if address.properties:
        written["endpointProperties"] = [
            {"@type": "EndpointProperty", "name": prop.name, "value": prop.value} for prop in address.properties
        ]
    return written


def _kind(document: Mapping[str, Json], allowed: frozenset[Kind]) -> Kind:
    name = document.get("@type")
    named = [kind for kind in WIRE if kind in allowed and WIRE[kind][0] == name]
    if not named:
        raise Malformed(f"@type must be {' or '.join(sorted(wire_types(allowed)))}, not {str(name)[:100]}")
    if name != EVENT:
        return named[0]
    for kind in named:
        if EVENTS[kind] == document.get("eventType"):
            return kind
    raise Malformed(f"eventType must be {' or '.join(EVENTS[kind] for kind in named)} here")


def _object(value: Json, where: str) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise Malformed(f"{where} must be an object")
    return value


def _text(value: Json, where: str) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{where} must be a string" if value is not None else f"{where} is missing")
    return value


def _reasons(value: Json, where: str) -> tuple[Json, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _policy(kind: PolicyKind) -> Callable[[Json, str], Policy]:
    return lambda value, where: odrl.policy(_object(value, where), kind=kind)


class Field(NamedTuple):
    key: str
    read: Callable[[Json, str], Any] = _text
    write: Callable[[Any], Any] = lambda value: value


FIELDS: Mapping[str, Field] = {
    "id": Field("@id"),
    "consumer_pid": Field("consumerPid"),
    "provider_pid": Field("providerPid"),
    "callback_address": Field("callbackAddress"),
    "offer": Field("offer", _policy(PolicyKind.OFFER), odrl.to_json),
    "agreement": Field("agreement", _policy(PolicyKind.AGREEMENT), odrl.to_json),
    "agreement_id": Field("agreementId"),
    "format": Field("format"),
    "data_address": Field("dataAddress", read_data_address, write_data_address),
    "code": Field("code"),
    "reason": Field("reason", _reasons, list),
}


# --- answers --------------------------------------------------------------------------------------------------------


def write_ack(process: Process) -> bytes:
    """Return the ContractNegotiation or TransferProcess that both sides may see (DSP-056, DSP-067)."""
    return orjson.dumps(
        {
            "@context": [DSP_CONTEXT],
            "@type": "ContractNegotiation" if process.TERMINATION is Kind.TERMINATE else "TransferProcess",
            "@id": process.id,
            "providerPid": process.provider_pid or NO_PID,
            "consumerPid": process.consumer_pid or NO_PID,
            "state": process.current,
        }
    )


def read_ack(body: bytes) -> Ack:
    """Return what a peer's answer says; empty where it says nothing that is understood."""
    answer = _answer(body)
    state = _short(answer, "state")
    return Ack(
        consumer_pid=_short(answer, "consumerPid"),
        provider_pid=_short(answer, "providerPid"),
        state=state and re.split(r"[/#:]", state)[-1],
    )


def write_error(
    family: str,
    consumer_pid: str | None,
    provider_pid: str | None,
    code: str,
    reasons: Iterable[str],
) -> bytes:
    """Return the error body of `catalog`, `negotiations` or `transfers`.

    Catalog errors have no pids (DSP-035), the others must have both (DSP-066).
    """
    body: dict[str, Any] = {"@context": [DSP_CONTEXT], "@type": ERRORS[family]}
    if family != "catalog":
        body |= {"providerPid": provider_pid or NO_PID, "consumerPid": consumer_pid or NO_PID}
    listed = list(reasons)
    return orjson.dumps({**body, "code": code, **({"reason": listed} if listed else {})})


def read_error(body: bytes) -> tuple[str | None, tuple[str, ...]]:
    """Return the code and the reasons, as text, of a peer's error body; (None, ()) where it is none."""
    answer = _answer(body)
    given = _find(answer, "reason")
    reasons = given if isinstance(given, list) else [given] if given is not None else []
    return _short(answer, "code"), tuple(_as_text(reason) for reason in reasons)


def _answer(body: bytes) -> Mapping[str, Json]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(answer, list) and len(answer) == 1:  # expanded JSON-LD
        answer = answer[0]
    return answer if isinstance(answer, dict) else {}


def _find(answer: Mapping[str, Json], name: str) -> Json:
    """Return the value of `name`, however it is prefixed."""
    for key, value in answer.items():
        if key == name or key.endswith(("/" + name, ":" + name, "#" + name)):
            return value
    return None


def _short(answer: Mapping[str, Json], name: str) -> str | None:
    found = _find(answer, name)
    return None if found is None else _as_text(found)


def _as_text(value: Json) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, Mapping):
        value = value.get("@value", value.get("@id", cast(Json, value)))
    return value if isinstance(value, str) else orjson.dumps(value).decode()


# --- catalog --------------------------------------------------------------------------------------------------------


def read_catalog_request(document: Mapping[str, Json]) -> CatalogRequest:
    """Return the request. No filter and an empty one are the same (DSP-031).

    Raises:
        Malformed: it is no catalog request, or its filter is not one QuerySpec.
    """
    if document.get("@type") != CATALOG_REQUEST:
        raise Malformed(f"@type must be {CATALOG_REQUEST}")
    given = document.get("filter") or []
    if not isinstance(given, list) or len(given) > 1 or not all(isinstance(entry, Mapping) for entry in given):
        raise Malformed("filter must be an array with one QuerySpec")
    identifier = document.get("@id")
    return CatalogRequest(id=None if identifier is None else _text(identifier, "@id"), filter=tuple(given))


def write_catalog_request(request: CatalogRequest) -> bytes:
    """Return the request. A QuerySpec gets its types and EDC's context, without which EDC does not see its terms."""
    body: dict[str, Any] = {"@context": [DSP_CONTEXT], "@type": CATALOG_REQUEST}
    if request.id is not None:
        body["@id"] = request.id
    if request.filter:
        body["@context"] = [DSP_CONTEXT, EDC_CONTEXT]
        body["filter"] = [_typed_query(_object(entry, "filter[0]")) for entry in request.filter]
    return orjson.dumps(body)


def _typed_query(query: Mapping[str, Json]) -> dict[str, Json]:
    typed: dict[str, Json] = {**query, "@type": "QuerySpec"}
    criteria = query.get("filterExpression")
    if isinstance(criteria, list):
        typed["filterExpression"] = [{**_object(entry, "filterExpression"), "@type": "Criterion"} for entry in criteria]
    return typed


def write_catalog(id: str, participant_id: str, datasets: list[bytes], endpoint_url: str, service_id: str) -> bytes:
    """Join datasets that are serialised already to a root catalog; no array is empty (DSP-036, DSP-042)."""
    service = {"@id": service_id, "@type": "DataService", "endpointURL": endpoint_url}
    head = orjson.dumps(
        {"@context": [DSP_CONTEXT], "@id": id, "@type": "Catalog", "participantId": participant_id, "service": [service]}
    )
    return b"".join((head[:-1], b',"dataset":[', b",".join(datasets), b"]}")) if datasets else head


def write_dataset(entry: bytes) -> bytes:
    """Make a serialised dataset a document of its own (DSP-039)."""
    return b'{"@context":' + orjson.dumps([DSP_CONTEXT]) + b"," + entry.lstrip()[1:]
