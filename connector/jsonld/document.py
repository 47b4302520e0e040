"""JSON-LD documents: expand, compact, and `normalise`: any spelling of a message to its canonical compact form.

What passes the gate (`shapes`) is taken as it is, in microseconds. Everything else goes through pyld in one worker
thread, bounded in size, and is checked against the same shape. Lasting choices of that slow way:

- Terms without a mapping and ids without a scheme are kept as they were written (an outer `@vocab` that marks them, no
  base; DSP-024, DSP-026): `HttpData-PULL` stays itself, and what we do not understand of a policy reaches the policy
  reader instead of vanishing.
- A message may bring contexts of its own, but only by value or by the name of one we know, and never `@import`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import orjson

from connector.errors import Malformed, TooLarge
from connector.jsonld import contexts, older, shapes
from connector.jsonld.parse import parse, walk
from connector.odrl.model import Json

T = TypeVar("T")

MARK = contexts.MARK
BARE = {"@vocab": MARK, "@base": None}
MAX_SLOW_BYTES = 256 * 1024
MAX_SLOW_NODES = 8_000
MAX_CATALOG_NODES = 1_000_000
MAX_SLOW_CATALOG_BYTES = 4 * 1024 * 1024
MAX_SLOW_CATALOG_NODES = 100_000
MAX_CONTEXTS = 16  # `@context` entries and the names in them, in one document
MAX_TERMS = 64  # terms that contexts given by value may define, and
MAX_CONTEXT_BYTES = 16 * 1024  # their size: pyld keeps processed contexts, in which prefixes multiply their length
MAX_TYPES = 16  # of one node: each may bring a context of its own, processed on top of the one before
INLINE_BYTES = 64 * 1024  # a catalogue longer than this is read in the worker

# What is a list in the protocol even when it has one member (compaction unwraps those: DSP-024).
LISTS = frozenset(
    {"permission", "prohibition", "obligation", "duty", "constraint", "and", "or", "xone", "andSequence"}
    | {"reason", "endpointProperties", "filter", "filterExpression"}
    | {"hasPolicy", "dataset", "catalog", "service", "distribution", "servesDataset"}
)

_worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jsonld")


async def normalise(body: bytes, types: frozenset[str], namespace: str = contexts.NAMESPACE) -> dict[str, Json]:
    """Return the message in `body`, written in `namespace`, in the newest version's canonical compact form.

    Raises:
        Malformed: it is no message of one of `types`; the text names the field.
        TooLarge: nested too deep, or not canonical and larger than what is spent on such a message.
    """
    document = parse(body)
    name = document.get("@type")
    newest = namespace == contexts.NAMESPACE
    if newest and isinstance(name, str) and name in types and shapes.passes_gate(name, document):
        return document
    if len(body) > MAX_SLOW_BYTES:
        raise TooLarge(f"a message that is not in the canonical compact form must be below {MAX_SLOW_BYTES} bytes")
    return await in_worker(_normalise_slowly, document, types, namespace)


async def normalise_catalog(
    body: bytes, types: frozenset[str] = frozenset({"Catalog"}), namespace: str = contexts.NAMESPACE
) -> dict[str, Json]:
    """Return a peer's catalog (or dataset) with every list a list and all its properties kept.

    Compact documents under contexts we know are read as plain JSON (DSP-002), others by pyld.

    Raises:
        Malformed: it is no document of one of `types`.
        TooLarge: see `normalise`; a catalog may be larger.
    """
    if len(body) <= INLINE_BYTES:
        document = parse(body, max_nodes=MAX_CATALOG_NODES)
        if namespace == contexts.NAMESPACE and _is_plain_answer(document, types):
            return _plain_answer(document)
        return await in_worker(_catalog_slowly, document, types, namespace)
    return await in_worker(_catalog_from_bytes, body, types, namespace)


async def in_worker(work: Callable[..., T], *arguments: object) -> T:
    """Run JSON-LD processing off the event loop; one at a time, pyld's caches being no place for two threads."""
    return await asyncio.get_running_loop().run_in_executor(_worker, work, *arguments)


