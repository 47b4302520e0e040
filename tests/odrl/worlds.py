"""Policies, requests and states in Turtle for these tests, and short ways to decide them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.jsonld import rdf
from connector.odrl import evaluate, graph, read, report, sotw
from connector.odrl.decision import Decision
from connector.odrl.graph import Graph
from connector.odrl.inherit import inherited
from connector.odrl.model import Policy
from connector.odrl.operands import State

PREFIXES = """
@prefix odrl: <http://www.w3.org/ns/odrl/2/> . @prefix report: <https://w3id.org/force/compliance-report#> .
@prefix dct: <http://purl.org/dc/terms/> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix ex: <http://example.org/> . @prefix sotw: <https://w3id.org/force/sotw#> . @prefix hdc: <urn:hdc:> .
@prefix dpv: <https://w3id.org/dpv#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> . @prefix : <urn:ex:> .
@prefix country: <http://publications.europa.eu/resource/authority/country/> . @prefix loc: <https://w3id.org/dpv/loc#> .
@prefix ehds: <https://w3id.org/dpv/legal/eu/ehds#> .
"""
CLOCK = '<http://example.com/request/currentTime> dct:issued "2026-06-15T08:00:00Z"^^xsd:dateTime .'


def turtle(text: str, file: str = "file.ttl") -> Graph:
    return rdf.from_turtle((PREFIXES + text).encode(), file)


def policies(text: str) -> list[Policy]:
    """Return the policies of a file, each with its parents'."""
    found = turtle(text, "policy.ttl")
    read_ = [read.policy(value, file="policy.ttl", places=places, whole=True) for value, places in (
        graph.tree(found, node) for node in found.typed(*graph.POLICIES)
    )]  # fmt: skip
    by_name = {one.uid: one for one in read_}
    return [inherited(one, by_name.get) for one in read_]


def policy(rules: str, kind: str = "odrl:Set", more: str = "") -> str:
    """Return a policy with what `rules` says of `:policy`."""
    return f":policy a {kind} ; odrl:profile <urn:hdc:profile> {more} ; {rules} ."


def permission(more: str = "", action: str = "odrl:use") -> str:
    return f"odrl:permission [ odrl:action {action} {more} ]"


def prohibition(more: str = "", action: str = "odrl:use") -> str:
    return f"odrl:prohibition [ odrl:action {action} {more} ]"


def limit(left: str, operator: str, right: str, more: str = "") -> str:
    """Return a constraint as a blank node."""
    return f"[ odrl:leftOperand {left} ; odrl:operator odrl:{operator} ; odrl:rightOperand {right} {more} ]"


def where(*constraints: str) -> str:
    return f"; odrl:constraint {', '.join(constraints)}" if constraints else ""


def value(left: str, *rights: str) -> str:
    return f"sotw:context [ odrl:leftOperand {left} ; odrl:operator odrl:eq ; odrl:rightOperand {', '.join(rights)} ]"


def asking(action: str = "odrl:use", target: str = ":asset", assignee: str = ":north", more: str = "") -> str:
    asked = f"odrl:action {action} ; odrl:target {target} ; odrl:assignee {assignee} {more}"
    return f":request a odrl:Request ; odrl:uid :request ; odrl:permission :asked . :asked a odrl:Permission ; {asked} ."


def state(*facts: str, clock: str = CLOCK, **more: str) -> str:
    """Return a state; `more` are the values of every request (`general`) and of the party (`party`)."""
    general = f":state a ex:Sotw {'; ' + more['general'] if 'general' in more else ''} ."
    party = f":north {more['party']} ." if "party" in more else ""
    return "\n".join([general, party, clock, *facts])


def decide(written: str, asks: str = "", facts: str = "") -> Decision:
    """Return what `policy decide` decides."""
    world = sotw.world(turtle(facts or state(), "state.ttl"))
    found = policies(written)
    own = {link.part for one in found for link in one.included}
    asked = sotw.asked(turtle(asks or asking(), "request.ttl"), world.now, own)
    return evaluate.decide_all([evaluate.compile_whole(one) for one in found], asked.request, State(world=world))


def permits(written: str, asks: str = "", facts: str = "") -> bool:
    return decide(written, asks, facts).allowed


def reported(written: str, asks: str = "", facts: str = "") -> list[Mapping[str, Any]]:
    """Return the rule reports of `policy evaluate`, in the order of the rules, as JSON-LD nodes with theirs inside."""
    asks_graph = turtle(asks or asking(), "request.ttl")
    parts = [*sotw.parts(asks_graph), *sotw.parts(turtle(written))]
    world = sotw.world(turtle(facts or state(), "state.ttl"), parts)
    asked = sotw.asked(asks_graph, world.now)
    (one,) = policies(written)
    made = evaluate.decide(evaluate.compile_whole(one), asked.request, State(world=world))
    document: Any = report.as_json(report.report(one.uid, asked, world, made))
    nodes = {node["@id"]: node for node in document["@graph"]}

    def deep(node: Any) -> Any:
        if isinstance(node, list):
            return [deep(item) for item in node]
        if isinstance(node, dict):
            inner = nodes.get(node["@id"], node) if node.keys() == {"@id"} else node
            return {name: deep(item) for name, item in inner.items()}
        return node

    root = next(node for node in document["@graph"] if "report:PolicyReport" in node["@type"])
    found: list[Mapping[str, Any]] = deep(root["report:ruleReport"])
    return found
