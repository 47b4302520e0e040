"""Conversations of a transfer process, with the conformance kit's numbers, and their mirror: all else is refused."""

from __future__ import annotations

from itertools import product

import pytest

from connector.dsp import process as rules
from connector.dsp.binding import ENDPOINTS
from connector.dsp.messages import Kind, Role
from connector.dsp.process import TERMINATIONS
from connector.dsp.transfer import TRANSITIONS, State, TransferProcess
from connector.errors import Conflict, IllegalTransition, Unavailable
from tests.dsp.model import blank, converse

C, P, K, S = Role.CONSUMER, Role.PROVIDER, Kind, State
Talk = list[tuple[Role, Kind, State]]

BEGUN = [(C, K.TRANSFER_REQUEST, S.REQUESTED)]
STARTED = [*BEGUN, (P, K.START, S.STARTED)]


def left_by(role: Role) -> tuple[Role, Kind, State]:
    return (role, K.TERMINATE_TRANSFER, S.TERMINATED)


def paused_by(role: Role) -> Talk:
    return [*STARTED, (role, K.SUSPEND, S.SUSPENDED)]


CONVERSATIONS = {
    "TP:01-01 started, the provider leaves": [*STARTED, left_by(P)],
    "TP:01-02 the provider completes": [*STARTED, (P, K.COMPLETE, S.COMPLETED)],
    "TP:01-03 suspended, the provider leaves": [*paused_by(P), left_by(P)],
    "TP:01-04 suspended, resumed, completed": [*paused_by(P), (P, K.START, S.STARTED), (P, K.COMPLETE, S.COMPLETED)],
    "TP:01-05 the provider leaves at once": [*BEGUN, left_by(P)],
    "TP:02-01 started, the consumer leaves": [*STARTED, left_by(C)],
    "TP:02-02 the consumer completes": [*STARTED, (C, K.COMPLETE, S.COMPLETED)],
    "TP:02-03 the consumer suspends and leaves": [*paused_by(C), left_by(C)],
    "TP:02-04 DSP-081 the consumer suspends and resumes": [
        *paused_by(C),
        (C, K.START, S.STARTED),
        (C, K.COMPLETE, S.COMPLETED),
    ],
    "TP:02-05 the consumer leaves at once": [*BEGUN, left_by(C)],
    "DSP-081 what the provider suspended the consumer resumes": [*paused_by(P), (C, K.START, S.STARTED)],
}
REFUSED = {
    "TP:03-01 completion while REQUESTED": (BEGUN, K.COMPLETE, (C, P)),
    "TP:03-02 suspension while REQUESTED": (BEGUN, K.SUSPEND, (C, P)),
    "TP:03-03 completion while SUSPENDED": (paused_by(C), K.COMPLETE, (C, P)),
    "TP:03-04 start after TERMINATED": ([*STARTED, left_by(C)], K.START, (C, P)),
    "TP:03-05 suspension after TERMINATED": ([*STARTED, left_by(C)], K.SUSPEND, (C, P)),
    "TP:03-06 completion after TERMINATED": ([*STARTED, left_by(C)], K.COMPLETE, (C, P)),
    "DSP-080 start by the consumer while REQUESTED": (BEGUN, K.START, (C,)),
}


def say(ours: Role, talk: Talk) -> TransferProcess:
    """Return the transfer process as `ours` holds it after a conversation in which every message is acknowledged."""
    return converse(blank(TransferProcess, ours), talk)


