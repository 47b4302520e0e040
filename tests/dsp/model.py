"""A model checker for two peers over the pure core: every interleaving, nothing mocked, nothing random.

A world is what is durable (both processes and their outbox rows) and what is on its way (copies of messages, answers).
The network only ever *adds*: a copy may arrive at any time, any number of times, in any order, for as long as it could
still have an effect. So a lost message is one that is not delivered, a doubled one is delivered twice, a late one last,
and a message that was committed but not sent before a crash is one of these as well. Every step is one commit of one
side; a side crashes between any two of them and loses what is volatile, the answers on their way to it.

The receiver, the sender and the outbox behave as `connector.services.exchange` does; the rules they ask are `Rules`, the
functions of `connector.dsp.process`, which a test can replace by wrong ones to see that the checks would notice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, partial
from typing import NamedTuple, TypeVar

from connector.dsp import process as core
from connector.dsp.messages import Kind, Role
from connector.dsp.negotiation import Negotiation
from connector.dsp.process import PROMISES, TERMINATIONS, Process
from connector.dsp.transfer import TransferProcess
from connector.errors import Conflict, IllegalTransition, Unavailable
from connector.odrl.model import Policy, PolicyKind

SIDES = (Role.CONSUMER, Role.PROVIDER)
CREATIONS = frozenset({Kind.REQUEST, Kind.OFFER, Kind.TRANSFER_REQUEST})


@dataclass(frozen=True, slots=True)
class Rules:
    """The functions under test, and the two habits of the services that the proof rests on."""

    take: Callable[[Process, Kind, str], Process] = core.take
    commit: Callable[[Process, Kind], Process] = core.commit
    acknowledged: Callable[[Process, Kind], Process] = core.acknowledged
    refused: Callable[[Process, Kind], Process] = core.refused
    declined: Callable[[Process, str], Process] = core.declined
    disagrees: Callable[[Process, Kind], bool] = core.disagrees
    drops_superseded_rows: bool = True


class Row(NamedTuple):
    kind: Kind
    key: str


class Side(NamedTuple):
    """One peer: the part of its process that the rules read, its outbox, and how much it still wants to say."""

    state: StrEnum | None
    pending: Kind | None = None
    seen: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    knows_pid: bool = False
    budget: int = 0


class World(NamedTuple):
    sides: tuple[Side, Side]  # consumer, provider
    copies: frozenset[tuple[Role, Kind, str]] = frozenset()  # (receiver, kind, key)
    answers: frozenset[tuple[Role, Kind, str, bool]] = frozenset()  # (sender of the message, kind, key, taken)
    silent: bool = False  # a termination was given up, or could not be sent: the peer has to find out by itself

    def side(self, role: Role) -> Side:
        return self.sides[SIDES.index(role)]

    def put(self, role: Role, side: Side) -> World:
        consumer, provider = self.sides
        return self._replace(sides=(side, provider) if role is Role.CONSUMER else (consumer, side))


class Broken(AssertionError):
    """A property does not hold; the text is the shortest way there."""


class Step(NamedTuple):
    label: str
    world: World
    decided: bool = False  # made by a side that wanted something, not by delivery
    refused_by: Role | None = None


@dataclass(frozen=True)
class Model:
    """Two peers with one process of `family` between them, begun by `initiator`."""

    family: type[Negotiation] | type[TransferProcess]
    initiator: Role = Role.CONSUMER
    budget: tuple[int, int] = (3, 3)  # messages each side may commit, terminations not counted
    gives_up: bool = True
    rules: Rules = Rules()

    # --- the core, called with the part of a process that a world keeps --------------------------------------------------

    def process(self, role: Role, side: Side) -> Process:
        return replace(
            TEMPLATES[self.family, role], pending=side.pending, seen=side.seen, declined=side.declined
        ).at(side.state)  # fmt: skip

    def open_for_data(self, side: Side) -> bool:
        process = self.process(Role.PROVIDER, side)
        return isinstance(process, TransferProcess) and process.open_for_data

    def exists(self, role: Role, side: Side) -> bool:
        return role is self.initiator or side.state is not None

    def ended(self, side: Side) -> bool:
        return side.state in self.family.TERMINAL

    # --- steps ------------------------------------------------------------------------------------------------------------

    def start(self) -> World:
        return World((Side(None, budget=self.budget[0]), Side(None, budget=self.budget[1])))

    def steps(self, world: World) -> Iterator[Step]:
        for receiver, kind, key in sorted(world.copies):
            yield from self.deliver(world, receiver, kind, key)
        for answer in sorted(world.answers):
            yield self.answer(world, *answer)
        for role in SIDES:
            lost = frozenset(a for a in world.answers if a[0] is role)
            if lost:
                after = self.tidy(world._replace(answers=world.answers - lost))
                yield Step(f"the {role} crashes and loses the answers on their way to it", after)
            yield from self.decide(world, role)

    def decide(self, world: World, role: Role) -> Iterator[Step]:
        """Every message the side may commit now. Giving up an ordinary message is to commit the termination (rule 7)."""
        side = world.side(role)
        if not self.exists(role, side):
            return
        for kind in KINDS[self.family]:
            if kind not in TERMINATIONS and not side.budget:
                continue
            if (after := self.committed(world, role, kind)) is not None:
                yield Step(f"the {role} commits {kind}", self.tidy(after), decided=True)
        if self.gives_up:
            for row in side.rows:
                if row.kind in TERMINATIONS:
                    left = side._replace(rows=tuple(r for r in side.rows if r is not row))
                    after = self.tidy(world.put(role, left)._replace(silent=True))
                    yield Step(f"the {role} gives up telling {row.kind}", after, decided=True)

    def committed(self, world: World, role: Role, kind: Kind) -> World | None:
        side = world.side(role)
        try:
            process = self.rules.commit(self.process(role, side), kind)
        except (IllegalTransition, Conflict):
            return None
        side = self.supersede(side, process)
        ends = kind in TERMINATIONS
        if ends and not side.knows_pid:
            return world.put(role, side)._replace(silent=True)  # nobody to send it to
        key = free_key(world, role)
        side = side._replace(rows=(*side.rows, Row(kind, key)), budget=side.budget - (not ends))
        return world.put(role, side)._replace(copies=world.copies | {(role.other, kind, key)})

    def deliver(self, world: World, receiver: Role, kind: Kind, key: str) -> Iterator[Step]:
        before = world.side(receiver)
        process = self.process(receiver, before)
        label = f"{kind} {key} reaches the {receiver}"
        try:
            taken = self.rules.take(process, kind, key)
        except IllegalTransition:
            side = before._replace(declined=self.rules.declined(process, key).declined)
            after = self.answered(world.put(receiver, side), receiver.other, kind, key, False)
            yield Step(label + ", who refuses it", after, refused_by=receiver)
        except Unavailable:
            return  # to be sent again: nothing has changed on either side
        else:
            side = self.supersede(before, taken)._replace(knows_pid=True)
            after = self.answered(world.put(receiver, side), receiver.other, kind, key, True)
            yield Step(label + ("" if taken is not process else " again"), after)

    def answered(self, world: World, sender: Role, kind: Kind, key: str, taken: bool) -> World:
        return self.tidy(world._replace(answers=world.answers | {(sender, kind, key, taken)}))

    def answer(self, world: World, role: Role, kind: Kind, key: str, taken: bool) -> Step:
        side = world.side(role)
        world = world._replace(answers=world.answers - {(role, kind, key, taken)})
        label = f"the {role} learns that {kind} {key} was {'taken' if taken else 'refused'}"
        if Row(kind, key) not in side.rows:  # superseded; only the answer to a creation still says something
            side = side._replace(knows_pid=True)
            if side.state == self.family.TERMINATED and taken:
                side, world = self.tell(world, role, side)
            return Step(label + ", too late", self.tidy(world.put(role, side)))
        side = side._replace(rows=tuple(row for row in side.rows if row.key != key), knows_pid=side.knows_pid or taken)
        process = self.process(role, side)
        if taken:
            side = self.supersede(side, self.rules.acknowledged(process, kind))
            return Step(label, self.tidy(world.put(role, side)))
        disagrees = side.pending is kind and self.rules.disagrees(process, kind)
        side = self.supersede(side, self.rules.refused(process, kind))
        after = world.put(role, side)
        if disagrees and (ended := self.committed(after, role, self.family.TERMINATION)) is not None:
            return Step(label + " and terminates", self.tidy(ended))
        return Step(label, self.tidy(after))

    def tell(self, world: World, role: Role, side: Side) -> tuple[Side, World]:
        """We left before we knew the peer's pid; now it can be told."""
        kind, key = self.family.TERMINATION, free_key(world, role)
        return (
            side._replace(rows=(*side.rows, Row(kind, key))),
            world._replace(copies=world.copies | {(role.other, kind, key)}, silent=False),
        )

    def supersede(self, side: Side, process: Process) -> Side:
        """Return the side with what the core made of its process; a row that is not pending any more is dropped."""
        rows = side.rows
        if self.rules.drops_superseded_rows and side.pending is not None and process.pending is None:
            rows = tuple(row for row in rows if row.kind is not side.pending)
        return side._replace(
            state=process.current, pending=process.pending, seen=process.seen, declined=process.declined, rows=rows
        )  # fmt: skip

    def tidy(self, world: World) -> World:
        """Forget what cannot have an effect any more, so that equal futures are equal worlds."""
        consumer, provider = world.sides
        rows = {Role.CONSUMER: consumer.rows, Role.PROVIDER: provider.rows}
        copies = frozenset(
            c for c in world.copies if Row(c[1], c[2]) in rows[c[0].other] or not self.spent(world.side(c[0]), c[2])
        )  # fmt: skip
        answers = frozenset(
            a for a in world.answers if Row(a[1], a[2]) in rows[a[0]] or (a[3] and not world.side(a[0]).knows_pid)
        )  # fmt: skip
        alive = {c[0]: {key for to, _, key in copies if to is c[0]} for c in copies}
        sides = tuple(
            side._replace(
                seen=tuple(sorted(alive.get(role, set()) & set(side.seen))),
                declined=tuple(sorted(alive.get(role, set()) & set(side.declined))),
            )
            for role, side in zip(SIDES, world.sides, strict=True)
        )
        return World((sides[0], sides[1]), copies, answers, world.silent)

    def spent(self, receiver: Side, key: str) -> bool:
        """Whether a copy that nobody waits for can change nothing at its receiver."""
        return key in receiver.seen or key in receiver.declined or self.ended(receiver)


