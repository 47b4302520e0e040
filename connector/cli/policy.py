"""`connector policy`: what a policy says and does, before anything depends on it."""

from __future__ import annotations

import json as jsonlib
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from connector.cli import inputs, output
from connector.cli.exits import Exit
from connector.cli.output import JsonOption, problem_json
from connector.odrl import evaluate
from connector.odrl.decision import Decision
from connector.odrl.kinds import Plain
from connector.odrl.language import LeftOperand, left_operands, resolve
from connector.odrl.model import Json
from connector.odrl.operands import OPERANDS, State
from connector.odrl.reasons import Reason

app = typer.Typer(help="What a policy says, and what it decides.", no_args_is_help=True)

PolicyOption = Annotated[Path, typer.Option("--policy", metavar="FILE", help="Turtle, JSON-LD or YAML.")]
RequestOption = Annotated[Path, typer.Option("--request", metavar="FILE", help="Turtle or JSON-LD.")]
StateOption = Annotated[Path, typer.Option("--state", metavar="FILE", help="The state of the world: Turtle or JSON-LD.")]


class Syntax(StrEnum):
    TURTLE = "turtle"
    JSONLD = "jsonld"


@app.command("evaluate")
def evaluate_(
    policy: PolicyOption,
    request: RequestOption,
    state: StateOption,
    report: Annotated[bool, typer.Option("--report", help="Print the compliance report.")] = False,
    syntax: Annotated[Syntax, typer.Option("--as", help="How the report is written.")] = Syntax.TURTLE,
) -> None:
    """Evaluate a policy for a request: a compliance report of every rule and premise (exit 0 also when it denies)."""
    from connector.jsonld import rdf
    from connector.odrl import report as reports

    given = inputs.load(policy, request, state, claimed=True)
    decisions = [
        (one.policy.uid, evaluate.decide(one, given.asked.request, State(world=given.world))) for one in given.policies
    ]
    if not report:
        for uid, decision in decisions:
            print(f"{uid}: {'permit' if decision.allowed else 'deny'}: {decision.why()}")
        return
    statements = [part for uid, made in decisions for part in reports.report(uid, given.asked, given.world, made)]
    if syntax is Syntax.TURTLE:
        print(rdf.to_turtle(statements, reports.PREFIXES), end="")
    else:
        print(jsonlib.dumps(reports.as_json(statements), indent=2, ensure_ascii=False))


@app.command()
def decide(policy: PolicyOption, request: RequestOption, state: StateOption, json: JsonOption = False) -> None:
    """Decide a request for data, as JSON: exit 0 permit, 3 deny, 2 something cannot be read or is refused."""
    given = inputs.load(policy, request, state, claimed=False)
    made = evaluate.decide_all(given.policies, given.asked.request, State(world=given.world))
    print(jsonlib.dumps(as_json(made), indent=2, ensure_ascii=False))
    if not made.allowed:
        raise typer.Exit(Exit.REFUSED)


def as_json(made: Decision) -> dict[str, Json]:
    """Return a decision in the form that enforcement takes."""
    return {
        "decision": "permit" if made.allowed else "deny",
        "because": [_reason(reason) for reason in made.because],
        "duties": [
            {
                "rule": due.rule,
                "duty": due.duty.duty.uid,
                "action": due.duty.duty.action,
                "when": due.duty.due.value,
            }
            for due in made.duties()
        ],
        "filters": [
            {"rule": one.rule, "rows": None if one.rows is None else list(one.rows), "columns": _columns(one.columns)}
            for one in made.filters()
        ],
        "unknown": list[Json](made.unknown_constraints()),
    }


def _columns(columns: tuple[str, ...] | None) -> Json:
    return None if columns is None else list(columns)


def _reason(reason: Reason) -> Json:
    left: Json = None if reason.left is None else str(reason.left)
    right, constraint = reason.right, reason.asked.constraint
    if constraint is not None:
        operand = left_operands()[resolve(constraint.left)]
        right = _one_or_list([_plain(operand, value) for value in operand.rights(constraint)])
        if isinstance(reason.left, tuple):
            left = _one_or_list([_plain(operand, value) for value in reason.left])
    return {
        "rule": reason.asked.uid or reason.rule,
        "kind": reason.asked.kind.value,
        "premise": reason.premise,
        "left": left,
        "operator": reason.operator,
        "right": right,
        "file": reason.place.file if reason.place is not None else None,
        "line": reason.place.line if reason.place is not None else None,
        "text": reason.text,
    }


def _one_or_list(values: list[Json]) -> Json:
    return values[0] if len(values) == 1 else values


def _plain(operand: LeftOperand, value: Plain) -> Json:
    if isinstance(value, int):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return operand.kind.iri(value)


@app.command()
def check(
    path: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="A policy file, or a folder of them.")],
    json: JsonOption = False,
) -> None:
    """Check policies: everything that is wrong, where, and what to write instead (exit 2 if anything is)."""
    found = [problem for file in _files(path) for problem in inputs.problems(file)]
    errors = [problem for problem in found if problem.level == "error"]
    summary = f"{path}: {len(errors)} errors, {len(found) - len(errors)} warnings" if found else f"{path}: all is good"
    output.result({"ok": not errors, "problems": [problem_json(p) for p in found]}, "\n".join([*map(str, found), summary]))
    if errors:
        raise typer.Exit(Exit.USAGE)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix in (*inputs.YAML, *inputs.RDF) and file.is_file())


@app.command()
def vocabulary(json: JsonOption = False) -> None:
    """List the left operands: their values, where these come from, how far they can be proven, and what is enforced here."""
    rows = [
        {
            "name": one.name,
            "iri": one.iri,
            "operators": list(one.kind.operators),
            "source": one.source.value,
            "proof": one.proof.value,
            "enforced": one.iri in OPERANDS,
        }
        for one in left_operands().values()
    ]
    cells = [
        [one.name, " ".join(one.kind.operators), one.source.value, one.proof.value, "yes" if one.iri in OPERANDS else ""]
        for one in left_operands().values()
    ]
    output.result(rows, lambda: output.table(["left operand", "operators", "value from", "proof", "enforced"], cells, ""))
