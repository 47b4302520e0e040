"""A request and the state of the world, read from RDF: the inputs of `policy evaluate` and `policy decide`.

A request asks and declares; facts count from the state alone. What a party has to prove, what is counted and what a clock
says is never taken from the request: `Asked.request.context` holds only what may be declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from connector.errors import InvalidFiles
from connector.odrl.actions import actions
from connector.odrl.graph import Graph, Literal, Resource
from connector.odrl.kinds import Instants
from connector.odrl.language import Source, left_operands, resolve
from connector.odrl.model import Link
from connector.odrl.operands import Request, Scope
from connector.odrl.terms import ACTIONS, ODRL, bare, short
from connector.odrl.world import Consent, Counter, Given, Outcome, Values, World, memberships

REPORT, EX, DCT = "https://w3id.org/force/compliance-report#", "http://example.org/", "http://purl.org/dc/terms/"
CONTEXT = "https://w3id.org/force/sotw#context"
NOW, ISSUED = "http://example.com/request/currentTime", DCT + "issued"


@dataclass(frozen=True, slots=True)
class Asked:
    """One asked permission: what is asked, the name of the request and that of the permission in it."""

    request: Request
    uid: str
    node: str


def asked(graph: Graph, now: datetime | None, own_actions: Iterable[str] = ()) -> Asked:
    """Return what the request in `graph` asks.

    Raises:
        InvalidFiles: there is no request or not exactly one permission in it, or it asks for an unknown action.
    """
    requests = graph.typed(ODRL + "Request")
    if len(requests) != 1:
        raise graph.invalid("request-shape", f"there must be one odrl:Request here, not {len(requests)}")
    nodes = graph.names(requests[0], ODRL + "permission")
    if len(nodes) != 1:
        message = f"a request asks for one odrl:permission, not {len(nodes)}"
        raise graph.invalid("request-shape", message, requests[0], ODRL + "permission")
    node = nodes[0]
    action, target, assignee = (_one(graph, node, name) for name in ("action", "target", "assignee"))
    known = actions()
    if action is not None and known.resolve(action) not in known.above and action not in set(own_actions):
        raise graph.invalid("odrl-action", f'unknown action "{short(action)}"', node, ODRL + "action")
    at = now or datetime.min.replace(tzinfo=UTC)  # of no weight: a state of the world has its own clock
    request = Request(Scope.ACCESS, action or "", target, assignee or "", at, context=_declared(values(graph, node)))
    uid = next(iter(graph.names(requests[0], ODRL + "uid")), requests[0])
    return Asked(request, uid, node)


def _one(graph: Graph, node: str, name: str) -> str | None:
    found = graph.objects(node, ODRL + name)
    if len(found) > 1:
        raise graph.invalid("request-shape", f"a request has one odrl:{name}, not {len(found)}", node, ODRL + name)
    if not found:
        return None
    word = found[0].name if isinstance(found[0], Resource) else found[0].text
    return ODRL + bare(word) if name == "action" and bare(word) in ACTIONS else word


def _declared(given: Values) -> Values:
    known = left_operands()
    return {left: found for left, found in given.items() if left in known and known[left].source is Source.REQUEST}


def world(graph: Graph, more_parts: Iterable[Link] = ()) -> World:
    """Return the state of the world in `graph`; `more_parts` are memberships that others claim, where they count.

    Raises:
        InvalidFiles: a time, number or zone cannot be read, a left operand is not known.
    """
    above, groups = memberships([*parts(graph), *more_parts])
    about = {node: found for node in graph.about if (found := values(graph, node))}
    general = [about[node] for node in graph.typed(EX + "Sotw") if node in about]
    return World(
        now=_instant(graph, NOW, ISSUED),
        zone=_zone(graph),
        values={left: tuple(one for each in general for one in each.get(left, ())) for each in general for left in each},
        about=about,
        above=above,
        groups=groups,
        counters=tuple(_counters(graph)),
        consents=tuple(_consents(graph)),
        duties=_duties(graph),
        agreed={node: at for node in graph.about if node != NOW and (at := _issued(graph, node)) is not None},
    )


def values(graph: Graph, node: str) -> dict[str, tuple[Given, ...]]:
    """Return the values that `node` has by its context, each left operand's together a set."""
    found: dict[str, list[Given]] = {}
    for context in graph.names(node, CONTEXT):
        lefts = graph.names(context, ODRL + "leftOperand")
        if len(lefts) != 1:
            raise graph.invalid("state-shape", "a context has one odrl:leftOperand", context)
        if graph.names(context, ODRL + "operator") not in ((), (ODRL + "eq",)):
            raise graph.invalid("state-shape", "a context says odrl:eq: it gives a value", context)
        left = resolve(lefts[0])
        if left not in left_operands():
            raise graph.invalid("odrl-left-operand", f'unknown left operand "{short(left)}"', context)
        unit = next(iter(graph.names(context, ODRL + "unit")), None)
        for term in graph.objects(context, ODRL + "rightOperand"):
            given = Given(term.text, term.datatype, unit) if isinstance(term, Literal) else Given(term.name, None, unit)
            found.setdefault(left, []).append(given)
    return {left: tuple(given) for left, given in found.items()}


