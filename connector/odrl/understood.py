"""What of a policy nobody could decide: terms that do not exist, values that cannot be compared (odrl.md 4-6, 24-28).

The whole language is taken here. What of it this connector also *enforces*, so that it may agree to it, is for `check`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from connector.errors import Problem
from connector.odrl.actions import actions
from connector.odrl.check import MAX_PROBLEMS, numbered, problem, profiles
from connector.odrl.language import FIRST_USE, LeftOperand, Source, left_operands, resolve
from connector.odrl.model import AnyConstraint, Constraint, Duty, LogicalConstraint, Place, Policy, Rule, RuleKind
from connector.odrl.terms import HDC, ODRL, OPERATORS, PROFILE, bare, nearest, short
from connector.odrl.values import SETS, literals
from connector.odrl.write import DUTIES

USAGE = ODRL + "policyUsage"
UNITS = frozenset({"payAmount", "count", "absoluteSize", "resolution"})


def understood(policy: Policy) -> list[Problem]:
    """Return what in `policy` cannot be decided; of very much, the beginning."""
    rules = (found for rule, path in numbered(policy) for found in _rule(policy, rule, path))
    return list(islice(chain(profiles(policy), _own_actions(policy), rules), MAX_PROBLEMS))


def _own_actions(policy: Policy) -> Iterator[Problem]:
    known = actions().above
    own = {link.part for link in policy.included}
    for narrow, wide in ((link.part, link.whole) for link in policy.included):
        if wide not in known and wide not in own:
            yield Problem(
                "odrl-action", f'"{short(narrow)}" is included in "{short(wide)}", which is no action', path="action"
            )


def _rule(policy: Policy, rule: Rule, path: str) -> Iterator[Problem]:
    if rule.action:
        yield from _action(policy, rule.action, rule.place, path)
    yield from _parts(policy, rule, path, direct=rule.kind is RuleKind.PERMISSION)
    for duty in rule.duties:
        yield from _duty(policy, duty, f"{path}.{DUTIES[rule.kind]}")


def _duty(policy: Policy, duty: Duty, path: str) -> Iterator[Problem]:
    if duty.action:
        yield from _action(policy, duty.action, duty.place, path)
    yield from _parts(policy, duty, path, direct=False)
    for consequence in duty.consequences:
        yield from _duty(policy, consequence, f"{path}.consequence")


def _parts(policy: Policy, of: Rule | Duty, path: str, *, direct: bool) -> Iterator[Problem]:
    for index, part in enumerate(of.constraints):
        yield from _constraint(policy, part, f"{path}.constraint[{index}]", direct=direct, timing=isinstance(of, Duty))
    for part in (*of.refined.action, *of.refined.target, *of.refined.assignee):
        yield from _constraint(policy, part, f"{path}.refinement", direct=False, timing=False)


def _action(policy: Policy, action: str, place: Place | None, path: str) -> Iterator[Problem]:
    """An action of a profile says where it hangs (12)."""
    known = actions()
    if known.same.get(action, action) in known.above or any(link.part == action for link in policy.included):
        yield from _profiled(policy, action, place, path)
        return
    if action.startswith(ODRL) or ":" not in action:
        hint = nearest(action, map(bare, known.above))
        yield problem("odrl-action", f'unknown action "{short(action)}"{hint}', place, path)
        return
    message = f'the action "{short(action)}" says not where it hangs; write its odrl:includedIn beside it'
    yield problem("odrl-action", message, place, path)


def _profiled(policy: Policy, term: str, place: Place | None, path: str) -> Iterator[Problem]:
    if term.startswith(HDC) and PROFILE not in policy.profile:
        message = f'"{short(term)}" belongs to {PROFILE}; write profile: {PROFILE}'
        yield problem("odrl-profile", message, place, path, level="warning")


def _constraint(policy: Policy, part: AnyConstraint, path: str, *, direct: bool, timing: bool) -> Iterator[Problem]:
    if isinstance(part, LogicalConstraint):
        for index, inner in enumerate(part.parts):
            yield from _constraint(policy, inner, f"{path}.{part.logic}[{index}]", direct=False, timing=timing)
        return
    yield from (problem(code, message, part.place, path) for code, message in faults(part, direct=direct, timing=timing))
    yield from _profiled(policy, part.left, part.place, path)


def due_by(part: Constraint) -> bool:
    """Return whether `part` says when a duty is due, before, with or after the use, rather than whether."""
    rights = [text for text, _ in literals(part)]
    return resolve(part.left) == ODRL + "event" and [_usage(text) for text in rights] == [USAGE]


def _usage(text: str) -> str:
    return ODRL + bare(text) if bare(text) == "policyUsage" else text


def faults(constraint: Constraint, *, direct: bool, timing: bool) -> Iterable[tuple[str, str]]:
    """Return code and message of everything about `constraint` that cannot be decided."""
    operand, name = left_operands().get(resolve(constraint.left)), bare(constraint.operator)
    if operand is None:
        known = [one.name for one in left_operands().values()]
        message = f'unknown left operand "{short(constraint.left)}"{nearest(short(constraint.left), known)}'
        return [("odrl-left-operand", message)]
    if name not in OPERATORS:
        return [("odrl-operator", f'unknown operator "{short(constraint.operator)}"{nearest(name, OPERATORS)}')]
    if name not in operand.kind.operators:
        fitting = ", ".join(operand.kind.operators)
        return [("odrl-operator", f'the operator "{name}" does not fit "{operand.name}"; it takes {fitting}')]
    if timing and due_by(constraint):
        return []
    return [*_unfit(operand, constraint, direct), *_unfit_right(operand, name, constraint)]


def _unfit(operand: LeftOperand, constraint: Constraint, direct: bool) -> Iterator[tuple[str, str]]:
    if constraint.unit is not None and operand.name not in UNITS:
        yield "odrl-unit", f'"{operand.name}" takes no unit; leave it out'
    if constraint.since is not None and (operand.name != "elapsedTime" or constraint.since != FIRST_USE):
        yield "odrl-term", '"hdc:since" stands on elapsedTime and says hdc:firstUse'
    if operand.source is Source.FILTER and not direct:
        message = f'"{operand.name}" filters rows; it stands directly on a permission, not in a logical constraint'
        yield "odrl-left-operand", message


def _unfit_right(operand: LeftOperand, name: str, constraint: Constraint) -> Iterator[tuple[str, str]]:
    given = literals(constraint)
    if not given:
        yield "odrl-right-operand", f'the right operand of "{operand.name}" is an empty list'
        return
    if len(given) > 1 and name not in SETS:
        yield "odrl-right-operand", f'"{name}" takes one value; use isAnyOf, or an "or" of several constraints'
        return
    try:
        operand.rights(constraint)
    except ValueError as error:
        yield "odrl-right-operand", str(error)
