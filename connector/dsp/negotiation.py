"""Contract negotiation: which message moves which state, and nothing else.

DSP 2025-1, "Contract Negotiation Protocol", state machine figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar, Self

from connector.dsp.messages import Kind, Role
from connector.dsp.process import Process
from connector.odrl.model import Json, Policy


class State(StrEnum):
    REQUESTED = "REQUESTED"
    OFFERED = "OFFERED"
    ACCEPTED = "ACCEPTED"
    AGREED = "AGREED"
    VERIFIED = "VERIFIED"
    FINALIZED = "FINALIZED"
    TERMINATED = "TERMINATED"


C, P, K, S = Role.CONSUMER, Role.PROVIDER, Kind, State

OPEN = (S.REQUESTED, S.OFFERED, S.ACCEPTED, S.AGREED, S.VERIFIED)

TRANSITIONS: Mapping[tuple[StrEnum | None, Role, Kind], StrEnum] = {
    # (state, sent by, message): next state; None is "not yet begun"
    (None, C, K.REQUEST): S.REQUESTED,
    (None, P, K.OFFER): S.OFFERED,
    (S.REQUESTED, P, K.OFFER): S.OFFERED,
    (S.REQUESTED, P, K.AGREE): S.AGREED,
    (S.OFFERED, C, K.REQUEST): S.REQUESTED,
    (S.OFFERED, C, K.ACCEPT): S.ACCEPTED,
    (S.ACCEPTED, P, K.AGREE): S.AGREED,
    (S.AGREED, C, K.VERIFY): S.VERIFIED,
    (S.VERIFIED, P, K.FINALIZE): S.FINALIZED,
    # The figure lets only one side terminate in some states, the text lets both in any (DSP-051). We follow the text: a
    # refused termination leaves the two peers in different states for ever.
    **{(state, by, K.TERMINATE): S.TERMINATED for state in OPEN for by in Role},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiation(Process):
    """One contract negotiation as one side holds it. `offer` is the last one on the table, made by `offered_by`."""

    FAMILY: ClassVar[str] = "negotiations"
    TABLE: ClassVar[Mapping[tuple[StrEnum | None, Role, Kind], StrEnum]] = TRANSITIONS
    TERMINAL: ClassVar[frozenset[StrEnum]] = frozenset({S.FINALIZED, S.TERMINATED})
    TERMINATED: ClassVar[StrEnum] = S.TERMINATED
    TERMINATION: ClassVar[Kind] = K.TERMINATE

    state: State | None = None
    offer: Policy
    offered_by: Role
    dataset_id: str
    agreement_id: str | None = None
    callbacks: tuple[Json, ...] = ()  # EDC callbackAddresses of the management request, as given

    @property
    def current(self) -> State | None:
        return self.state

    def at(self, state: StrEnum | None) -> Self:
        return replace(self, state=None if state is None else State(state))
