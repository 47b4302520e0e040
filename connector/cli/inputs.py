"""The three files of `policy evaluate` and `policy decide`: a policy with its parents, a request, a state of the world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from connector.errors import InvalidFiles, OperatorError, Problem
from connector.odrl import evaluate, graph, read, sotw
from connector.odrl.check import check as enforced
from connector.odrl.evaluate import Compiled
from connector.odrl.graph import Graph
from connector.odrl.inherit import inherited
from connector.odrl.model import Policy
from connector.odrl.sotw import Asked
from connector.odrl.world import World

YAML, RDF = (".yaml", ".yml"), (".ttl", ".jsonld", ".json")


@dataclass(frozen=True, slots=True)
class Inputs:
    policies: list[Compiled]
    asked: Asked
    world: World


def load(policy: Path, request: Path, state: Path, *, claimed: bool) -> Inputs:
    """Return the three inputs ready to decide.

    `claimed` counts memberships that policy and request state too, as the compliance report does.

    Raises:
        InvalidFiles: one of them cannot be read, or says what is not understood; every problem.
    """
    asks, facts = rdf(request), rdf(state)
    found = policies(policy)
    compiled = [evaluate.compile_whole(one) for one in found]
    own = {link.part for one in found for link in one.included}
    parts = [*sotw.parts(asks), *(part for one in found for part in one.parts)] if claimed else []
    if claimed and not policy.name.endswith(YAML):
        parts += sotw.parts(rdf(policy))
    world = sotw.world(facts, parts)
    return Inputs(compiled, sotw.asked(asks, world.now, own), world)


def problems(file: Path) -> list[Problem]:
    """Return what is wrong with a policy file: errors, and as warnings what this connector would not agree to."""
    try:
        found = policies(file)
    except InvalidFiles as error:
        return list(error.problems)
    except OperatorError as error:
        return [Problem("file", str(error), str(file))]
    wrong = [problem for one in found for problem in one.problems]
    beyond = [] if wrong else [replace(problem, level="warning") for one in found for problem in enforced(one)]
    return wrong + [replace(problem, file=problem.file or str(file)) for problem in beyond]


def policies(file: Path) -> list[Policy]:
    """Return the policies in `file` that no other one there inherits from, each with the rules of its parents."""
    here = _read(file)
    if not here:
        raise InvalidFiles((Problem("odrl-shape", "there is no ODRL policy here", str(file), 1, 1),))
    parents = {name for one in here for name in one.inherits}
    first = [one for one in here if one.uid not in parents] or here
    nearby = {one.uid: one for one in (*_nearby(file, needed=bool(parents - {one.uid for one in here})), *here)}
    return [inherited(one, nearby.get) for one in first]


def _nearby(file: Path, *, needed: bool) -> Iterator[Policy]:
    """Yield the policies of the same folder; what cannot be read there is nobody's parent."""
    for other in sorted(file.parent.iterdir()) if needed else ():
        if other.suffix in (*YAML, *RDF) and other.name != file.name and other.is_file():
            try:
                yield from _read(other)
            except OperatorError:
                continue


def _read(file: Path) -> list[Policy]:
    if file.name.endswith(YAML):
        from connector.files import documents

        document = documents.read(_bytes(file), str(file))
        return [read.policy(document.value, file=document.file, places=document.nodes.places, whole=True)]
    found = rdf(file)
    trees = [graph.tree(found, node) for node in found.typed(*graph.POLICIES)]
    return [read.policy(value, file=found.file, places=places, whole=True) for value, places in trees]


def rdf(file: Path) -> Graph:
    """Return what a Turtle or JSON-LD file states; its name says which it is, else its content."""
    from connector.files import documents
    from connector.jsonld import rdf as syntax

    data = _bytes(file)
    if syntax.is_turtle(file.name, data):
        return syntax.from_turtle(data, str(file))
    document = documents.read(data, str(file))
    return syntax.from_jsonld(document.value, document.file, document.nodes.places)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise OperatorError(f"{file}: {error.strerror}. Name a file that can be read") from error