def free_key(world: World, sender: Role) -> str:
    """Return the first key of this sender that nothing mentions: fewer names, fewer worlds."""
    used = {key for to, _, key in world.copies if to is not sender}
    used |= {key for to, _, key, _ in world.answers if to is sender} | {row.key for row in world.side(sender).rows}
    return next(key for n in range(100) if (key := f"{sender[0]}{n}") not in used)


# --- exploring and checking -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Explored:
    model: Model
    worlds: dict[World, tuple[World | None, str]]  # how each world was reached first: by a shortest way
    edges: dict[World, tuple[Step, ...]]

    def story(self, world: World) -> str:
        lines: list[str] = []
        at: World | None = world
        while at is not None:
            before, label = self.worlds[at]
            consumer, provider = at.sides
            lines.append(f"  {label:<64} consumer {brief(consumer):<28} provider {brief(provider)}")
            at = before
        return "\n".join(reversed(lines))


def brief(side: Side) -> str:
    return f"{side.state or '-'}{' pending ' + side.pending if side.pending else ''}"


def explore(model: Model) -> Explored:
    """Visit every reachable world, breadth first, and check what must hold in each and on each step."""
    start = model.start()
    found = Explored(model, {start: (None, "start")}, {})
    waiting = deque([start])
    while waiting:
        world = waiting.popleft()
        check_world(found, world)
        steps = tuple(model.steps(world))
        found.edges[world] = steps
        for step in steps:
            if step.world not in found.worlds:
                found.worlds[step.world] = (world, step.label)
                waiting.append(step.world)
            check_step(found, world, step)
    check_ways_out(found)
    return found


