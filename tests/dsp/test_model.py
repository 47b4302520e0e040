"""Every interleaving of two peers (issue 3, item 3; DSP-050, DSP-053, DSP-054, DSP-063, DSP-088, DSP-091).

`model.explore` checks in each reachable world: a FINALIZED or COMPLETED process faces one that is so too or has promised
to be; when all is quiet both sides hold the same state, or one has left without being able to say so and the other may
still leave; states move along the table only and stay once terminal; a correct peer's negotiation message is refused only
by a side that has left; data is open exactly when both have started; from every world both sides can end, and mere
delivery leads to rest.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.dsp import process as core
from connector.dsp.messages import Kind, Role
from connector.dsp.negotiation import Negotiation
from connector.dsp.process import TERMINATIONS, Process
from connector.dsp.transfer import TransferProcess
from connector.errors import IllegalTransition, Unavailable
from tests.dsp.model import Broken, Model, Rules, explore

C, P = Role.CONSUMER, Role.PROVIDER


def outcomes(model: Model) -> set[frozenset[str]]:
    """Return the pairs of states in which both sides have ended."""
    worlds = explore(model).worlds
    return {frozenset(str(s.state) for s in w.sides) for w in worlds if all(model.ended(s) for s in w.sides)}


@pytest.mark.parametrize("initiator", Role)
def test_two_peers_that_negotiate_end_alike_whatever_the_network_does(initiator: Role) -> None:
    assert outcomes(Model(Negotiation, initiator, (5, 5))) == {frozenset({"FINALIZED"}), frozenset({"TERMINATED"})}


def test_two_peers_that_transfer_end_alike_whatever_the_network_does() -> None:
    assert outcomes(Model(TransferProcess, C, (5, 5))) == {frozenset({"COMPLETED"}), frozenset({"TERMINATED"})}


@pytest.mark.slow
@pytest.mark.parametrize("family, initiator", [(Negotiation, C), (Negotiation, P), (TransferProcess, C)])
def test_longer_conversations_end_alike_too(family: type[Negotiation | TransferProcess], initiator: Role) -> None:
    assert frozenset({"TERMINATED"}) in outcomes(Model(family, initiator, (10, 10)))


def test_every_state_of_the_standard_is_reached_on_both_sides() -> None:
    for family in (Negotiation, TransferProcess):
        worlds = explore(Model(family, C, (5, 5))).worlds
        for side in (0, 1):
            assert {w.sides[side].state for w in worlds} >= set(family.TABLE.values())


# --- the checks would notice: each rule of dsp.process taken away or made wrong -------------------------------------------


def terminates_when_acknowledged(process: Process, kind: Kind) -> Process:
    """Against rule 3: still open to the peer's messages until it has answered."""
    if kind in TERMINATIONS and process.current is not None and process.pending is None and not process.ended:
        return replace(process, pending=kind)
    return core.commit(process, kind)


def ends_when_acknowledged(process: Process, kind: Kind) -> Process:
    """The other half of it."""
    if kind in TERMINATIONS and process.pending is kind:
        return replace(process.at(process.TERMINATED), pending=None)
    return core.acknowledged(process, kind)


def takes_promises_back(process: Process, kind: Kind) -> Process:
    """Against rule 4."""
    return core.commit(replace(process, pending=None) if kind in TERMINATIONS else process, kind)


def believes_no_overtaking(process: Process, kind: Kind, key: str) -> Process:
    """Against rule 2: what overtakes an acknowledgement is refused."""
    direct = core.after(process, process.current, process.role.other, kind)
    if key not in process.seen and process.pending and direct is None:
        raise IllegalTransition("not now")
    return core.take(process, kind, key)


def takes_copies_again(process: Process, kind: Kind, key: str) -> Process:
    """Against rule 5."""
    return core.take(replace(process, seen=()), kind, key)


def lets_messages_cross(process: Process, kind: Kind, key: str) -> Process:
    """Against rule 6: the provider takes what crosses its own."""
    try:
        return core.take(process, kind, key)
    except Unavailable:
        moved = core.take(replace(process, pending=None), kind, key)
        return moved if moved.ended else replace(moved, pending=process.pending)


def believes_old_messages(process: Process, kind: Kind, key: str) -> Process:
    """Against rule 6: the provider draws rule 2's conclusion where both may speak."""
    ours = core.after(process, process.current, process.role, process.pending) if process.pending else None
    if ours is not None and key not in process.seen and core.after(process, ours, process.role.other, kind) is not None:
        return core.take(replace(process.at(ours), pending=None), kind, key)
    return core.take(process, kind, key)


BOTH = {Negotiation, TransferProcess}
LATE = Rules(commit=terminates_when_acknowledged, acknowledged=ends_when_acknowledged)
WRONG = {
    "a termination counts only when acknowledged": (LATE, BOTH),
    "a promise may be taken back": (Rules(commit=takes_promises_back), BOTH),
    "a refused message stays pending": (Rules(refused=lambda p, kind: p), BOTH),
    "an overtaking message proves nothing": (Rules(take=believes_no_overtaking), {Negotiation}),
    "a copy is taken again": (Rules(take=takes_copies_again), BOTH),
    "a refusal is forgotten": (Rules(declined=lambda p, key: p), {TransferProcess}),
    "crossing messages are both taken": (Rules(take=lets_messages_cross), {TransferProcess}),
    "an old message proves something": (Rules(take=believes_old_messages), {TransferProcess}),
    "superseded rows stay in the outbox": (Rules(drops_superseded_rows=False), BOTH),
}
CASES = [(what, rules, family) for what, (rules, families) in WRONG.items() for family in sorted(families, key=str)]


@pytest.mark.parametrize("rules, family", [case[1:] for case in CASES], ids=[f"{c[0]}, {c[2].__name__}" for c in CASES])
def test_a_wrong_rule_is_found(rules: Rules, family: type[Negotiation | TransferProcess]) -> None:
    with pytest.raises(Broken) as found:
        explore(Model(family, C, (4, 4), rules=rules))
    assert "  start " in str(found.value)  # and the way there is told
