"""The compliance report of one policy and one request, from the pass that decided them (odrl-report.md, odrl.md 42).

The model is the one of the FORCE project (https://w3id.org/force/compliance-report). Report nodes have names made from
what they report on, so that the same inputs give the same report.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC
from uuid import NAMESPACE_URL, uuid5

from connector.odrl.decision import Decision
from connector.odrl.graph import TYPE, Literal, Resource, Term
from connector.odrl.kinds import shown
from connector.odrl.language import left_operands, resolve
from connector.odrl.model import Constraint, Json, RuleKind
from connector.odrl.reasons import Premise, Reason
from connector.odrl.sotw import DCT, REPORT, Asked
from connector.odrl.terms import ODRL, XSD
from connector.odrl.trees import Aspect, Branch, Found, Seen
from connector.odrl.values import literals
from connector.odrl.world import World

RDFS = "http://www.w3.org/2000/01/rdf-schema#"
PREFIXES = {"report": REPORT, "odrl": ODRL, "dct": DCT, "xsd": XSD, "rdfs": RDFS}
RULES = {
    RuleKind.PERMISSION: "PermissionReport",
    RuleKind.PROHIBITION: "ProhibitionReport",
    RuleKind.OBLIGATION: "ObligationReport",
}
ASPECTS = {Aspect.TARGET: "TargetReport", Aspect.PARTY: "PartyReport", Aspect.ACTION: "ActionReport"}
Statement = tuple[str, str, Term]


@dataclass(slots=True)
class _Writer:
    policy: str
    asked: Asked
    world: World
    statements: list[Statement] = field(default_factory=list)

    def node(self, path: str, *types: str) -> str:
        name = f"urn:uuid:{uuid5(NAMESPACE_URL, f'{self.policy} {self.asked.uid} {path}')}"
        for kind in types:
            self.add(name, TYPE, Resource(REPORT + kind))
        return name

    def add(self, subject: str, predicate: str, object: Term) -> None:
        self.statements.append((subject, predicate, object))

    def say(self, subject: str, predicate: str, value: str) -> None:
        self.add(subject, REPORT + predicate, Resource(self.node(value) if value.startswith("_:") else value))

    def rule(self, found: Found, path: str) -> str:
        premises = found.premises()
        name = self.node(path, RULES[found.rule.kind], "RuleReport")
        self.say(name, "rule", found.rule.uid or f"urn:uuid:{uuid5(NAMESPACE_URL, f'{self.policy} {path} rule')}")
        self.say(name, "ruleRequest", self.asked.node)
        self.say(name, "attemptState", REPORT + "Attempted")
        satisfied = [self.satisfied(found, node) for _, node in premises]
        for index, ((aspect, node), fits) in enumerate(zip(premises, satisfied, strict=True)):
            at = f"{path} premise {index}"
            if aspect is Aspect.CONSTRAINT:
                premise = self.constraint(found, node, at)
            else:
                premise = self.node(at, ASPECTS[aspect], "PremiseReport")
                self.state(premise, fits)
            self.say(name, "premiseReport", premise)
        outcomes = [outcome for duty in found.duties for outcome in duty.outcomes]
        for outcome in dict.fromkeys(outcomes):
            self.say(name, "conditionReport", outcome.node)
        violated = any(duty.violated for duty in found.duties)
        self.say(name, "activationState", REPORT + ("Active" if all(satisfied) and not violated else "Inactive"))
        if found.rule.kind is RuleKind.OBLIGATION:
            self.obligation(name, found)
        return name

    def obligation(self, name: str, found: Found) -> None:
        """Say what became of it: what is recorded, else violated when its deadline passed (15)."""
        recorded = {one.deontic for one in self.world.duties.get(found.rule.uid or "", ())} - {None}
        late = any(_late(node) for aspect, node in found.premises() if aspect is Aspect.CONSTRAINT)
        for state in sorted(filter(None, recorded)) or ["Violated" if late else "NonSet"]:
            self.say(name, "deonticState", REPORT + state)

    def satisfied(self, found: Found, node: Seen) -> bool:
        """Return the two-valued truth: unknown is no for a permission and yes for a prohibition (25)."""
        return node.truth is True or (node.truth is None and found.rule.kind is RuleKind.PROHIBITION)

    def state(self, name: str, fits: bool) -> None:
        self.say(name, "satisfactionState", REPORT + ("Satisfied" if fits else "Unsatisfied"))

    def constraint(self, found: Found, node: Seen, path: str) -> str:
        name = self.node(path, "ConstraintReport", "PremiseReport")
        self.state(name, self.satisfied(found, node))
        tree = node.tree
        of = tree.constraint if isinstance(tree, Branch | Premise) else None
        self.say(name, "constraint", (of.uid if of is not None else None) or name + "#constraint")
        if isinstance(tree, Branch):
            self.say(name, "constraintLogicalOperand", ODRL + tree.logic)
            for index, part in enumerate(node.parts):
                self.say(name, "premiseReport", self.constraint(found, part, f"{path} {index}"))
        elif isinstance(of, Constraint):
            for value in _values(of, node):
                self.add(name, REPORT + "constraintLeftOperand", value)
            self.say(name, "constraintOperator", of.operator)
            for text, datatype in literals(of):
                right: Term = Literal(text, datatype) if datatype or ":" not in text else Resource(text)
                self.add(name, REPORT + "constraintRightOperand", right)
            if node.truth is not True:
                why = Reason(tree, node.left, node.truth).text
                self.add(name, RDFS + "comment", Literal(why, None, "en"))
        return name


def _late(node: Seen) -> bool:
    of = node.tree.constraint if isinstance(node.tree, Premise) else None
    return of is not None and node.truth is False and resolve(of.left) == ODRL + "dateTime" and of.operator in UNTIL


UNTIL = frozenset({ODRL + "lt", ODRL + "lteq"})


def _values(of: Constraint, node: Seen) -> Iterator[Term]:
    if not isinstance(node.left, tuple):
        return
    kind = left_operands()[resolve(of.left)].kind
    for value in node.left:
        text = kind.iri(value)
        datatypes = {"Instants": "dateTime", "Numbers": "decimal", "Durations": "duration", "Intervals": "duration"}
        datatype = datatypes.get(type(kind).__name__)
        if datatype == "decimal" and text.lstrip("-").isdigit():
            datatype = "integer"
        yield Literal(text, XSD + datatype) if datatype else Resource(text) if ":" in text else Literal(text)


def report(policy: str, asked: Asked, world: World, decision: Decision) -> list[Statement]:
    """Return the statements of the compliance report."""
    writer = _Writer(policy, asked, world)
    name = writer.node("report", "PolicyReport")
    if world.now is not None:
        writer.add(name, DCT + "created", Literal(shown(world.now.astimezone(UTC)), XSD + "dateTime"))
    writer.say(name, "policy", policy)
    writer.say(name, "policyRequest", asked.uid)
    for found in decision.found:
        writer.say(name, "ruleReport", writer.rule(found, found.name))
    return writer.statements


def as_json(statements: list[Statement]) -> dict[str, Json]:
    """Return statements as JSON-LD with its context inline."""
    nodes: dict[str, dict[str, Json]] = {}
    for subject, predicate, term in statements:
        node = nodes.setdefault(subject, {"@id": subject})
        key = "@type" if predicate == TYPE else _short(predicate)
        value: Json = _json(term) if predicate != TYPE else _short(term.name if isinstance(term, Resource) else term.text)
        given = node.setdefault(key, [])
        if isinstance(given, list):
            given.append(value)
    context: dict[str, Json] = dict(PREFIXES)
    graph: list[Json] = list(nodes.values())
    return {"@context": context, "@graph": graph}


def _short(iri: str) -> str:
    found = ((prefix, space) for prefix, space in PREFIXES.items() if iri.startswith(space))
    return next((f"{prefix}:{iri.removeprefix(space)}" for prefix, space in found), iri)


def _json(term: Term) -> Json:
    if isinstance(term, Resource):
        return {"@id": _short(term.name)}
    node: dict[str, Json] = {"@value": term.text}
    if term.language:
        return node | {"@language": term.language}
    return node | ({"@type": _short(term.datatype)} if term.datatype else {})