def expand(document: Json, *, vocabulary: str = MARK, max_nodes: int = MAX_SLOW_NODES) -> list[dict[str, Any]]:
    """Return the expanded form; terms without a mapping get `vocabulary`. Takes milliseconds: call it `in_worker`.

    Raises:
        Malformed: not JSON-LD, or contexts that we do not take.
        TooLarge: more values or context terms than are processed.
    """
    _refuse_what_could_harm(document, max_nodes)
    from pyld import jsonld  # heavy: imported where used

    options = {"documentLoader": contexts.load, "expandContext": {**BARE, "@vocab": vocabulary}}
    expanded: list[dict[str, Any]] = _guarded(jsonld.expand, document, options)
    return expanded


def compact(expanded: list[dict[str, Any]], names: list[str]) -> dict[str, Json]:
    """Return the compact form under the contexts `names`, lists restored and marks taken away; call it `in_worker`."""
    from pyld import jsonld

    context = [BARE, *(name + contexts.PLAIN for name in names)]
    document = _guarded(jsonld.compact, expanded, context, {"documentLoader": contexts.load, "skipExpansion": True})
    return {**_tidy({name: value for name, value in document.items() if name != "@context"}), "@context": names}


def _normalise_slowly(
    document: dict[str, Json], types: frozenset[str], namespace: str = contexts.NAMESPACE
) -> dict[str, Json]:
    names = [contexts.DSP, contexts.EDC_DSP] if _uses_edc(document, types) else [contexts.DSP]
    node = _one_node(_expanded(document, namespace))
    name = _choose_type(node, document, types, namespace)
    # DSP-006: what has no mapping is no fault and says nothing; inside policies it stays, for it may forbid something
    message = compact([{term: value for term, value in node.items() if not term.startswith(MARK)}], names)
    message["@type"] = name
    # DSP-055: with the receiver's pid it is a follow-up, whatever else was sent
    if (name == "ContractRequestMessage" and "providerPid" in message) or (
        name == "ContractOfferMessage" and "consumerPid" in message
    ):
        message.pop("callbackAddress", None)
    try:
        shapes.check(name, message)
    except Malformed:
        if document.get("@type") == name and namespace == contexts.NAMESPACE:
            shapes.check(name, document)  # the sender's own words are the better explanation
        raise
    return message


def _uses_edc(document: dict[str, Json], types: frozenset[str]) -> bool:
    named = document.get("@context")
    return "CatalogRequestMessage" in types or (isinstance(named, list) and contexts.EDC_DSP in named)


def _expanded(document: dict[str, Json], namespace: str, max_nodes: int = MAX_SLOW_NODES) -> list[dict[str, Any]]:
    expanded = expand(document, max_nodes=max_nodes)
    return expanded if namespace == contexts.NAMESPACE else older.renewed(expanded, namespace)


def _one_node(expanded: list[dict[str, Any]]) -> dict[str, Any]:
    if len(expanded) != 1 or "@graph" in expanded[0]:
        raise Malformed("the body must be one message, not none and not a graph of several")
    return expanded[0]


def _choose_type(node: dict[str, Any], document: dict[str, Json], types: frozenset[str], namespace: str) -> str:
    iris = {contexts.type_iri(name): name for name in types}
    given: list[str] = node.get("@type", [])
    for iri in given:
        if iri in iris:
            return iris[iri]
    if "@context" not in document:
        raise Malformed("@context is missing")
    if not given:
        raise Malformed("@type is missing")
    found = given[0][:200]
    if namespace != contexts.NAMESPACE:
        raise Malformed(f"@type must be {' or '.join(sorted(types))} of {namespace}, not {found.removeprefix(MARK)}")
    if found.startswith(MARK) and found.removeprefix(MARK) in types:
        raise Malformed(f"@type {found.removeprefix(MARK)} has no meaning under this @context; add {contexts.DSP}")
    raise Malformed(f"@type must be {' or '.join(sorted(types))}, not {found.removeprefix(MARK)}")


# --- catalogues of peers --------------------------------------------------------------------------------------------


def _catalog_from_bytes(body: bytes, types: frozenset[str], namespace: str) -> dict[str, Json]:
    document = parse(body, max_nodes=MAX_CATALOG_NODES)
    if namespace == contexts.NAMESPACE and _is_plain_answer(document, types):
        return _plain_answer(document)
    if len(body) > MAX_SLOW_CATALOG_BYTES:
        raise TooLarge(f"a catalog that is not in compact form must be below {MAX_SLOW_CATALOG_BYTES} bytes")
    return _catalog_slowly(document, types, namespace)