def parts(graph: Graph) -> Iterator[Link]:
    """Yield the `partOf` statements of a file."""
    for node in graph.about:
        yield from (Link(node, group) for group in graph.names(node, ODRL + "partOf"))


def _counters(graph: Graph) -> Iterator[Counter]:
    for node in graph.typed(EX + "UseCounter"):
        texts = [one.text for one in graph.objects(node, EX + "uses") if isinstance(one, Literal)]
        if len(texts) != 1 or not (texts[0].isascii() and texts[0].isdigit()):
            raise graph.invalid("state-shape", "a use counter has one ex:uses, a whole number", node, EX + "uses")
        policy, rule, target, assignee = (
            next(iter(graph.names(node, name)), None)
            for name in (REPORT + "policy", REPORT + "rule", ODRL + "target", ODRL + "assignee")
        )
        yield Counter(int(texts[0]), policy, rule, target, assignee, _instant(graph, node, EX + "firstUse"))


def _consents(graph: Graph) -> Iterator[Consent]:
    for node in graph.typed(EX + "ConsentRecord"):
        statuses, issued = graph.names(node, EX + "status"), _instant(graph, node, ISSUED)
        if len(statuses) != 1 or issued is None:
            raise graph.invalid("state-shape", "a consent record has one ex:status and one dct:issued", node)
        for target in graph.names(node, ODRL + "target"):
            yield Consent(target, statuses[0], issued)


def _duties(graph: Graph) -> dict[str, tuple[Outcome, ...]]:
    """Return what became of rules, by the rule: duties, and prohibitions that were violated."""
    found: dict[str, list[Outcome]] = {}
    for kind in ("DutyReport", "ObligationReport", "ProhibitionReport"):
        for node in graph.typed(REPORT + kind):
            states = [name.removeprefix(REPORT) for name in graph.names(node, REPORT + "deonticState")]
            for rule in graph.names(node, REPORT + "rule"):
                found.setdefault(rule, []).append(Outcome(node, states[0] if len(states) == 1 else None))
    return {rule: tuple(outcomes) for rule, outcomes in found.items()}


def _zone(graph: Graph) -> ZoneInfo:
    for node in graph.typed(EX + "Sotw"):
        for term in graph.objects(node, EX + "timeZone"):
            name = term.text if isinstance(term, Literal) else term.name
            try:
                return ZoneInfo(name)
            except (ValueError, OSError, LookupError) as error:
                raise graph.invalid("state-zone", f'"{name}" is no time zone', node, EX + "timeZone") from error
    return ZoneInfo("UTC")


def _issued(graph: Graph, node: str) -> datetime | None:
    """Return when `node` was issued; None also where a thing of another kind has a date that is no instant."""
    try:
        return _instant(graph, node, ISSUED)
    except InvalidFiles:
        return None


def _instant(graph: Graph, node: str, predicate: str) -> datetime | None:
    found = graph.objects(node, predicate)
    if not found:
        return None
    if len(found) > 1 or not isinstance(found[0], Literal):
        raise graph.invalid("state-time", "one instant is expected here", node, predicate)
    try:
        value = Instants().parse(found[0].text, found[0].datatype)
    except ValueError as error:
        raise graph.invalid("state-time", f'"{found[0].text}" {error}', node, predicate) from error
    if not isinstance(value, datetime):
        raise graph.invalid("state-time", f'"{found[0].text}" is a date; write an instant', node, predicate)
    return value