@pytest.mark.parametrize("ours", Role)
@pytest.mark.parametrize("talk", CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
def test_a_conversation_moves_both_sides_alike(talk: Talk, ours: Role) -> None:
    assert say(ours, talk).state is talk[-1][2]


@pytest.mark.parametrize("talk, kind, senders", REFUSED.values(), ids=REFUSED.keys())
def test_the_kits_illegal_messages_are_refused_and_change_nothing(talk: Talk, kind: Kind, senders: tuple[Role, ...]) -> None:
    """DSP-080, and the mirror TP_C:03-01 to 03-06 where the provider sends them."""
    for by in senders:
        with pytest.raises(IllegalTransition):
            rules.take(say(by.other, talk), kind, "illegal")


LACKING = [key for key in product([None, *S], Role, K) if key not in TRANSITIONS]


@pytest.mark.parametrize("state, by, kind", LACKING)
def test_what_the_table_lacks_is_refused_by_the_receiver(state: State | None, by: Role, kind: Kind) -> None:
    """DSP-080, DSP-082: an error causes no transition."""
    with pytest.raises(IllegalTransition):
        rules.take(blank(TransferProcess, by.other).at(state), kind, "key")


@pytest.mark.parametrize("state, by, kind", [key for key in LACKING if key[2] not in TERMINATIONS])
def test_what_the_table_lacks_cannot_be_sent_either(state: State | None, by: Role, kind: Kind) -> None:
    with pytest.raises(IllegalTransition):
        rules.commit(blank(TransferProcess, by).at(state), kind)


@pytest.mark.parametrize("state", [S.REQUESTED, S.STARTED, S.SUSPENDED])
@pytest.mark.parametrize("by", Role)
def test_both_sides_may_leave_every_state_that_is_not_terminal(state: State, by: Role) -> None:
    """DSP-091."""
    assert rules.commit(blank(TransferProcess, by).at(state), K.TERMINATE_TRANSFER).state is S.TERMINATED
    assert rules.take(blank(TransferProcess, by.other).at(state), K.TERMINATE_TRANSFER, "left").state is S.TERMINATED


def test_every_message_of_the_table_has_an_endpoint() -> None:
    served = {kind for endpoint in ENDPOINTS if endpoint.family == "transfers" for kind in endpoint.kinds}
    assert served == {kind for _, _, kind in TRANSITIONS}


def test_the_providers_message_goes_first_where_two_cross() -> None:
    """Both suspend: the provider asks for the consumer's again, the consumer takes the provider's and drops its own."""
    provider, consumer = (rules.commit(say(role, STARTED), K.SUSPEND) for role in (P, C))
    with pytest.raises(Unavailable):
        rules.take(provider, K.SUSPEND, "consumer's")
    consumer = rules.take(consumer, K.SUSPEND, "provider's")
    provider = rules.acknowledged(provider, K.SUSPEND)
    with pytest.raises(IllegalTransition):
        rules.take(provider, K.SUSPEND, "consumer's")
    assert not rules.disagrees(consumer, K.SUSPEND)  # ours is merely void
    consumer = rules.refused(consumer, K.SUSPEND)
    assert (provider.state, consumer.state) == (S.SUSPENDED, S.SUSPENDED)
    assert (provider.pending, consumer.pending) == (None, None)


def test_a_promise_to_complete_is_undone_by_a_refusal_only() -> None:
    promised = rules.commit(say(C, STARTED), K.COMPLETE)
    with pytest.raises(Conflict):
        rules.commit(promised, K.TERMINATE_TRANSFER)
    suspended = rules.take(promised, K.SUSPEND, "provider's")
    assert (suspended.state, suspended.pending) == (S.SUSPENDED, K.COMPLETE)
    assert rules.refused(suspended, K.COMPLETE).pending is None


@pytest.mark.parametrize(
    "state, pending, flows",
    [
        (S.REQUESTED, None, False),
        (S.REQUESTED, K.START, True),  # its token may come back sooner than its acknowledgement
        (S.STARTED, None, True),
        (S.STARTED, K.SUSPEND, False),  # shut in the commit that says so, not when the peer has heard of it
        (S.STARTED, K.COMPLETE, False),
        (S.SUSPENDED, None, False),
        (S.COMPLETED, None, False),
        (S.TERMINATED, None, False),
    ],
)
def test_a_provider_lets_data_flow_only_while_the_transfer_runs(state: State, pending: Kind | None, flows: bool) -> None:
    """DSP-092."""
    held = blank(TransferProcess, P).at(state)
    held = rules.commit(held, pending) if pending else held
    assert held.open_for_data is flows