def _is_plain_answer(document: dict[str, Json], types: frozenset[str]) -> bool:
    named, name = document.get("@context"), document.get("@type")
    return (
        isinstance(named, list)
        and contexts.DSP in named
        and all(isinstance(iri, str) and iri in contexts.known() for iri in named)
        and isinstance(name, str)
        and name in types
        and shapes.passes_gate(f"answer-{name}", document | _lists_of(document))
    )


def _lists_of(document: dict[str, Json]) -> dict[str, Json]:
    return {name: _as_list(value) for name, value in document.items() if name in LISTS}


def _plain_answer(document: dict[str, Json]) -> dict[str, Json]:
    tidied: dict[str, Json] = _tidy(document)
    return tidied


def _catalog_slowly(
    document: dict[str, Json], types: frozenset[str], namespace: str = contexts.NAMESPACE
) -> dict[str, Json]:
    node = _one_node(_expanded(document, namespace, MAX_SLOW_CATALOG_NODES))
    name = _choose_type(node, document, types, namespace)
    catalog = compact([node], [contexts.DSP, contexts.EDC_DSP])
    catalog["@type"] = name
    shapes.check(f"answer-{name}", catalog)
    return catalog


# --- around pyld ----------------------------------------------------------------------------------------------------


def _refuse_what_could_harm(document: Json, max_nodes: int) -> None:
    """Bound what pyld's time grows with, and refuse what its caches cannot stand."""
    used = terms = size = weight = 0
    for count, (depth, value) in enumerate(walk(document), 1):
        if isinstance(value, dict):
            weight += depth  # every level may add a context to process again
        if count > max_nodes or weight > 2 * max_nodes:
            raise TooLarge("JSON-LD with so many or so deep values is only taken in the canonical compact form")
        if not isinstance(value, dict):
            continue
        if "@import" in value:
            raise Malformed("@import is not taken in messages; name the context in @context")
        if any(isinstance(types := value.get(name), list) and len(types) > MAX_TYPES for name in ("@type", "type")):
            raise TooLarge(f"a node may have {MAX_TYPES} types, not more")
        if "@context" in value:
            given = value["@context"] if isinstance(value["@context"], list) else [value["@context"]]
            used += max(1, len(given))
            for context in given:
                if isinstance(context, str):
                    contexts.context(context)  # raises Malformed, naming it
            defined = [context for context in given if isinstance(context, dict)]
            if any(inner == "@type" for _, inner in walk(defined)):
                raise Malformed("a context may not give @type another name")
            terms += sum(map(len, defined))
            size += len(orjson.dumps(defined))
    if used > MAX_CONTEXTS or terms > MAX_TERMS or size > MAX_CONTEXT_BYTES:
        raise TooLarge(f"a message may use {MAX_CONTEXTS} contexts and define {MAX_TERMS} terms, not more")


def _guarded(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except RecursionError:
        raise TooLarge("the JSON-LD refers to itself too often") from None
    except Exception as error:
        # pyld raises JsonLdError for what it foresees, and anything at all for what it does not
        raise Malformed(f"the body is not JSON-LD that can be read: {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    code = getattr(error, "code", None)
    return str(code) if code else "it breaks the JSON-LD syntax"


def _tidy(value: Any, under: str = "") -> Any:
    """Take the marks away, make lists of what the protocol has as lists, leave empty ones out."""
    if isinstance(value, dict):
        tidied = {}
        for name, inner in value.items():
            bare = name.removeprefix(MARK)
            if bare != name and bare in value:
                continue  # the same name with and without a mapping: the mapped one was meant
            inner = _tidy(_as_list(inner) if bare in LISTS else inner, bare)
            if inner != [] or bare not in LISTS:
                tidied[bare] = inner
        return tidied
    if isinstance(value, list):
        return [_tidy(inner, under) for inner in value]
    if isinstance(value, str):
        return value.removeprefix(MARK)
    # DSP-074: a right operand is no bare number
    return {"@value": value} if under == "rightOperand" and value is not None else value


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, dict) and value.keys() == {"@list"}:
        return _as_list(value["@list"])
    return value if isinstance(value, list) else [value]
