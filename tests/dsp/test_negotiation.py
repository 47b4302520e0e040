"""Conversations of a contract negotiation, with the conformance kit's numbers, and their mirror: all else is refused."""

from __future__ import annotations

from itertools import product

import pytest

from connector.dsp import process as rules
from connector.dsp.binding import ENDPOINTS, SENDERS
from connector.dsp.messages import Kind, Role
from connector.dsp.negotiation import TRANSITIONS, Negotiation, State
from connector.dsp.process import TERMINATIONS
from connector.errors import Conflict, IllegalTransition
from tests.dsp.model import blank, converse

C, P, K, S = Role.CONSUMER, Role.PROVIDER, Kind, State

BEGUN = [(C, K.REQUEST, S.REQUESTED)]
OFFERED = [*BEGUN, (P, K.OFFER, S.OFFERED)]
ACCEPTED = [*OFFERED, (C, K.ACCEPT, S.ACCEPTED)]
AGREED = [*BEGUN, (P, K.AGREE, S.AGREED)]
VERIFIED = [*AGREED, (C, K.VERIFY, S.VERIFIED)]
FINALIZED = [*VERIFIED, (P, K.FINALIZE, S.FINALIZED)]


def left_by(role: Role) -> tuple[Role, Kind, State]:
    return (role, K.TERMINATE, S.TERMINATED)


AGREED_LATE = [(P, K.AGREE, S.AGREED), (C, K.VERIFY, S.VERIFIED), (P, K.FINALIZE, S.FINALIZED)]
CONVERSATIONS = {
    "CN:01-01 CN:02-04 offer, the consumer leaves": [*OFFERED, left_by(C)],
    "CN:01-02 counter-offer, the provider leaves": [*OFFERED, (C, K.REQUEST, S.REQUESTED), left_by(P)],
    "CN:01-03 offer accepted and agreed": [*ACCEPTED, *AGREED_LATE],
    "CN:01-04 agreed at once": FINALIZED,
    "CN:02-01 the provider leaves at once": [*BEGUN, left_by(P)],
    "CN:02-02 the consumer leaves at once": [*BEGUN, left_by(C)],
    "CN:02-03 agreement, the consumer leaves": [*AGREED, left_by(C)],
    "CN:02-05 offer, the provider leaves": [*OFFERED, left_by(P)],
    "CN:02-06 accepted, the provider leaves": [*ACCEPTED, left_by(P)],
    "CN:02-07 verified, the provider leaves": [*VERIFIED, left_by(P)],
    "CN_C:01-01 offer accepted by us": [*ACCEPTED, *AGREED_LATE],
    "CN_C:01-02 counter-offer by us, the provider leaves": [*OFFERED, (C, K.REQUEST, S.REQUESTED), left_by(P)],
    "CN_C:02-05 accepted by us, the provider leaves": [*ACCEPTED, left_by(P)],
    "CN_C:02-06 verified by us, the provider leaves": [*VERIFIED, left_by(P)],
    "DSP-056 begun by the provider": [(P, K.OFFER, S.OFFERED), (C, K.ACCEPT, S.ACCEPTED), *AGREED_LATE],
    "DSP-051 the text lets the provider leave when AGREED": [*AGREED, left_by(P)],
    "DSP-051 the text lets the consumer leave when ACCEPTED": [*ACCEPTED, left_by(C)],
    "DSP-051 the text lets the consumer leave when VERIFIED": [*VERIFIED, left_by(C)],
}
REFUSED = {
    "CN:03-01 termination after FINALIZED": (FINALIZED, (C, K.TERMINATE)),
    "CN:03-02 verification while OFFERED": (OFFERED, (C, K.VERIFY)),
    "CN:03-03 verification while ACCEPTED": (ACCEPTED, (C, K.VERIFY)),
    "CN:03-04 DSP-052 a second counter-offer": ([*OFFERED, (C, K.REQUEST, S.REQUESTED)], (C, K.REQUEST)),
    "CN_C:03-01 finalized while REQUESTED": (BEGUN, (P, K.FINALIZE)),
    "CN_C:03-02 agreement while OFFERED": (OFFERED, (P, K.AGREE)),
    "CN_C:03-03 finalized while OFFERED": (OFFERED, (P, K.FINALIZE)),
    "CN_C:03-04 finalized while ACCEPTED": (ACCEPTED, (P, K.FINALIZE)),
    "CN_C:03-05 DSP-052 a second offer": (ACCEPTED, (P, K.OFFER)),
    "CN_C:03-06 finalized while AGREED": (AGREED, (P, K.FINALIZE)),
}
Talk = list[tuple[Role, Kind, State]]


def say(ours: Role, talk: Talk) -> Negotiation:
    """Return the negotiation as `ours` holds it after a conversation in which every message is acknowledged."""
    return converse(blank(Negotiation, ours), talk)


def at(role: Role, state: State | None) -> Negotiation:
    return blank(Negotiation, role).at(state)


