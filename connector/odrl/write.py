"""Policy -> JSON: the compact form of DSP 2025-1, in which everything that the model holds has its place (DSP-070..077)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.errors import InvalidFiles
from connector.odrl import terms
from connector.odrl.model import AnyConstraint, Duty, Json, LogicalConstraint, Policy, Rule, RuleKind

# Code of a problem that the model cannot hold: such a policy is not written again, for the text would have changed.
LOST = frozenset({"odrl-shape", "odrl-term", "odrl-size"})
# What `Rule.duties` is called under each kind of rule.
DUTIES = {RuleKind.PERMISSION: "duty", RuleKind.PROHIBITION: "remedy", RuleKind.OBLIGATION: "consequence"}


def to_json(policy: Policy) -> dict[str, Json]:
    """Return `policy` in the compact form of DSP 2025-1, without `@context`.

    The DSP context has terms for operators and `use`; everything else of ODRL goes out as a full IRI, which survives.

    Raises:
        InvalidFiles: parts of the document it was read from are not in `policy`, so that it would not be the same.
    """
    lost = tuple(problem for problem in policy.problems if problem.code in LOST)
    if lost:
        raise InvalidFiles(lost)
    rules = {kind.value: [_rule(policy, rule) for rule in policy.rules if rule.kind is kind] for kind in RuleKind}
    return _present(
        {
            "@type": policy.kind.value,
            "@id": policy.uid,
            "profile": list(policy.profile),
            "inheritFrom": list(policy.inherits),
            "conflict": policy.conflict,
            "target": policy.target,
            "assigner": policy.assigner,
            "assignee": policy.assignee,
            "timestamp": policy.timestamp,
            **rules,
        }
    )


def _present(node: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in node.items() if value not in (None, "", [])}


def _rule(policy: Policy, rule: Rule) -> dict[str, Json]:
    node = _common(policy, rule)
    node |= {"assigner": rule.assigner, DUTIES[rule.kind]: [_duty(policy, duty) for duty in rule.duties]}
    return _present(node)


def _duty(policy: Policy, duty: Duty) -> dict[str, Json]:
    return _present(_common(policy, duty) | {"consequence": [_duty(policy, inner) for inner in duty.consequences]})


def _common(policy: Policy, rule: Rule | Duty) -> dict[str, Json]:
    action: Json = "use" if rule.action == terms.USE else rule.action
    if hung := [link.whole for link in policy.included if link.part == rule.action]:
        action = {"@id": rule.action, "includedIn": hung[0]}
    if rule.refined.action:
        action = {"rdf:value": action, "refinement": _constraints(rule.refined.action)}
    return {
        "action": action,
        "constraint": _constraints(rule.constraints),
        "target": _entity(policy, rule.target, "AssetCollection", rule.refined.target),
        "assignee": _entity(policy, rule.assignee, "PartyCollection", rule.refined.assignee),
    }


def _entity(policy: Policy, id: str | None, kind: str, refinements: Sequence[AnyConstraint]) -> Json:
    groups: Json = [link.whole for link in policy.parts if link.part == id]
    if id is None or not (refinements or groups):
        return id
    node: dict[str, Json] = {"@type": kind} if refinements else {}
    return _present(node | {"@id": id, "partOf": groups, "refinement": _constraints(refinements)})


def _constraints(parts: Sequence[AnyConstraint]) -> list[Json]:
    return [_constraint(part) for part in parts]


def _constraint(part: AnyConstraint) -> dict[str, Json]:
    if isinstance(part, LogicalConstraint):
        inner: Json = _constraints(part.parts)
        return {part.logic.value: inner}
    name = terms.bare(part.operator)
    node: dict[str, Json] = {
        "leftOperand": part.left,
        "operator": name if name in terms.OPERATORS else part.operator,
        "rightOperand": part.right,
    }
    more = {"unit": part.unit, "dataType": part.datatype, "status": part.status, terms.HDC + "since": part.since}
    return node | _present(more)
