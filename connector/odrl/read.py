"""JSON <-> policy: every spelling of ODRL's JSON-LD in, the compact form of DSP 2025-1 out (DSP-070..077).

Taken alike: bare, `odrl:` and full-IRI terms, keys included; one object for a list of one; `{"@id"}` and `{"@value"}`
wrappers. What has no place in `odrl.model` or breaks its shape becomes a problem with its place, never silence.
A policy-level property is copied to the rules that lack it (odrl.md 3): the assignee of a Set too, while an Offer and an
Agreement keep theirs as the party it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TypeAlias

from connector.errors import InvalidFiles, Problem
from connector.odrl import terms
from connector.odrl.check import check
from connector.odrl.model import (
    AnyConstraint,
    Constraint,
    Duty,
    Json,
    Logic,
    LogicalConstraint,
    Place,
    Policy,
    PolicyKind,
    Rule,
    RuleKind,
)

Path: TypeAlias = tuple[str | int, ...]
Places: TypeAlias = Mapping[Path, tuple[int, int]]  # path in the document -> (line, column) of the value, from 1

MAX_DEPTH = 32  # logical constraints on one path
MAX_NODES = 10_000  # rules, duties and constraints of one policy

# Code of a problem that the model cannot hold: such a policy is not written again, for the text would have changed.
LOST = frozenset({"odrl-shape", "odrl-term", "odrl-size"})

TYPES = {"Set": PolicyKind.SET, "Policy": PolicyKind.SET, "Offer": PolicyKind.OFFER, "Agreement": PolicyKind.AGREEMENT}
ANYWHERE = frozenset({"@context", "@type", "@id", "uid", "type"})
POLICY = frozenset({*RuleKind, "profile", "target", "assigner", "assignee", "action", "timestamp"})
RULE = frozenset({"action", "target", "assigner", "assignee", "constraint", "duty"})
DUTY = frozenset({"action", "constraint"})
ATOMIC = frozenset({"leftOperand", "operator", "rightOperand", "unit", "dataType", "datatype"})
LOGICAL = frozenset(map(str, Logic))
# Words of ODRL that are understood and refused, each with what to do.
REFUSED = {
    "conflict": "is not supported yet; a prohibition that applies always wins here, leave it out",
    "inheritFrom": "is not supported yet; write the rules of the parent into this policy",
    "refinement": "is not supported yet; write it as a constraint of the rule",
    "consequence": "is not supported yet; leave it out",
    "remedy": "is not supported yet; leave it out",
    "rightOperandReference": "is not supported; write the value as rightOperand",
    "status": "is not supported; leave it out",
    "relation": "is not supported; write target",
}


def policy(
    document: Json, *, file: str | None = None, kind: PolicyKind | None = None, places: Places | None = None
) -> Policy:
    """Return the policy that `document` says, with everything that is wrong with it in `problems`.

    `kind` is what the caller expects; without it the document's `@type` says, and a policy without one is a Set.
    """
    reader = _Reader(file, places or {})
    read = reader.policy(document, kind)
    found = (*reader.problems, *(replace(problem, file=problem.file or file) for problem in check(read)))
    return replace(read, problems=tuple(sorted(found, key=lambda problem: (problem.line or 0, problem.column or 0))))


@dataclass(slots=True)
class _Node:
    """One JSON object with its keys as bare terms: term -> value and path."""

    path: Path
    fields: dict[str, tuple[Json, Path]]

    def __contains__(self, term: str) -> bool:
        return term in self.fields

    def get(self, term: str) -> tuple[Json, Path]:
        return self.fields.get(term, (None, self.path))


@dataclass(slots=True)
class _Reader:
    file: str | None
    places: Places
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    # --- rules -------------------------------------------------------------------------------------------------------

    def policy(self, document: Json, kind: PolicyKind | None) -> Policy:
        node = self.node(document, (), POLICY)
        found = self.kind(node, kind)
        assignees = self.texts(*node.get("assignee"))
        shared = [] if found is not PolicyKind.SET else assignees
        if len(assignees) > 1 and not shared:
            self.problem(node.get("assignee")[1], "odrl-shape", f"an {found} has one assignee")
        result = Policy(
            kind=found,
            uid=self.identifier(node) or "",
            rules=tuple(rule for each in RuleKind for rule in self.rules(node, each, shared)),
            target=self.text(*node.get("target")),
            assigner=self.text(*node.get("assigner")),
            assignee=assignees[0] if assignees and not shared else None,
            profile=tuple(self.texts(*node.get("profile"))),
            timestamp=self.text(*node.get("timestamp")),
        )
        self.complete(result)
        return result

    def kind(self, node: _Node, expected: PolicyKind | None) -> PolicyKind:
        value, path = node.get("@type") if "@type" in node else node.get("type")
        said = [TYPES.get(terms.bare(word)) for word in self.texts(value, path)]
        if any(one is None or one is not (expected or said[0]) for one in said):
            wanted = expected or "Set, Offer or Agreement"
            self.problem(path, "odrl-shape", f"the policy's type must be {wanted}, not {value}")
        return expected or next((one for one in said if one is not None), PolicyKind.SET)

    def identifier(self, node: _Node) -> str | None:
        return self.text(*(node.get("@id") if "@id" in node else node.get("uid")))

    def complete(self, read: Policy) -> None:
        """Note what a policy of its kind must have (odrl.md 2); a Set may be named by whoever keeps it."""
        if not read.rules and not self.problems:
            self.problem((), "odrl-shape", "a policy without rules allows nothing; write a permission")
        needed: dict[str, str | None] = {} if read.kind is PolicyKind.SET else {"@id": read.uid}
        if read.kind is PolicyKind.AGREEMENT:
            needed |= {"assigner": read.assigner, "assignee": read.assignee, "target": read.target}
        for name, value in needed.items():
            if not value:
                self.problem((), "odrl-shape", f"an {read.kind} needs {name}")

    def rules(self, parent: _Node, kind: RuleKind, assignees: list[str]) -> Iterable[Rule]:
        for item, path in self.items(*parent.get(kind)):
            if not self.count(path):
                return
            node = self.node(item, path, RULE)
            for name in ("target", "assigner"):
                self.same(parent, node, name)
            constraints, duties = self.constraints(node), tuple(self.duties(node))
            actions = self.actions(node if "action" in node else parent, path)
            who = self.texts(*node.get("assignee")) or assignees or (None,)
            for number, (action, assignee) in enumerate(product(actions, who)):
                if number and not self.count(path):  # a thousand actions for a thousand assignees are a million rules
                    return
                yield Rule(kind, action, constraints, duties, assignee, self.place(path))

    def same(self, parent: _Node, node: _Node, name: str) -> None:
        """Refuse a rule with a target or assigner of its own: a policy here speaks of one dataset of one provider."""
        value, path = node.get(name)
        if value is not None and self.text(value, path) != self.text(*parent.get(name)):
            self.problem(path, "odrl-term", f'"{name}" belongs on the policy, not on a rule')

    def duties(self, parent: _Node) -> Iterable[Duty]:
        for item, path in self.items(*parent.get("duty")):
            if not self.count(path):
                return
            node = self.node(item, path, DUTY)
            for action in self.actions(node, path):
                yield Duty(action, self.constraints(node), self.place(path))

    def actions(self, node: _Node, path: Path) -> list[str]:
        value, at = node.get("action")
        found = []
        for item, where in self.items(value, at):
            if isinstance(item, Mapping) and "@id" not in item and "@value" not in item:
                self.problem(where, "odrl-term", "an action with refinements is not supported yet; write its name only")
            elif (word := self.text(item, where)) is not None:
                found.append(terms.expand(word, terms.ACTIONS))
        if not found and not any(problem.path == pointer(at) for problem in self.problems):
            self.problem(path, "odrl-shape", "the rule has no action; write action: use")
        return found

    # --- constraints -------------------------------------------------------------------------------------------------

    def constraints(self, node: _Node) -> tuple[AnyConstraint, ...]:
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
        return LogicalConstraint(logic[0], parts, self.place(path))

    def atomic(self, node: _Node) -> Constraint | None:
        missing = [name for name in ("leftOperand", "operator", "rightOperand") if node.get(name)[0] is None]
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
            right=self.right(*node.get("rightOperand")),
            unit=self.text(*node.get("unit")),
            datatype=None if datatype is None else terms.expand_curie(datatype),
            place=self.place(node.path),
        )

    def right(self, value: Json, path: Path) -> Json:
        if isinstance(value, Mapping) and not {"@list", "@set"} & value.keys():
            return self.value(value, path)
        if isinstance(value, Mapping) or _is_list(value):
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

    # --- JSON --------------------------------------------------------------------------------------------------------

    def node(self, value: Json, path: Path, known: frozenset[str]) -> _Node:
        node = _Node(path, {})
        if not isinstance(value, Mapping):
            self.problem(path, "odrl-shape", f"an object is expected here, not {_shown(value)}")
            return node
        for key, item in value.items():
            term, at = terms.bare(key), (*path, key)
            if term in node:
                self.problem(at, "odrl-shape", f'"{term}" is given twice')
            elif term in known or term in ANYWHERE:
                node.fields[term] = (item, at)
            else:
                self.problem(at, "odrl-term", f'"{key}" ' + self.unknown(term, known))
        return node

    def unknown(self, term: str, known: frozenset[str]) -> str:
        if term in REFUSED:
            return REFUSED[term]
        if known is POLICY and term == "constraint":
            return "stands on a rule, not on the policy; move it into each permission and prohibition"
        return "is not known here" + terms.nearest(term, known)

    def items(self, value: Json, path: Path) -> Iterable[tuple[Json, Path]]:
        while isinstance(value, Mapping) and (wrapper := next(iter({"@list", "@set"} & value.keys()), None)):
            value, path = value[wrapper], (*path, wrapper)
        if value is None:
            return []
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [(item, (*path, index)) for index, item in enumerate(value)]
        return [(value, path)]

    def texts(self, value: Json, path: Path) -> list[str]:
        found = []
        for item, at in self.items(value, path):
            word = item.get("@id", item.get("@value", item.get("uid"))) if isinstance(item, Mapping) else item
            if isinstance(word, str) and word:
                found.append(word)
            else:
                self.problem(at, "odrl-shape", f"a name is expected here, not {_shown(item)}")
        return found

    def text(self, value: Json, path: Path) -> str | None:
        found = self.texts(value, path)
        if len(found) > 1:
            self.problem(path, "odrl-shape", "one value is expected here, not several")
        return found[0] if found else None

    def count(self, path: Path) -> bool:
        """Count a node; past the limit nothing more is read, and that is said once."""
        self.nodes += 1
        if self.nodes == MAX_NODES + 1:
            self.problem(path, "odrl-size", f"the policy has more than {MAX_NODES} rules and constraints")
        return self.nodes <= MAX_NODES

    def place(self, path: Path) -> Place | None:
        while path and path not in self.places:
            path = path[:-1]
        at = self.places.get(path)
        return Place(self.file, *at) if self.file is not None and at is not None else None

    def problem(self, path: Path, code: str, message: str) -> None:
        place = self.place(path)
        line, column = (place.line, place.column) if place else (None, None)
        self.problems.append(Problem(code, message, self.file, line, column, pointer(path)))


def pointer(path: Path) -> str:
    """Return a path in words, like `permission[0].constraint`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _is_list(value: Json) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _shown(value: Json) -> str:
    return "a list" if _is_list(value) else "an object" if isinstance(value, Mapping) else repr(value)


