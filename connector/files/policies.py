"""`policies/*.yaml`, `*.yml` and `*.jsonld`: ODRL policies, each under its file's name and its uid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from connector.dsp.offering import PolicyDefinition
from connector.errors import InvalidFiles, Problem
from connector.files.documents import Document
from connector.odrl import evaluate, read
from connector.odrl.model import PolicyKind
from connector.odrl.read import Path

UID = ("uid", "@id")
SUFFIXES = (".yaml", ".yml", ".jsonld")


def definition(document: Document, name: str) -> PolicyDefinition:
    """Return the policy definition in `document`; its id is the policy's uid, else `name`, the file's stem.

    Raises:
        InvalidFiles: with everything that is not understood: a policy that cannot be enforced is not read.
    """
    policy = read.policy(document.value, file=document.file, places=document.nodes.places)
    if policy.kind is PolicyKind.AGREEMENT:
        message = "is an agreement, which is between two; write @type: Set or Offer"
        raise InvalidFiles((document.problem("policy-kind", message, ("@type",)),))
    named = policy if policy.uid else replace(policy, uid=name)
    try:
        evaluate.compile(named)
    except InvalidFiles as error:
        raise InvalidFiles(tuple(_placed(problem, document) for problem in error.problems)) from error
    return PolicyDefinition(named.uid, named, origin=document.file)


def names(definitions: Iterable[tuple[str, Document, PolicyDefinition]], problems: list[Problem]) -> dict[str, str]:
    """Return each name a policy may be called by with the definition's id; a name that two policies have is a problem."""
    found: dict[str, str] = {}
    files: dict[str, str] = {}
    for name, document, made in definitions:
        for one in dict.fromkeys((made.id, name)):
            if one in found:
                message = f"the policy name {one!r} is taken by {files[one]}; choose another uid or file name"
                problems.append(document.problem("policy-twice", message, _uid(document)))
            else:
                found[one], files[one] = made.id, document.file
    return found


def uids(document: Document) -> set[str]:
    """Return what the document calls itself, be the rest of it as it may."""
    value = document.value
    given = [value.get(name) for name in UID] if isinstance(value, Mapping) else []
    return {uid for uid in given if isinstance(uid, str)}


def _uid(document: Document) -> Path:
    return next(((name,) for name in UID if (name,) in document.nodes.places), ())


def _placed(problem: Problem, document: Document) -> Problem:
    if problem.file is not None and problem.line is not None:
        return problem
    line, column = document.nodes.places.get((), (1, 1))
    return replace(problem, file=document.file, line=problem.line or line, column=problem.column or column)