def check_world(found: Explored, world: World) -> None:
    """No world holds a contradiction; a quiet one holds no difference that nobody will heal."""
    model, family = found.model, found.model.family
    consumer, provider = (side.state for side in world.sides)
    done = family.TERMINAL - {family.TERMINATED}
    for mine, other in ((world.sides[0], world.sides[1]), (world.sides[1], world.sides[0])):
        if mine.state in done and other.state not in done and other.pending not in PROMISES:
            raise Broken(f"one side holds {mine.state}, the other does not and never promised it:\n{found.story(world)}")
    for role, side in zip(SIDES, world.sides, strict=True):
        waits = [row.kind for row in side.rows if row.kind not in TERMINATIONS]
        if side.pending not in TERMINATIONS and waits != ([side.pending] if side.pending else []):
            raise Broken(f"the {role}'s outbox {waits} is not what is pending, {side.pending}:\n{found.story(world)}")
    if any(side.rows for side in world.sides) or not all(map(model.exists, SIDES, world.sides)):
        return
    if consumer != provider and not (world.silent and family.TERMINATED in (consumer, provider)):
        raise Broken(f"all is quiet and the states differ:\n{found.story(world)}")
    if not world.silent and model.open_for_data(world.sides[1]) != (consumer == "STARTED"):
        raise Broken(f"all is quiet, and data is open though the consumer has not STARTED, or shut:\n{found.story(world)}")


