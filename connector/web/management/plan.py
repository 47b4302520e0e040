"""The evaluation plan of a policy: each rule and constraint that is evaluated, in EDC's shape.

EDC filters out constraints that no function is bound to; here nothing is ever filtered, so `isFiltered` is always false.
"""

from __future__ import annotations

from connector.odrl.model import AnyConstraint, Constraint, Logic, Policy, Rule, RuleKind
from connector.web.management.jsonld import Node

STEPS = {
    Logic.AND: "AndConstraintStep",
    Logic.AND_SEQUENCE: "AndConstraintStep",
    Logic.OR: "OrConstraintStep",
    Logic.XONE: "XoneConstraintStep",
}


def of(policy: Policy, scope: str) -> Node:
    return {
        "@type": "PolicyEvaluationPlan",
        "policyScope": scope,
        "preValidators": [],
        "permissionSteps": _steps(policy, RuleKind.PERMISSION, "PermissionStep"),
        "prohibitionSteps": _steps(policy, RuleKind.PROHIBITION, "ProhibitionStep"),
        "obligationSteps": _steps(policy, RuleKind.OBLIGATION, "DutyStep"),
        "postValidators": [],
    }


def _steps(policy: Policy, kind: RuleKind, name: str) -> list[Node]:
    return [_rule(rule, name) for rule in policy.rules if rule.kind is kind]


def _rule(rule: Rule, name: str) -> Node:
    duties = [_step("DutyStep", ruleFunctions=[], constraintSteps=_constraints(d.constraints)) for d in rule.duties]
    return _step(name, ruleFunctions=[], constraintSteps=_constraints(rule.constraints), dutySteps=duties)


def _constraints(constraints: tuple[AnyConstraint, ...]) -> list[Node]:
    return [_constraint(constraint) for constraint in constraints]


def _constraint(constraint: AnyConstraint) -> Node:
    if isinstance(constraint, Constraint):
        operator = constraint.operator.rsplit("/", 1)[-1].upper()
        return _step("AtomicConstraintStep", functionParams=[constraint.left, operator, str(constraint.right)])
    return {"@type": STEPS[constraint.logic], "constraintSteps": _constraints(constraint.parts)}


def _step(name: str, **more: object) -> Node:
    return {"@type": name, "isFiltered": False, "filteringReasons": [], **more}  # type: ignore[dict-item]
