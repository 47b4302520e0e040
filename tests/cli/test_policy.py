"""`connector policy`: the three files in, a decision or a report out, and the exit code that a script reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from connector.cli.exits import exit_code
from connector.cli.policy import app
from connector.errors import ConnectorError, InvalidFiles
from connector.jsonld import rdf
from connector.odrl.graph import Graph, Term
from connector.odrl.sotw import REPORT
from tests.odrl.worlds import PREFIXES, asking, limit, permission, policy, prohibition, state, value, where

COUNTRY = "http://publications.europa.eu/resource/authority/country/"
EUROPEAN = where(limit("odrl:spatial", "isPartOf", "loc:EU"))
DANISH = policy(
    f"odrl:permission :p ; {prohibition(action='odrl:distribute')} . :p odrl:action odrl:use {EUROPEAN} ; "
    "odrl:duty [ odrl:uid :d ; odrl:action odrl:delete ]"
)
IN_DENMARK = state(party=value("odrl:spatial", "country:DNK"))
AS_JSON = {
    "@context": {"o": "http://www.w3.org/ns/odrl/2/", "ex": "urn:ex:"},
    "@id": "ex:policy",
    "@type": "o:Set",
    "o:permission": {
        "@id": "ex:p",
        "o:action": {"@id": "o:use"},
        "o:constraint": {
            "o:leftOperand": {"@id": "o:spatial"},
            "o:operator": {"@id": "o:isPartOf"},
            "o:rightOperand": {"@id": "https://w3id.org/dpv/loc#EU"},
        },
        "o:duty": {"o:action": {"@id": "o:delete"}},
    },
    "o:prohibition": {"o:action": {"@id": "o:distribute"}},
}


def run(folder: Path, command: str, written: str = DANISH, asks: str = "", facts: str = IN_DENMARK, *more: str) -> Result:
    for name, text in (("p.ttl", written), ("r.ttl", asks or asking()), ("s.ttl", facts)):
        (folder / name).write_text(PREFIXES + text)
    return files(folder, command, "p.ttl", *more)


def files(folder: Path, command: str, name: str, *more: str) -> Result:
    given = ["--policy", str(folder / name), "--request", str(folder / "r.ttl"), "--state", str(folder / "s.ttl")]
    return CliRunner().invoke(app, [command, *given, *more])


def test_a_permit_says_why_and_what_is_to_be_done(tmp_path: Path) -> None:
    done = run(tmp_path, "decide")
    made: dict[str, Any] = json.loads(done.stdout)
    assert (done.exit_code, made["decision"]) == (0, "permit")
    assert list(made) == ["decision", "because", "duties", "filters", "unknown"]
    spatial = next(reason for reason in made["because"] if reason["premise"] == "spatial")
    assert spatial == {
        "rule": "urn:ex:p", "kind": "permission", "premise": "spatial", "left": COUNTRY + "DNK", "operator": "isPartOf",
        "right": "https://w3id.org/dpv/loc#EU", "file": str(tmp_path / "p.ttl"), "line": spatial["line"],
        "text": spatial["text"],
    }  # fmt: skip
    (duty,) = made["duties"]
    assert duty == {
        "rule": "urn:ex:p",
        "duty": duty["duty"],
        "action": "http://www.w3.org/ns/odrl/2/delete",
        "when": "after",
    }


def test_a_denial_ends_with_3_and_names_the_premise(tmp_path: Path) -> None:
    done = run(tmp_path, "decide", facts=state())
    made = json.loads(done.stdout)
    assert (done.exit_code, made["decision"], made["unknown"]) == (3, "deny", ["spatial"])
    assert [(reason["premise"], reason["left"]) for reason in made["because"]] == [("spatial", None)]
    assert run(tmp_path, "decide", asks=asking("odrl:distribute")).exit_code == 3


@pytest.mark.parametrize(
    "written, asks, facts",
    [
        (policy(permission(where(limit(":age", "gt", "18")))), asking(), state()),
        ("this is no Turtle", asking(), state()),
        (DANISH, asking("odrl:unheard"), state()),
        (DANISH, asking(), state(general=value(":unknown", "1"))),
        ("", asking(), state()),
        (DANISH, "", state()),
    ],
)
def test_what_cannot_be_read_or_is_refused_ends_with_2_and_the_line(
    tmp_path: Path, written: str, asks: str, facts: str
) -> None:
    for command in ("decide", "evaluate"):
        done = run(tmp_path, command, written, asks or ":r a odrl:Request .", facts)
        assert isinstance(done.exception, ConnectorError)
        assert exit_code(done.exception) == 2
        assert isinstance(done.exception, InvalidFiles)
        assert all(problem.file and problem.line for problem in done.exception.problems)


def test_a_policy_in_json_ld_is_the_same_policy(tmp_path: Path) -> None:
    turtle = json.loads(run(tmp_path, "decide").stdout)
    (tmp_path / "p.jsonld").write_text(json.dumps(AS_JSON, indent=2))
    done = files(tmp_path, "decide", "p.jsonld")
    made = json.loads(done.stdout)
    assert made["decision"] == turtle["decision"]
    assert [(r["rule"], r["premise"], r["left"]) for r in made["because"]] == [
        (r["rule"], r["premise"], r["left"]) for r in turtle["because"]
    ]
    assert next(r["line"] for r in made["because"] if r["premise"] == "spatial") == 13


def test_the_report_is_turtle_or_json_ld_and_the_same_each_time(tmp_path: Path) -> None:
    first, again = (run(tmp_path, "evaluate", DANISH, "", IN_DENMARK, "--report") for _ in range(2))
    assert first.exit_code == 0
    assert first.stdout == again.stdout
    as_json = run(tmp_path, "evaluate", DANISH, "", IN_DENMARK, "--report", "--as", "jsonld")
    turtle = rdf.from_turtle(first.stdout.encode(), "report.ttl")
    other = rdf.from_jsonld(json.loads(as_json.stdout), "report.jsonld", {})
    assert statements(turtle) == statements(other)
    (permission_,) = turtle.typed(REPORT + "PermissionReport")
    assert turtle.names(permission_, REPORT + "activationState") == (REPORT + "Active",)


def statements(graph: Graph) -> set[tuple[str, str, Term]]:
    return {(node, name, term) for node, facts in graph.about.items() for name, terms in facts.items() for term in terms}


def test_a_parent_in_the_same_folder_is_inherited(tmp_path: Path) -> None:
    (tmp_path / "parent.ttl").write_text(PREFIXES + f":parent a odrl:Set ; {permission()} .")
    child = ":policy a odrl:Set ; odrl:inheritFrom :parent ; odrl:prohibition [ odrl:action odrl:print ] ."
    assert run(tmp_path, "decide", child).exit_code == 0
    (tmp_path / "parent.ttl").unlink()
    assert isinstance(run(tmp_path, "decide", child).exception, InvalidFiles)


def test_check_tells_what_is_wrong_from_what_is_only_not_enforced(tmp_path: Path) -> None:
    (tmp_path / "p.ttl").write_text(PREFIXES + policy(permission(action="odrl:print")))
    fine = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert (fine.exit_code, "warning odrl-action" in fine.stdout) == (0, True)
    (tmp_path / "q.yaml").write_text("permission:\n  - action: prnt\n")
    wrong = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert (wrong.exit_code, 'did you mean "print"?' in wrong.stdout) == (2, True)


def test_the_vocabulary_says_where_values_come_from_and_what_is_enforced() -> None:
    listed = CliRunner().invoke(app, ["vocabulary"]).stdout
    assert "hdc:role" in listed
    assert "counter" in listed
