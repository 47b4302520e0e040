"""Records to store: one small one of each type, and a strategy that generates any."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from connector.dsp.messages import ContractTermination, Kind, Role
from connector.dsp.negotiation import Negotiation
from connector.dsp.negotiation import State as Negotiating
from connector.dsp.offering import Agreement
from connector.dsp.transfer import State as Transferring
from connector.dsp.transfer import TransferProcess
from connector.odrl.model import Policy, PolicyKind
from connector.ports import AuditRecord, Envelope, Use

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
POLICY = Policy(PolicyKind.OFFER, "urn:uuid:offer", (), target="lung")


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def negotiation(id: str = "n1", **changes: Any) -> Negotiation:
    defaults = {
        "role": Role.PROVIDER,
        "peer": "aarhus",
        "peer_address": "https://aarhus.example/dsp",
        "correlation_id": "c1",
        "created_at": NOW,
        "updated_at": NOW,
        "state": Negotiating.REQUESTED,
        "offer": POLICY,
        "offered_by": Role.CONSUMER,
        "dataset_id": "lung",
    }
    return Negotiation(id=id, **(defaults | changes))


def transfer(id: str = "t1", **changes: Any) -> TransferProcess:
    defaults = {
        "role": Role.PROVIDER,
        "peer": "aarhus",
        "peer_address": "https://aarhus.example/dsp",
        "correlation_id": "c1",
        "created_at": NOW,
        "updated_at": NOW,
        "state": Transferring.STARTED,
        "agreement_id": "a1",
        "dataset_id": "lung",
        "format": "HttpData-PULL",
    }
    return TransferProcess(id=id, **(defaults | changes))


def agreement(id: str = "a1", **changes: Any) -> Agreement:
    defaults = {
        "negotiation_id": "n1",
        "policy": POLICY,
        "policy_hash": "sha256:0",
        "provider": "odense",
        "consumer": "aarhus",
        "dataset_id": "lung",
        "signed_at": NOW,
    }
    return Agreement(id, **(defaults | changes))


def envelope(id: str = "e1", process_id: str = "n1", **changes: Any) -> Envelope:
    defaults = {
        "family": "negotiations",
        "kind": Kind.TERMINATE,
        "peer": "aarhus",
        "url": "https://aarhus.example/dsp/negotiations/n2/termination",
        "message": ContractTermination(id=id, consumer_pid="n2", provider_pid=process_id),
        "correlation_id": "c1",
        "created_at": NOW,
        "next_try": NOW,
        "give_up_at": None,
    }
    return Envelope(id=id, process_id=process_id, **(defaults | changes))


def use(id: str = "u1", agreement_id: str = "a1") -> Use:
    return Use(id, agreement_id, "t1", NOW)


def event(subject: str = "n1", name: str = "negotiation.received", **detail: Any) -> AuditRecord:
    return AuditRecord(NOW, name, "c1", subject, "aarhus", detail)


# --- any record -------------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=12)
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT)
JSON = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2), max_leaves=4
)
BASIC: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    type(None): st.none(),
    datetime: st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
}


@cache
def anything(annotation: Any) -> st.SearchStrategy[Any]:
    """Return the strategy for values of a type as the records' annotations write it: every field, however nested."""
    arguments = get_args(annotation)
    if {bool, int, float, str} <= set(arguments):
        return JSON
    if annotation in BASIC:
        return BASIC[annotation]
    origin = get_origin(annotation)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of([st.deferred(lambda each=each: anything(each)) for each in arguments])
    if origin is tuple:
        return st.lists(st.deferred(lambda: anything(arguments[0])), max_size=2).map(tuple)
    if origin is Mapping:
        return st.dictionaries(TEXT, anything(arguments[1]), max_size=2)
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    hints = get_type_hints(annotation)
    return st.builds(annotation, **{f.name: anything(hints[f.name]) for f in dataclasses.fields(annotation)})
