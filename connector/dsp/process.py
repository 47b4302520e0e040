"""What negotiations and transfer processes share: how a message sent or received moves a process, and nothing else.

One process has one *pending* message at most: committed to the outbox, not yet answered. There are no -ING states: the
outbox row is the "-ing". The rules that keep two peers in step, whatever the network loses, doubles or reorders
(`tests/dsp/test_model.py` explores every interleaving):

1. A message moves the sender when the peer acknowledges it (DSP-053), the receiver when it commits.
2. The peer's next message can overtake its own acknowledgement: what is legal only after our pending message proves
   that the pending one was taken (at a provider in a state where both may speak it proves nothing: rule 6).
3. A termination is in force at its sender at once: whoever leaves has left, and refuses everything that comes after
   (DSP-063: the sender is terminated whatever the peer answers).
4. FINALIZE and COMPLETE are promises: once committed to the outbox the sender may not terminate any more and repeats
   them until the peer answers. A 2xx makes them true, a 4xx undoes them.
5. A message is answered once: the same `@id` gets the same answer again and changes nothing, whether it was taken
   (DSP-053, DSP-088) or refused. Otherwise a late copy of a refused message would act on a sender that dropped it.
6. Where both sides may speak, messages cross (both suspend, or one suspends what the other completes), and one that is
   repeated can arrive rounds later. There the provider's goes first: it asks the consumer to repeat until its own is
   answered, while the consumer takes the provider's at once. So a message only ever acts while its sender still waits
   for the answer, and both sides take the same steps in the same order.
7. A refused message that the table still allows shows that the states differ: the process must end (DSP-053). So must
   one whose message is given up: nobody knows whether it was taken.

The outbox holds what these rules speak of and nothing else: what clears `pending` removes its row in the same commit, and
an answer whose row is gone is no answer (only the peer's pid is learnt from it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Self, TypeVar

from connector.dsp.messages import PROTOCOL, Kind, Role
from connector.errors import Conflict, IllegalTransition, Unavailable

SEEN_AT_MOST = 64  # keys of received messages kept per process; a peer that needs more is not negotiating
PROMISES = frozenset({Kind.FINALIZE, Kind.COMPLETE})
TERMINATIONS = frozenset({Kind.TERMINATE, Kind.TERMINATE_TRANSFER})


class CauseCode(StrEnum):
    """Why a process ended, typed; `detail` says it in words."""

    PEER_TERMINATED = "peer-terminated"
    PEER_REFUSED = "peer-refused"
    PEER_UNREACHABLE = "peer-unreachable"
    DEADLINE = "deadline"
    POLICY = "policy"
    OPERATOR = "operator"
    MISMATCH = "mismatch"
    AGREEMENT_ENDED = "agreement-ended"
    EXPIRED = "expired"
    USES_EXHAUSTED = "uses-exhausted"
    SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Cause:
    code: CauseCode
    detail: str
    by: Role  # the side that ended it


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The part that negotiations and transfer processes have in common.

    `id` is our pid, `peer_pid` the counter-party's (None until it is known). `peer_address` is the URL in front of
    `/negotiations/...` and `/transfers/...` at the peer. `state` is None until the first message was acknowledged or
    received. `deadline` is when the process ends by itself if nothing moves it.
    """

    FAMILY: ClassVar[str]
    TABLE: ClassVar[Mapping[tuple[StrEnum | None, Role, Kind], StrEnum]]
    TERMINAL: ClassVar[frozenset[StrEnum]]
    TERMINATED: ClassVar[StrEnum]
    TERMINATION: ClassVar[Kind]

    id: str
    role: Role
    peer: str
    peer_address: str
    correlation_id: str
    created_at: datetime
    updated_at: datetime
    peer_pid: str | None = None
    pending: Kind | None = None
    seen: tuple[str, ...] = ()  # keys of the messages taken
    declined: tuple[str, ...] = ()  # keys of the messages refused
    cause: Cause | None = None
    waiting: str | None = None  # what a person has to decide, in words; None: nothing
    deadline: datetime | None = None
    purpose: str | None = None
    claims: Mapping[str, str] | None = None  # the peer's, as of its first message
    protocol: str = PROTOCOL  # the version it began with, and keeps (DSP-102)

    @property
    def consumer_pid(self) -> str | None:
        return self.id if self.role is Role.CONSUMER else self.peer_pid

    @property
    def provider_pid(self) -> str | None:
        return self.id if self.role is Role.PROVIDER else self.peer_pid

    @property
    def current(self) -> StrEnum | None:
        """The state of the subclass, under one name."""
        raise AttributeError("Process is not used by itself")

    def at(self, state: StrEnum | None) -> Self:
        raise AttributeError("Process is not used by itself")

    @property
    def ended(self) -> bool:
        return self.current in self.TERMINAL