def check_step(found: Explored, world: World, step: Step) -> None:
    """A side moves along the table only, leaves no terminal state, and opens no data once the end is committed."""
    model = found.model
    for role in SIDES:
        before, after = world.side(role), step.world.side(role)
        if after.state != before.state and after.state not in reachable(model.family, before.state):
            raise Broken(f"{step.label}: {before.state} -> {after.state} is not in the table:\n{found.story(world)}")
        if model.ended(before) and after.state != before.state:
            raise Broken(f"{step.label}: the {role} left {before.state}:\n{found.story(world)}")
    if model.ended(world.side(Role.PROVIDER)) and model.open_for_data(step.world.side(Role.PROVIDER)):
        raise Broken(f"{step.label}: data is open after the end:\n{found.story(world)}")
    if model.family is Negotiation and (receiver := step.refused_by) and not model.ended(world.side(receiver)):
        raise Broken(f"{step.label} although it still negotiates:\n{found.story(world)}")


@cache
def reachable(family: type[Process], state: StrEnum | None) -> frozenset[StrEnum]:
    """States one row of the table away, or two (a message that proves ours was taken); terminating is always a row."""
    once = {to for (at, _, _), to in family.TABLE.items() if at == state}
    twice = {to for (at, _, _), to in family.TABLE.items() if at in once}
    return frozenset(once | twice | ({family.TERMINATED} if state is None else set()))


def check_ways_out(found: Explored) -> None:
    """From every world both sides can end; and from every world mere delivery, nobody deciding anything, leads to quiet."""
    model = found.model
    ended = {
        world
        for world in found.worlds
        if all(model.ended(s) or not model.exists(role, s) for role, s in zip(SIDES, world.sides, strict=True))
    }
    quiet = {w for w in found.worlds if not any(side.rows for side in w.sides)}
    for goal, decided, what in ((ended, True, "an end"), (quiet, False, "rest")):
        stuck = found.worlds.keys() - leads_to(found, goal, decided)
        if stuck:
            shortest = min(stuck, key=lambda w: found.story(w).count("\n"))
            raise Broken(f"no way from here to {what}:\n{found.story(shortest)}")


def leads_to(found: Explored, goal: set[World], decided: bool) -> set[World]:
    before: dict[World, list[World]] = {}
    for world, steps in found.edges.items():
        for step in steps:
            if decided or not step.decided:
                before.setdefault(step.world, []).append(world)
    good, waiting = set(goal), list(goal)
    while waiting:
        for world in before.get(waiting.pop(), ()):
            if world not in good:
                good.add(world)
                waiting.append(world)
    return good


# --- templates -------------------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 23, tzinfo=UTC)
OFFER = Policy(PolicyKind.OFFER, "offer", ())
KINDS: dict[type[Process], tuple[Kind, ...]] = {
    family: tuple(sorted({kind for (_, _, kind) in family.TABLE})) for family in (Negotiation, TransferProcess)
}


def blank(family: type[Process], role: Role) -> Process:
    """Return a process that has not begun."""
    begin = partial(
        family,
        id="ours",
        role=role,
        peer="peer",
        peer_address="http://peer",
        correlation_id="c",
        created_at=NOW,
        updated_at=NOW,
    )
    if family is Negotiation:
        return begin(offer=OFFER, offered_by=Role.CONSUMER, dataset_id="dataset")
    return begin(agreement_id="agreement", dataset_id="dataset", format="HttpData-PULL")


TEMPLATES = {(family, role): blank(family, role) for family in (Negotiation, TransferProcess) for role in Role}


P = TypeVar("P", bound=Process)


def converse(held: P, talk: Sequence[tuple[Role, Kind, StrEnum]]) -> P:
    """Return the process after messages (sender, kind, state they lead to), each acknowledged at once."""
    for n, (by, kind, state) in enumerate(talk):
        ours = by is held.role
        held = core.acknowledged(core.commit(held, kind), kind) if ours else core.take(held, kind, f"message {n}")
        assert held.current is state
    return held
