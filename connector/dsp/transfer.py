"""Transfer process: which message moves which state, and nothing else.

DSP 2025-1, "Transfer Process Protocol", state machine figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, Self

from connector.dsp.messages import DataAddress, Kind, Role
from connector.dsp.process import Process
from connector.odrl.model import Json


class State(StrEnum):
    REQUESTED = "REQUESTED"
    STARTED = "STARTED"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    TERMINATED = "TERMINATED"


PULL, PUSH = "HttpData-PULL", "HttpData-PUSH"
FORMATS = (PULL, PUSH)  # how every dataset is offered: the consumer fetches it, or the provider brings it

C, P, K, S = Role.CONSUMER, Role.PROVIDER, Kind, State

OPEN = (S.REQUESTED, S.STARTED, S.SUSPENDED)

TRANSITIONS: Mapping[tuple[StrEnum | None, Role, Kind], StrEnum] = {
    (None, C, K.TRANSFER_REQUEST): S.REQUESTED,
    (S.REQUESTED, P, K.START): S.STARTED,
    **{(S.SUSPENDED, by, K.START): S.STARTED for by in Role},
    **{(S.STARTED, by, K.COMPLETE): S.COMPLETED for by in Role},
    **{(S.STARTED, by, K.SUSPEND): S.SUSPENDED for by in Role},
    **{(state, by, K.TERMINATE_TRANSFER): S.TERMINATED for state in OPEN for by in Role},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferProcess(Process):
    """One transfer process as one side holds it.

    `data_address` is where the consumer pulls (as it received it), `destination` where the provider pushes to (as the
    consumer asked). `epoch` grows with every suspension at the provider: a token of an earlier epoch is dead (DSP-092),
    and so is a push.
    """

    FAMILY: ClassVar[str] = "transfers"
    TABLE: ClassVar[Mapping[tuple[StrEnum | None, Role, Kind], StrEnum]] = TRANSITIONS
    TERMINAL: ClassVar[frozenset[StrEnum]] = frozenset({S.COMPLETED, S.TERMINATED})
    TERMINATED: ClassVar[StrEnum] = S.TERMINATED
    TERMINATION: ClassVar[Kind] = K.TERMINATE_TRANSFER

    state: State | None = None
    agreement_id: str
    dataset_id: str
    format: str
    data_address: DataAddress | None = field(default=None, repr=False)
    destination: DataAddress | None = field(default=None, repr=False)
    epoch: int = 0
    callbacks: tuple[Json, ...] = ()

    @property
    def current(self) -> State | None:
        return self.state

    def at(self, state: StrEnum | None) -> Self:
        return replace(self, state=None if state is None else State(state))

    @property
    def open_for_data(self) -> bool:
        """Whether data may flow: STARTED, or about to be, and we have not committed to stop it.

        A provider's pending START counts: its token may come back from the consumer sooner than the acknowledgement.
        """
        if self.pending is K.START and self.role is P:
            return True
        return self.state is S.STARTED and self.pending not in (K.SUSPEND, K.COMPLETE)

    @property
    def pushes(self) -> bool:
        """Whether we are to bring the data to the consumer now: from the moment that it knows of the start."""
        return self.format == PUSH and self.role is P and self.state is S.STARTED and self.open_for_data
