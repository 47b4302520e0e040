"""What a decision says: permit or deny, why, what has to be done with the use, and which filters apply (odrl.md 33-36)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from connector.odrl.actions import Due
from connector.odrl.model import AnyConstraint, Constraint, RuleKind
from connector.odrl.reasons import Reason
from connector.odrl.terms import HDC, bare
from connector.odrl.trees import DutyFound, Found, unknown
from connector.odrl.values import literals

ROWS = frozenset({HDC + "rowFilter", HDC + "subjectConsent", HDC + "subjectOptOut"})
COLUMNS = HDC + "columns"
FILTERING = frozenset({HDC + "filterRows", HDC + "selectColumns", HDC + "mask"})


@dataclass(frozen=True, slots=True)
class DueDuty:
    rule: str
    duty: DutyFound


@dataclass(frozen=True, slots=True)
class Filter:
    """What one permission lets through: predicates on rows, all of which hold, and columns; None: all of them."""

    rule: str
    rows: tuple[str, ...] | None
    columns: tuple[str, ...] | None


@dataclass(frozen=True)
class Decision:
    """The verdict and, for whoever asks, the premises that made it.

    `because` holds the premises of the permission that permits, of the prohibitions that forbid, or those that failed,
    nearest permission first. `unknown` names what could not be evaluated. `valid_until` is the instant from which on the
    permission no longer holds by the clock. `counted` says that uses have to be counted under this policy.
    `found` is every rule as the pass left it, `decided` those that made the verdict.
    """

    allowed: bool
    valid_until: datetime | None = None
    counted: bool = False
    found: tuple[Found, ...] = ()
    decided: tuple[Found, ...] = ()
    beyond: tuple[Reason, ...] = ()  # what decided besides the rules

    @cached_property
    def because(self) -> tuple[Reason, ...]:
        by_rule = [one.reasons() for one in self.decided]
        if not self.allowed and self.decided and self.decided[0].rule.kind is RuleKind.PERMISSION and not self.beyond:
            by_rule.sort(key=len)  # the permission that is nearest to fitting comes first
        return (*self.beyond, *(reason for reasons in by_rule for reason in reasons))

    @cached_property
    def unknown(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(reason.premise for reason in self.because if reason.satisfied is None))

    def unknown_constraints(self) -> list[str]:
        """Return every constraint whose value was not known, by its name or else its left operand's."""
        premises = (p for one in self.found for _, node in one.premises() for p in unknown(node))
        names = (p.constraint.uid or p.name for p in premises if p.constraint is not None)
        return list(dict.fromkeys(names))

    def duties(self) -> list[DueDuty]:
        """Return what is to be done with and after the use; where it is denied, what should have been done before.

        Remedies and consequences that a violation made due are among it, and allow nothing by being done (15, 16).
        """
        wanted = (Due.WITH, Due.AFTER) if self.allowed else (Due.BEFORE,)
        due = [
            DueDuty(one.rule.uid or one.name, duty)
            for one in self.decided
            if one.rule.kind is RuleKind.PERMISSION and one.fits
            for duty in one.duties
            if duty.active and duty.due in wanted and (self.allowed or duty.lacking)
        ]
        return due + [DueDuty(one.rule.uid or one.name, duty) for one in self.found for duty in one.owed()]

    def filters(self) -> list[Filter]:
        """Return the filters of the permission that permits: of that one alone, never mixed with another's (36)."""
        if not self.allowed:
            return []
        return [made for one in self.decided if (made := _filter(one)) is not None]

    def why(self) -> str:
        """Say in one sentence what decided."""
        if self.allowed:
            return f"{self.because[0].rule if self.because else 'the policy'} permits it"
        if not self.because:
            return "nothing permits it"
        first = self.because[0].rule
        return "; ".join(dict.fromkeys(reason.text for reason in self._telling() if reason.rule == first))

    def coarse(self) -> str:
        """Say to a peer which premises failed, without values and places."""
        if self.allowed:
            return "permitted"
        names = ", ".join(dict.fromkeys(reason.premise for reason in self._telling()))
        return f"the policy does not permit this request ({names})" if names else "the policy does not permit this request"

    def _telling(self) -> Sequence[Reason]:
        """Return the reasons worth saying: that a prohibition is about this action and this asker is not, if more is."""
        told = [r for r in self.because if r.asked.kind is RuleKind.PERMISSION or r.asked.constraint is not None]
        return told or self.because


def _filter(found: Found) -> Filter | None:
    rows, columns = list[str](), list[str]()
    for part in _filtering(found):
        rights = [text for text, _ in literals(part)]
        if part.left == COLUMNS:
            columns += rights
        elif part.left == HDC + "rowFilter":
            rows += rights
        else:
            rows.append(f"{part.left.replace(HDC, 'hdc:')} {bare(part.operator)} {' | '.join(rights)}")
    if not rows and not columns:
        return None
    name = found.rule.uid or found.name
    return Filter(name, tuple(dict.fromkeys(rows)) or None, tuple(dict.fromkeys(columns)) or None)


def _filtering(found: Found) -> Iterator[Constraint]:
    """Yield what narrows the data: constraints and refinements of the permission, refinements of its filtering duties."""
    parts: list[AnyConstraint] = [*found.rule.constraints, *found.rule.refined.action]
    for duty in found.duties:
        if duty.active and duty.duty.action in FILTERING:
            parts += duty.duty.refined.action
    for part in parts:
        if isinstance(part, Constraint) and (part.left in ROWS or part.left == COLUMNS):
            yield part