@pytest.mark.parametrize("ours", Role)
@pytest.mark.parametrize("talk", CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
def test_a_conversation_moves_both_sides_alike(talk: Talk, ours: Role) -> None:
    assert say(ours, talk).state is talk[-1][2]


@pytest.mark.parametrize("talk, message", REFUSED.values(), ids=REFUSED.keys())
def test_the_kits_illegal_messages_are_refused_and_change_nothing(talk: Talk, message: tuple[Role, Kind]) -> None:
    by, kind = message
    held = say(by.other, talk)
    with pytest.raises(IllegalTransition):
        rules.take(held, kind, "illegal")
    assert held.state is talk[-1][2]


LACKING = [key for key in product([None, *S], Role, K) if key not in TRANSITIONS]


@pytest.mark.parametrize("state, by, kind", LACKING)
def test_what_the_table_lacks_is_refused_by_the_receiver(state: State | None, by: Role, kind: Kind) -> None:
    """DSP-050, DSP-054, DSP-062: an invalid transition is an error and no state changes."""
    with pytest.raises(IllegalTransition):
        rules.take(at(by.other, state), kind, "key")


@pytest.mark.parametrize("state, by, kind", [key for key in LACKING if key[2] not in TERMINATIONS])
def test_what_the_table_lacks_cannot_be_sent_either(state: State | None, by: Role, kind: Kind) -> None:
    """DSP-050, DSP-054: events after a terminal state are not sent."""
    with pytest.raises(IllegalTransition):
        rules.commit(at(by, state), kind)


@pytest.mark.parametrize("state", [S.FINALIZED, S.TERMINATED])
@pytest.mark.parametrize("by", Role)
def test_who_has_ended_does_not_leave_again(state: State, by: Role) -> None:
    """DSP-054."""
    with pytest.raises(IllegalTransition):
        rules.commit(at(by, state), K.TERMINATE)


def test_every_message_has_the_sender_the_standard_names() -> None:
    """DSP-062: ACCEPTED comes only from the consumer, FINALIZED only from the provider."""
    for _, by, kind in TRANSITIONS:
        assert SENDERS.get(kind, by) is by


def test_every_message_of_the_table_has_an_endpoint() -> None:
    served = {kind for endpoint in ENDPOINTS if endpoint.family == "negotiations" for kind in endpoint.kinds}
    assert served == {kind for _, _, kind in TRANSITIONS}


def test_a_step_counts_for_its_sender_when_it_is_acknowledged() -> None:
    """DSP-053."""
    pending = rules.commit(say(P, BEGUN), K.AGREE)
    assert (pending.state, pending.pending) == (S.REQUESTED, K.AGREE)
    done = rules.acknowledged(pending, K.AGREE)
    assert (done.state, done.pending) == (S.AGREED, None)


def test_a_message_that_overtakes_the_acknowledgement_proves_that_ours_was_taken() -> None:
    """DSP-053: the verification can only follow our agreement."""
    pending = rules.commit(say(P, BEGUN), K.AGREE)
    verified = rules.take(pending, K.VERIFY, "verification")
    assert (verified.state, verified.pending) == (S.VERIFIED, None)
    assert rules.acknowledged(verified, K.AGREE) is verified  # the acknowledgement arrives after all


def test_the_same_message_again_gets_the_same_answer_and_changes_nothing() -> None:
    """DSP-053, DSP-088."""
    taken = rules.take(say(P, OFFERED), K.ACCEPT, "again")
    assert rules.take(taken, K.ACCEPT, "again") is taken
    with pytest.raises(IllegalTransition):
        rules.take(taken, K.ACCEPT, "another")


def test_a_refused_message_stays_refused() -> None:
    """DSP-050: its late copy must not act when the state would allow it."""
    offered = rules.declined(say(C, OFFERED), "too early")
    accepted = rules.acknowledged(rules.commit(offered, K.ACCEPT), K.ACCEPT)
    with pytest.raises(IllegalTransition):
        rules.take(accepted, K.AGREE, "too early")
    assert rules.take(accepted, K.AGREE, "in time").state is S.AGREED


def test_who_leaves_has_left_whatever_the_peer_answers() -> None:
    """DSP-063."""
    left = rules.commit(rules.commit(say(C, AGREED), K.VERIFY), K.TERMINATE)
    assert (left.state, left.pending) == (S.TERMINATED, None)
    assert rules.refused(left, K.TERMINATE) is left
    with pytest.raises(IllegalTransition):
        rules.take(left, K.FINALIZE, "too late")


def test_a_promise_to_finalize_is_not_taken_back_until_it_is_refused() -> None:
    promised = rules.commit(say(P, VERIFIED), K.FINALIZE)
    with pytest.raises(Conflict):
        rules.commit(promised, K.TERMINATE)
    assert rules.commit(rules.refused(promised, K.FINALIZE), K.TERMINATE).state is S.TERMINATED
    assert rules.take(promised, K.TERMINATE, "left").state is S.TERMINATED  # the peer may leave before it takes it


def test_one_message_at_a_time() -> None:
    pending = rules.commit(say(P, BEGUN), K.OFFER)
    with pytest.raises(Conflict):
        rules.commit(pending, K.AGREE)


def test_a_refusal_of_what_the_table_allows_shows_that_the_peers_disagree() -> None:
    """DSP-053: if the states differ, the negotiation must be terminated."""
    pending = rules.commit(say(C, AGREED), K.VERIFY)
    assert rules.disagrees(pending, K.VERIFY)
    assert not rules.disagrees(rules.take(pending, K.TERMINATE, "left"), K.VERIFY)