P = TypeVar("P", bound=Process)


def after(process: Process, state: StrEnum | None, by: Role, kind: Kind) -> StrEnum | None:
    """Return the state that `kind` sent `by` leads to from `state`, or None where the table has no such row."""
    return process.TABLE.get((state, by, kind))


def take(process: P, kind: Kind, key: str) -> P:
    """Return the process after it received `kind` from its peer; the same object when it was taken before.

    `key` tells one message from another: its `@id`, or a digest of its content and the state it met.

    Raises:
        IllegalTransition: the table has no such row. Nothing has changed; the caller stores `declined(process, key)`.
        Unavailable: it crossed a message of ours that goes first; the peer is to send it again (rule 6).
    """
    if key in process.seen:
        return process
    if key in process.declined:
        raise IllegalTransition(f"this {kind} was refused before; a new one needs an @id of its own")
    state, pending, peer = process.current, process.pending, process.role.other
    direct = after(process, state, peer, kind)
    if pending is not None:
        ours = after(process, state, process.role, pending)
        then = after(process, ours, peer, kind) if ours is not None else None
        ordered = process.role is Role.CONSUMER or not _may_speak(process, state, peer)
        if then is not None and ordered:  # rule 2
            return _moved(replace(process, pending=None), then, key)
        if not ordered and (direct or then) is not None and kind not in TERMINATIONS:  # rule 6
            raise Unavailable(f"the {pending} on its way to you goes first: send this {kind} again after it")
    if direct is None:
        raise IllegalTransition(f"{kind} from the {peer} is not possible in state {state or 'none'}")
    moved = _moved(process, direct, key)
    return replace(moved, pending=None) if moved.ended else moved  # nothing is left to ask for


def _may_speak(process: Process, state: StrEnum | None, role: Role) -> bool:
    """Whether the table lets `role` do more than leave in a state that both sides hold."""
    return state is not None and any((at, by) == (state, role) and k not in TERMINATIONS for (at, by, k) in process.TABLE)


def declined(process: P, key: str) -> P:
    """Return the process remembering that it refused the message `key` (rule 5).

    One that has ended refuses everything and remembers nothing.
    """
    if process.ended or key in process.declined:
        return process
    return replace(process, declined=(*process.declined, key)[-SEEN_AT_MOST:])


def _moved(process: P, state: StrEnum, key: str) -> P:
    return replace(process.at(state), seen=(*process.seen, key)[-SEEN_AT_MOST:], waiting=None)


def commit(process: P, kind: Kind) -> P:
    """Return the process with `kind` committed for sending.

    Raises:
        IllegalTransition: the table does not let us send this now.
        Conflict: another message is still unanswered, or a promise forbids the termination.
    """
    state = process.current
    if kind in TERMINATIONS:
        if process.ended:
            raise IllegalTransition(f"the process is {state} already")
        if process.pending in PROMISES:
            raise Conflict(f"{process.pending} is on its way and cannot be taken back")
        return replace(process.at(process.TERMINATED), pending=None, waiting=None)  # rule 3
    if process.pending is not None:
        raise Conflict(f"{process.pending} is still unanswered")
    if after(process, state, process.role, kind) is None:
        raise IllegalTransition(f"{kind} by the {process.role} is not possible in state {state or 'none'}")
    return replace(process, pending=kind, waiting=None)


def acknowledged(process: P, kind: Kind) -> P:
    """Return the process after the peer answered our `kind` with 2xx."""
    if process.pending is not kind or kind in TERMINATIONS:
        return process  # taken already (rule 2), or in force since it was committed (rule 3)
    free = replace(process, pending=None)
    then = after(process, process.current, process.role, kind)
    if then is not None:
        return free.at(then)
    if kind in PROMISES and not process.ended:
        # Only a peer without rule 6 takes a promise after a message that stands in its way; it has ended, so have we.
        return free.at(process.TABLE[_origin(process, kind), process.role, kind])
    return free


def refused(process: P, kind: Kind) -> P:
    """Return the process after the peer answered our `kind` with a final 4xx: the message is void."""
    return replace(process, pending=None) if process.pending is kind else process


def disagrees(process: Process, kind: Kind) -> bool:
    """Whether a final refusal of our `kind` means that the process must be terminated (rule 7).

    False where a message of the peer's came first: both sides took that one, and ours is merely void.
    """
    return not process.ended and after(process, process.current, process.role, kind) is not None


def _origin(process: Process, kind: Kind) -> StrEnum | None:
    return next(state for (state, by, k) in process.TABLE if k is kind and by is process.role)
