"""Events: what the audit says, told to others. Named as EDC names them; documented in docs/events.md.

An event is one row of the audit, so it exists exactly if what it tells of was committed, and its place there (`seq`) is
its order. Beside the row it carries the process as it is now; what may have changed since is taken from the row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from connector.dsp.messages import DataAddress
from connector.dsp.negotiation import Negotiation
from connector.dsp.offering import EDC, Agreement
from connector.dsp.transfer import TransferProcess
from connector.odrl.model import Json
from connector.ports import AuditRecord, Transaction

AnyProcess: TypeAlias = Negotiation | TransferProcess

FAMILIES = {"negotiations": "contract.negotiation", "transfers": "transfer.process"}
MOVES = frozenset({"received", "sent", "terminated"})  # the rows of a process that change its state
OTHERS = {"agreement.ended": "contract.agreement.ended"} | {
    f"{noun}.{verb}": f"{noun.replace('-', '.')}.{verb}"
    for noun in ("asset", "policy-definition", "contract-definition")
    for verb in ("created", "updated", "deleted")
}
VERSION = 1  # of the data: grows when a field changes its meaning or goes


@dataclass(frozen=True, slots=True)
class Event:
    """`type` such as "contract.negotiation.finalized"; `state` is the one that a process reached."""

    type: str
    seq: int
    at: datetime
    subject: str
    correlation_id: str
    state: str | None = None
    reason: str | None = None
    peer: str | None = None
    process: AnyProcess | None = None
    agreement: Agreement | None = field(default=None, repr=False)

    @property
    def last(self) -> bool:
        """Whether nothing can follow about the same process."""
        return self.process is not None and self.state in self.process.TERMINAL

    def wanted(self, prefixes: Collection[str]) -> bool:
        """Whether one of `prefixes` begins its type (EDC's rule). None given: all are wanted."""
        return not prefixes or self.type.startswith(tuple(prefixes))

    def id(self, participant: str) -> str:
        """Return the same id at every telling."""
        return str(uuid5(NAMESPACE_URL, f"urn:hospital-connector:event:{participant}:{self.seq}"))


def read(tx: Transaction, record: AuditRecord) -> Event | None:
    """Return the event that a row of the audit tells of; None where it tells of none."""
    family, _, what = record.event.partition(".")
    if family in FAMILIES and what in MOVES:
        return _process(tx, record, family, what)
    name = OTHERS.get(record.event)
    if name is None:
        return None
    reason = record.detail.get("reason")
    return Event(
        name, record.seq, record.at, record.subject, record.correlation_id, peer=record.peer,
        reason=reason if isinstance(reason, str) else None,
    )  # fmt: skip


def _process(tx: Transaction, record: AuditRecord, family: str, what: str) -> Event | None:
    detail = record.detail
    before, after = detail.get("before"), "TERMINATED" if what == "terminated" else detail.get("after")
    if not isinstance(after, str) or after == before:
        return None
    process: AnyProcess | None = (tx.negotiations if family == "negotiations" else tx.transfers).get(record.subject)
    resumed = family == "transfers" and (before, after) == ("SUSPENDED", "STARTED")
    reason = process.cause.detail if process is not None and process.cause is not None and after == "TERMINATED" else None
    agreement = None
    if isinstance(process, Negotiation) and after == "FINALIZED":
        agreement = tx.agreements.get(process.agreement_id or "")
    return Event(
        f"{FAMILIES[family]}.{'resumed' if resumed else after.lower()}", record.seq, record.at, record.subject,
        record.correlation_id, after, reason, record.peer, process, agreement,
    )  # fmt: skip


# --- as CloudEvents ------------------------------------------------------------------------------------------------


def cloud_event(event: Event, participant: str) -> dict[str, Json]:
    """Return the event in CloudEvents 1.0's JSON form. It never holds a token."""
    kind = event.type.rpartition(".")[0]
    return {
        "specversion": "1.0",
        "id": event.id(participant),
        "source": quote(participant, safe=":/#?=&@!$'()*+,;-._~%"),
        "type": event.type,
        "subject": event.subject,
        "time": event.at.isoformat().replace("+00:00", "Z"),
        "sequence": f"{event.seq:020}",
        "correlationid": event.correlation_id,
        "datacontenttype": "application/json",
        "dataschema": f"urn:hospital-connector:event:{kind}:{VERSION}",
        "data": _data(event),
    }


def _data(event: Event) -> dict[str, Json]:
    """Return the fields under the management API's names."""
    process = event.process
    data: dict[str, Json] = {
        "id": event.subject, "state": event.state, "counterPartyId": event.peer, "reason": event.reason,
    }  # fmt: skip
    if process is not None:
        data |= {
            "type": process.role.upper(),
            "counterPartyAddress": process.peer_address,
            "correlationId": process.peer_pid,
            "assetId": process.dataset_id,
        }
        if process.cause is not None and event.state == "TERMINATED":
            data |= {"cause": process.cause.code, "by": process.cause.by.upper()}
    match process:
        case Negotiation(agreement_id=agreement):
            data["contractAgreementId"] = agreement
        case TransferProcess(agreement_id=contract, format=kind):
            data |= {"contractId": contract, "transferType": kind}
    return {name: value for name, value in data.items() if value is not None}


# --- as EDC's callbacks --------------------------------------------------------------------------------------------


def callback_name(event: Event) -> str:
    """Return EDC's name of the event: to EDC a resumption is a start."""
    return event.type.replace(".resumed", ".started")


def envelope(event: Event, participant: str, protocol: str) -> dict[str, Json]:
    """Return the event of a process as EDC posts it to a callback address: {id, at, payload, type}.

    A started transfer carries its data address, token included: that is what these callbacks are used for.
    """
    process = event.process
    payload: dict[str, Json] = {"protocol": protocol, "participantContextId": participant}
    match process:
        case Negotiation():
            payload |= {
                "contractNegotiationId": process.id,
                "counterPartyId": process.peer,
                "counterPartyAddress": process.peer_address,
                "callbackAddresses": list(process.callbacks),
                "contractOffers": [{"id": process.offer.uid, "assetId": process.dataset_id}],
            }
        case TransferProcess():
            payload |= {
                "transferProcessId": process.id,
                "assetId": process.dataset_id,
                "contractId": process.agreement_id,
                "type": process.role.upper(),
                "callbackAddresses": list(process.callbacks),
            }
            if event.state == "STARTED" and process.data_address is not None:
                payload["dataAddress"] = {"properties": _properties(process.data_address)}
    if event.agreement is not None:
        payload["contractAgreement"] = _agreement(event.agreement)
    if event.reason is not None:
        payload["reason"] = event.reason
    name = "".join(part.capitalize() for part in callback_name(event).split("."))
    return {"id": event.id(participant), "at": int(event.at.timestamp() * 1000), "payload": payload, "type": name}


def _properties(address: DataAddress) -> dict[str, Json]:
    found: dict[str, Json] = {EDC + prop.name.rsplit("/", 1)[-1]: prop.value for prop in address.properties}
    kind: Mapping[str, Json] = {EDC + "type": address.endpoint_type, EDC + "endpointType": address.endpoint_type}
    return {**found, **kind} | ({EDC + "endpoint": address.endpoint} if address.endpoint else {})


def _agreement(agreement: Agreement) -> Json:
    return {
        "id": agreement.id,
        "agreementId": agreement.id,
        "assetId": agreement.dataset_id,
        "providerId": agreement.provider,
        "consumerId": agreement.consumer,
        "contractSigningDate": int(agreement.signed_at.timestamp()),
    }