# --- writing ---------------------------------------------------------------------------------------------------------


def to_json(policy: Policy) -> dict[str, Json]:
    """Return `policy` in the compact form of DSP 2025-1, without `@context`.

    The DSP context has terms for operators and `use`; everything else of ODRL goes out as a full IRI, which survives.

    Raises:
        InvalidFiles: parts of the document it was read from are not in `policy`, so that it would not be the same.
    """
    lost = tuple(problem for problem in policy.problems if problem.code in LOST)
    if lost:
        raise InvalidFiles(lost)
    rules = {kind.value: [_rule(rule) for rule in policy.rules if rule.kind is kind] for kind in RuleKind}
    return _present(
        {
            "@type": policy.kind.value,
            "@id": policy.uid,
            "profile": list(policy.profile),
            "target": policy.target,
            "assigner": policy.assigner,
            "assignee": policy.assignee,
            "timestamp": policy.timestamp,
            **rules,
        }
    )


def _present(node: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in node.items() if value not in (None, "", [])}


def _rule(rule: Rule | Duty) -> dict[str, Json]:
    node: dict[str, Json] = {
        "action": "use" if rule.action == terms.USE else rule.action,
        "constraint": [_constraint(part) for part in rule.constraints],
    }
    if isinstance(rule, Rule):
        node |= {"assignee": rule.assignee, "duty": [_rule(duty) for duty in rule.duties]}
    return _present(node)


def _constraint(part: AnyConstraint) -> dict[str, Json]:
    if isinstance(part, LogicalConstraint):
        return {part.logic.value: [_constraint(inner) for inner in part.parts]}
    name = terms.bare(part.operator)
    node: dict[str, Json] = {
        "leftOperand": part.left,
        "operator": name if name in terms.OPERATORS else part.operator,
        "rightOperand": part.right,
    }
    return node | _present({"unit": part.unit, "dataType": part.datatype})


__all__ = ["LOST", "Path", "Places", "pointer", "policy", "to_json"]
