"""`inheritFrom`: a policy with the rules of its parents, as they were written (odrl.md 5).

A parent is a policy of that name in the same file or folder, never fetched. The merged policy has one conflict strategy
where all of them say the same, else the standard's `invalid`: where a permission meets a prohibition, nothing is permitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from connector.errors import Problem
from connector.odrl.model import Policy, Rule

Find = Callable[[str], Policy | None]


def inherited(policy: Policy, find: Find) -> Policy:
    """Return `policy` with all rules of its parents, transitively; a missing parent or a cycle is among its problems."""
    parents: dict[str, Policy] = {}
    problems = list(policy.problems)
    _collect(policy, find, parents, (policy.uid,), problems)
    if not parents and not policy.inherits:
        return policy
    family = [policy, *parents.values()]
    strategies = {one.conflict or "invalid" for one in family}
    return replace(
        policy,
        rules=(*policy.rules, *(rule for one in parents.values() for rule in map(_of(one, policy), one.rules))),
        conflict=strategies.pop() if len(strategies) == 1 else "invalid",
        profile=tuple(dict.fromkeys(name for one in family for name in one.profile)),
        included=tuple(dict.fromkeys(pair for one in family for pair in one.included)),
        parts=tuple(dict.fromkeys(pair for one in family for pair in one.parts)),
        problems=tuple(problems + [problem for one in parents.values() for problem in one.problems]),
    )


def _collect(policy: Policy, find: Find, parents: dict[str, Policy], line: tuple[str, ...], problems: list[Problem]) -> None:
    for name in policy.inherits:
        place = next((rule.place for rule in policy.rules if rule.place is not None), None)
        file = place.file if place is not None else None
        if name in line:
            message = f"{' inherits from '.join((*line, name))}: a circle has no first policy; take one of them out"
            problems.append(Problem("odrl-inherit", message, file, path="inheritFrom"))
            continue
        parent = parents.get(name) or find(name)
        if parent is None:
            message = f"inherits from {name}, which is no policy of this file or folder; put it there, nothing is fetched"
            problems.append(Problem("odrl-inherit", message, file, path="inheritFrom"))
        else:
            parents[name] = parent
            _collect(parent, find, parents, (*line, name), problems)


def _of(parent: Policy, child: Policy) -> Callable[[Rule], Rule]:
    """Return what makes a rule of `parent` mean the same within `child`: it keeps the target and parties it had."""

    def moved(rule: Rule) -> Rule:
        return replace(
            rule,
            target=rule.target or parent.target,
            assigner=rule.assigner or parent.assigner,
            assignee=rule.assignee or parent.assignee,
        )

    return moved
