"""JSON -> policy: every spelling of ODRL's JSON-LD (DSP-070..077), and the compact form normalised.

Taken alike: bare, `odrl:` and full-IRI terms, keys included; one object for a list of one; `{"@id"}` and `{"@value"}`
wrappers. What has no place in `odrl.model` or breaks its shape becomes a problem with its place, never silence.
A policy-level property is copied to the rules that lack it (odrl.md 3): the assignee of a Set too, while an Offer and an
Agreement keep theirs as the party it names. A rule with several actions, targets or assignees becomes one rule each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TypeAlias

from connector.odrl import terms
from connector.odrl.check import check
from connector.odrl.model import (
    AnyConstraint,
    Constraint,
    Duty,
    Json,
    Link,
    Logic,
    LogicalConstraint,
    Policy,
    PolicyKind,
    Refinements,
    Rule,
    RuleKind,
)
from connector.odrl.nodes import ANYWHERE, Node, Nodes, Path, Places, is_list, pointer
from connector.odrl.understood import understood
from connector.odrl.write import DUTIES, LOST, to_json

MAX_DEPTH = 32  # logical constraints on one path

TYPES = {"Set": PolicyKind.SET, "Policy": PolicyKind.SET, "Offer": PolicyKind.OFFER, "Agreement": PolicyKind.AGREEMENT}
POLICY = frozenset(
    {*RuleKind, "profile", "target", "assigner", "assignee", "action", "timestamp", "conflict", "inheritFrom"}
)
RULE = frozenset({"action", "target", "assigner", "assignee", "constraint", "duty", "remedy", "consequence"})
DUTY = frozenset({"action", "target", "assigner", "assignee", "constraint", "consequence"})
ACTION = frozenset({"value", "refinement", "includedIn"})
ENTITY = frozenset({"source", "refinement", "partOf"})
ATOMIC = frozenset(
    {
        "leftOperand", "operator", "rightOperand", "rightOperandReference", "unit", "dataType", "datatype", "since",
        "status",
    }
)  # fmt: skip
LOGICAL = frozenset(map(str, Logic))
# Who else has to do with a rule or a duty (`odrl:function`, `odrl:relation`): said, and of no weight for a decision.
FUNCTIONS = frozenset(
    {
        "attributedParty", "attributingParty", "compensatedParty", "compensatingParty", "consentedParty", "consentingParty",
        "contractedParty", "contractingParty", "informedParty", "informingParty", "output", "payeeParty", "trackedParty",
        "trackingParty",
    }
)  # fmt: skip

Named: TypeAlias = tuple[str | None, tuple[AnyConstraint, ...]]  # what a rule names, with its refinements
ANY: Named = (None, ())


def policy(
    document: Json,
    *,
    file: str | None = None,
    kind: PolicyKind | None = None,
    places: Places | None = None,
    whole: bool = False,
) -> Policy:
    """Return the policy that `document` says, with everything that is wrong with it in `problems`.

    `kind` is what the caller expects; without it the document's `@type` says, and a policy without one is a Set.
    `whole` takes all of ODRL that can be decided, without it only what this connector enforces is no problem.
    """
    reader = _Reader(file, places or {}, whole=whole)
    read = reader.policy(document, kind)
    found = (*reader.problems, *(replace(p, file=p.file or file) for p in (understood if whole else check)(read)))
    return replace(read, problems=tuple(sorted(found, key=lambda problem: (problem.line or 0, problem.column or 0))))


@dataclass(slots=True)
class _Reader(Nodes):
    whole: bool = False
    included: dict[Link, None] = field(default_factory=dict)
    parts_of: dict[Link, None] = field(default_factory=dict)

    # --- rules -------------------------------------------------------------------------------------------------------

    def policy(self, document: Json, kind: PolicyKind | None) -> Policy:
        node = self.node(document, (), POLICY)
        found = self.kind(node, kind)
        assignees = list(self.entities(node, "assignee"))
        targets = list(self.entities(node, "target"))
        shared = assignees if found is PolicyKind.SET or any(refined for _, refined in assignees) else []
        several = targets if len(targets) > 1 or any(refined for _, refined in targets) else []
        if len(assignees) > 1 and not shared:
            self.problem(node.get("assignee")[1], "odrl-shape", f"an {found} has one assignee")
        result = Policy(
            kind=found,
            uid=self.identifier(node) or "",
            rules=tuple(rule for each in RuleKind for rule in self.rules(node, each, several, shared)),
            target=targets[0][0] if targets and not several else None,
            assigner=self.text(*node.get("assigner")),
            assignee=assignees[0][0] if assignees and not shared else None,
            profile=tuple(self.texts(*node.get("profile"))),
            timestamp=self.text(*node.get("timestamp")),
            conflict=self.strategy(node),
            inherits=tuple(self.texts(*node.get("inheritFrom"))),
        )
        result = replace(result, rules=tuple(_shared(rule, result) for rule in result.rules))
        result = replace(result, included=tuple(self.included), parts=tuple(self.parts_of))
        self.complete(result)
        return result

    def kind(self, node: Node, expected: PolicyKind | None) -> PolicyKind:
        value, path = node.get("@type") if "@type" in node else node.get("type")
        said = [TYPES.get(terms.bare(word)) for word in self.texts(value, path)]
        if any(one is None or one is not (expected or said[0]) for one in said):
            wanted = expected or "Set, Offer or Agreement"
            self.problem(path, "odrl-shape", f"the policy's type must be {wanted}, not {value}")
        return expected or next((one for one in said if one is not None), PolicyKind.SET)

    def identifier(self, node: Node) -> str | None:
        return self.text(*(node.get("@id") if "@id" in node else node.get("uid")))

    def strategy(self, node: Node) -> str | None:
        value, path = node.get("conflict")
        word = None if value is None else self.text(value, path)
        if word is not None and terms.bare(word) not in terms.STRATEGIES:
            hint = terms.nearest(word, terms.STRATEGIES)
            self.problem(path, "odrl-shape", f'"{word}" is no strategy; write perm, prohibit or invalid{hint}')
        return None if word is None else terms.bare(word)

    def complete(self, read: Policy) -> None:
        """Note what a policy of its kind must have (odrl.md 2); a Set may be named by whoever keeps it."""
        if not read.rules and not read.inherits and not self.problems:
            self.problem((), "odrl-shape", "a policy without rules allows nothing; write a permission")
        if read.kind is PolicyKind.SET and not self.whole:
            return
        needed: dict[str, bool] = {"@id": bool(read.uid)}
        rules = [rule for rule in read.rules if rule.kind is not RuleKind.OBLIGATION]
        if read.kind is not PolicyKind.SET and (self.whole or read.kind is PolicyKind.AGREEMENT):
            needed["assigner"] = bool(read.assigner) or bool(rules and all(rule.assigner for rule in rules))
        if read.kind is PolicyKind.AGREEMENT:
            needed["assignee"] = bool(read.assignee) or bool(rules and all(rule.assignee for rule in rules))
            needed["target"] = bool(read.target) or self.whole
        for name, there in needed.items():
            if not there:
                self.problem((), "odrl-shape", f"an {read.kind} needs {name}".replace("an Set", "a Set"))

    def rules(self, parent: Node, kind: RuleKind, targets: list[Named], assignees: list[Named]) -> Iterator[Rule]:
        known = RULE | FUNCTIONS if self.whole else RULE
        for item, path in self.items(*parent.get(kind)):
            if not self.count(path):
                return
            node = self.node(item, path, known)
            constraints, duties = self.constraints(node), tuple(self.duties(node, DUTIES[kind]))
            for name in sorted({"duty", "remedy", "consequence"} - {DUTIES[kind]}):
                if name in node:
                    self.problem(node.get(name)[1], "odrl-shape", f'a {kind} has no "{name}"; it has a {DUTIES[kind]}')
            actions = self.actions(node if "action" in node else parent, path)
            own = list(self.entities(node, "target")) or targets or [ANY]
            who = list(self.entities(node, "assignee")) or assignees or [ANY]
            for number, ((action, how), (target, which), (assignee, whom)) in enumerate(product(actions, own, who)):
                if number and not self.count(path):
                    return
                yield Rule(
                    kind, action, constraints, duties, assignee, self.place(path), self.identifier(node), target,
                    self.text(*node.get("assigner")), Refinements(how, which, whom),
                )  # fmt: skip

    def duties(self, parent: Node, term: str) -> Iterator[Duty]:
        known = DUTY | FUNCTIONS if self.whole else DUTY
        for item, path in self.items(*parent.get(term)):
            if not self.count(path):
                return
            node = self.node(item, path, known)
            constraints, consequences = self.constraints(node), tuple(self.duties(node, "consequence"))
            targets, who = (list(self.entities(node, name)) or [ANY] for name in ("target", "assignee"))
            each = product(self.actions(node, path, of_duty=True), targets, who)
            for number, ((action, how), (target, which), (assignee, whom)) in enumerate(each):
                if number and not self.count(path):
                    return
                refined = Refinements(how, which, whom)
                uid = self.identifier(node)
                yield Duty(action, constraints, self.place(path), uid, target, assignee, refined, consequences)

    # --- what a rule names -------------------------------------------------------------------------------------------

    def actions(self, node: Node, path: Path, *, of_duty: bool = False) -> list[tuple[str, tuple[AnyConstraint, ...]]]:
        value, at = node.get("action")
        before = len(self.problems)
        found = [one for item, where in self.items(value, at) if (one := self.action(item, where)) is not None]
        if not found and len(self.problems) == before:
            if self.whole and value is None and not of_duty:
                return [("", ())]  # any action (11)
            what = "duty" if of_duty else "rule"
            self.problem(path, "odrl-shape", f"the {what} has no action; write action: {'delete' if of_duty else 'use'}")
        return found

    def action(self, item: Json, path: Path) -> tuple[str, tuple[AnyConstraint, ...]] | None:
        if not isinstance(item, Mapping) or not item.keys() - ANYWHERE - {"@value"}:
            word = self.text(item, path)
            return None if word is None else (terms.expand(word, terms.ACTIONS), ())
        node = self.node(item, path, ACTION)
        if "value" in node:
            inner = self.action(*node.get("value"))
            if inner is None or not self.count(path):
                return None
            return inner[0], (*inner[1], *self.refinements(node))
        word = self.identifier(node)
        if word is None:
            self.problem(path, "odrl-shape", "the action has no name; write it as rdf:value")
            return None
        action = terms.expand(word, terms.ACTIONS)
        for wide in self.texts(*node.get("includedIn")):
            self.included[Link(action, terms.expand(wide, terms.ACTIONS))] = None
        return action, self.refinements(node)

    def entities(self, parent: Node, term: str) -> Iterator[Named]:
        """Yield the parties or assets that `term` names, collections with what refines them."""
        for item, path in self.items(*parent.get(term)):
            if not isinstance(item, Mapping) or not item.keys() - ANYWHERE - {"@value"}:
                word = self.text(item, path)
                if word is not None:
                    yield word, ()
                continue
            node = self.node(item, path, ENTITY)
            name = self.identifier(node) or self.text(*node.get("source"))
            if name is None:
                self.problem(path, "odrl-shape", "a collection needs a uid or a source")
                continue
            for group in self.texts(*node.get("partOf")):
                self.parts_of[Link(name, group)] = None
            yield name, self.refinements(node)

    def refinements(self, node: Node) -> tuple[AnyConstraint, ...]:
        return self.parts(*node.get("refinement"), depth=0)

    # --- constraints -------------------------------------------------------------------------------------------------

    def constraints(self, node: Node) -> tuple[AnyConstraint, ...]:
        return self.parts(*node.get("constraint"), depth=0)

    def parts(self, value: Json, path: Path, depth: int) -> tuple[AnyConstraint, ...]:
        read = (self.constraint(item, at, depth) for item, at in self.items(value, path))
        return tuple(part for part in read if part is not None)

    def constraint(self, value: Json, path: Path, depth: int) -> AnyConstraint | None:
        if not self.count(path):
            return None
        node = self.node(value, path, ATOMIC | LOGICAL)
        logic = [Logic(term) for term in node.fields if term in LOGICAL]
        if not logic:
            return self.atomic(node)
        if len(logic) > 1 or ATOMIC & node.fields.keys():
            self.problem(path, "odrl-shape", "a constraint is one of and, or, xone, andSequence, or a comparison; split it")
            return None
        if depth == MAX_DEPTH:
            self.problem(path, "odrl-size", f"constraints are nested deeper than {MAX_DEPTH} levels")
            return None
        before = len(self.problems)
        parts = self.parts(*node.get(logic[0]), depth=depth + 1)
        if not parts and len(self.problems) == before:
            self.problem(path, "odrl-shape", f'"{logic[0]}" has no constraints')
        return LogicalConstraint(logic[0], parts, self.place(path), self.identifier(node))

    def atomic(self, node: Node) -> Constraint | None:
        given = "rightOperandReference" if "rightOperandReference" in node else "rightOperand"
        missing = [name for name in ("leftOperand", "operator", given) if node.get(name)[0] is None]
        if missing:
            self.problem(node.path, "odrl-shape", f"the constraint has no {' and no '.join(missing)}")
            return None
        left, operator = self.text(*node.get("leftOperand")), self.text(*node.get("operator"))
        datatype = self.text(*node.get("dataType" if "dataType" in node else "datatype"))
        if left is None or operator is None:
            return None
        return Constraint(
            left=terms.expand(left, terms.LEFT_OPERANDS),
            operator=terms.expand_operator(operator),
            right=self.right(*node.get(given)) if given == "rightOperand" else self.referred(*node.get(given)),
            unit=self.text(*node.get("unit")),
            datatype=None if datatype is None else terms.expand_curie(datatype),
            place=self.place(node.path),
            uid=self.identifier(node),
            since=None if (since := self.text(*node.get("since"))) is None else terms.expand_curie(since),
            status=None if "status" not in node else self.right(*node.get("status")),
        )

    def referred(self, value: Json, path: Path) -> Json:
        """Return the value that a reference stands for: the same document gives it, for nothing is ever fetched (24)."""
        if not self.whole:
            message = '"rightOperandReference" is not supported; write the value as rightOperand'
            self.problem(path, "odrl-term", message)
        found: list[Json] = []
        for item, at in self.items(value, path):
            node = self.node(item, at, frozenset({"value"})) if isinstance(item, Mapping) else Node(at, {})
            if "value" in node:
                found.append(self.right(*node.get("value")))
            else:
                message = (
                    "a reference needs its value beside it, as rdf:value: nothing is fetched. Or write it as rightOperand"
                )
                self.problem(at, "odrl-reference", message)
        return found[0] if len(found) == 1 else found

    def right(self, value: Json, path: Path) -> Json:
        if isinstance(value, Mapping) and not {"@list", "@set"} & value.keys():
            return self.value(value, path)
        if isinstance(value, Mapping) or is_list(value):
            return [self.value(item, at) for item, at in self.items(value, path)]
        return self.value(value, path)

    def value(self, value: Json, path: Path) -> Json:
        """Return one right operand; numbers as typed text, for DSP 2025-1 knows no bare ones (DSP-074)."""
        if isinstance(value, str):
            return terms.expand_curie(value)
        if isinstance(value, bool | int | float):
            name = {bool: "boolean", int: "integer", float: "decimal"}[type(value)]
            return {"@value": str(value).lower(), "@type": terms.XSD + name}
        if isinstance(value, Mapping):
            if value.keys() == {"@id"} and isinstance(named := value["@id"], str):
                return {"@id": terms.expand_curie(named)}
            inner, datatype = value.get("@value"), value.get("@type")
            if value.keys() == {"@value"} and isinstance(inner, str | bool | int | float):
                return self.value(inner, path) if not isinstance(inner, str) else inner
            if value.keys() == {"@value", "@type"} and isinstance(inner, str | int | float) and isinstance(datatype, str):
                return {
                    "@value": inner if isinstance(inner, str) else str(inner).lower(),
                    "@type": terms.expand_curie(datatype),
                }
        self.problem(path, "odrl-shape", "a right operand is a text, a number, an IRI or a list of these")
        return ""


def _shared(rule: Rule, policy: Policy) -> Rule:
    """Return `rule` without what it only repeats of its policy (3)."""
    return replace(
        rule,
        target=None if rule.target == policy.target and not rule.refined.target else rule.target,
        assigner=None if rule.assigner == policy.assigner else rule.assigner,
    )


__all__ = ["LOST", "Path", "Places", "pointer", "policy", "to_json"]
