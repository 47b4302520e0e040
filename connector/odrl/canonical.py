"""Terms compared by content: one form for every way to write the same policy (odrl.md 30, 41).

The form covers the rules and nothing of who, when and about what the document is: an offer and the agreement that follows
from it have one. A profile adds nothing: one that is not known is a problem. Order and repetition of rules and of and-ed
or or-ed constraints do not matter, neither does spelling; instants and numbers count by value. What the reader did not
understand is part of the form, so that such a policy is never the same as one without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime

from connector.odrl.model import AnyConstraint, Constraint, Duty, Json, Logic, LogicalConstraint, Policy, Rule
from connector.odrl.operands import OPERANDS
from connector.odrl.terms import bare, expand_curie, short
from connector.odrl.values import SETS, Value, literals


def canonical(policy: Policy) -> bytes:
    """Return the terms of `policy` in the form that is compared."""
    form: dict[str, Json] = {"rules": _unique(_rule(rule) for rule in policy.rules), **_whole(policy)}
    if policy.problems:
        form["problems"] = _unique([problem.code, problem.path, problem.message] for problem in policy.problems)
    return _dump(form).encode()


def fingerprint(policy: Policy) -> str:
    """Return `sha256:<hex>` of the terms."""
    return "sha256:" + hashlib.sha256(canonical(policy)).hexdigest()


def same_terms(one: Policy, other: Policy) -> bool:
    return canonical(one) == canonical(other)


def difference(one: Policy, other: Policy) -> list[str]:
    """Return in words what `other` lacks of `one` and what it has beyond it; nothing when the terms are the same."""
    if same_terms(one, other):
        return []
    ours, theirs = ({_dump(_rule(rule)): rule for rule in policy.rules} for policy in (one, other))
    before, after = _whole(one), _whole(other)
    lines = [f"without {describe(ours[key])}" for key in ours if key not in theirs]
    lines += [f"with {describe(theirs[key])}" for key in theirs if key not in ours]
    lines += [f"with another {name}" for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    lines += [f"not understood: {problem.message}" for policy in (one, other) for problem in policy.problems]
    return lines


def _dump(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _unique(items: Iterable[Json]) -> list[Json]:
    by_text = {_dump(item): item for item in items}
    return [by_text[text] for text in sorted(by_text)]


def _whole(policy: Policy) -> dict[str, Json]:
    """Return what a policy says beside its rules; a word that says nothing new is left out, as everywhere in the form."""
    links = {"included": policy.included, "parts": policy.parts}
    form: dict[str, Json] = {
        name: _unique([link.part, link.whole] for link in found) for name, found in links.items() if found
    }
    if policy.inherits:
        form["inherits"] = sorted(set(policy.inherits))
    return form if policy.conflict is None else form | {"conflict": policy.conflict}


def _rule(rule: Rule | Duty) -> dict[str, Json]:
    form: dict[str, Json] = {"action": rule.action, "if": _unique(_parts(Logic.AND, rule.constraints))}
    if isinstance(rule, Rule):
        form |= {"kind": rule.kind.value, "assignee": rule.assignee, "duties": _unique(map(_rule, rule.duties))}
    else:
        form |= _given(assignee=rule.assignee, consequences=_unique(map(_rule, rule.consequences)))
    refined = {
        name: _unique(_parts(Logic.AND, parts))
        for name, parts in (
            ("action", rule.refined.action),
            ("target", rule.refined.target),
            ("assignee", rule.refined.assignee),
        )
        if parts
    }
    return form | _given(target=rule.target, refined=refined)


def _given(**more: Json) -> dict[str, Json]:
    return {name: value for name, value in more.items() if value}


def _parts(logic: Logic, parts: Iterable[AnyConstraint]) -> Iterable[Json]:
    """Yield the forms of `parts`, those of a nested constraint of the same logic among them."""
    for part in parts:
        if isinstance(part, LogicalConstraint) and _joins(part) in (logic, None):
            yield from _parts(logic, part.parts)
        else:
            yield _constraint(part)


def _joins(part: LogicalConstraint) -> Logic | None:
    """Return how `part` joins; None when it has one part only and so joins nothing."""
    return part.logic if len(part.parts) != 1 else None


def _constraint(part: AnyConstraint) -> Json:
    if isinstance(part, Constraint):
        return _atomic(part)
    if part.logic in (Logic.AND, Logic.OR):
        parts = _unique(_parts(part.logic, part.parts))
        return parts[0] if len(parts) == 1 else {part.logic.value: parts}
    forms: list[Json] = [_constraint(inner) for inner in part.parts]
    return {part.logic.value: forms if part.logic is Logic.AND_SEQUENCE else sorted(forms, key=_dump)}


def _atomic(part: Constraint) -> Json:
    rights = _rights(part)
    form: dict[str, Json] = {
        "left": part.left,
        "operator": part.operator,
        "right": _unique(rights) if bare(part.operator) in SETS else rights,
    }
    return form | _given(unit=part.unit, since=part.since, status=part.status)


def _rights(part: Constraint) -> list[Json]:
    """Return the right operand by value where the left operand is ours, else as text with its type."""
    operand = OPERANDS.get(part.left)
    if operand is not None:
        try:
            return [_value(right) for right in operand.rights(part)]
        except ValueError:
            pass  # refused by `check`; only told apart here
    return [[expand_curie(text), datatype] for text, datatype in literals(part)]


def _value(value: Value) -> Json:
    return value.isoformat() if isinstance(value, datetime) else value


# --- in words --------------------------------------------------------------------------------------------------------


def describe(rule: Rule) -> str:
    """Say a rule in one line: `permission to use if purpose isA dpv:ScientificResearch and count lteq 3`."""
    line = f"{rule.kind} to {short(rule.action)}"
    if rule.assignee is not None:
        line += f" for {rule.assignee}"
    if rule.constraints:
        line += " if " + " and ".join(map(_described, rule.constraints))
    duties = ", ".join(short(duty.action) for duty in rule.duties)
    return f"{line} with the duty to {duties}" if duties else line


def _described(part: AnyConstraint) -> str:
    if isinstance(part, LogicalConstraint):
        joined = f" {part.logic} ".join(map(_described, part.parts))
        return f"({joined})" if len(part.parts) > 1 else joined
    rights = " | ".join(short(text) for text, _ in literals(part))
    return f"{short(part.left)} {short(part.operator)} {rights}"
