"""One YAML or JSON file as a value with the place of every node.

YAML is the part of YAML 1.2 that means the same to every reader (core schema): no anchors, aliases, tags or merge keys, no
second document, no key twice, and no plain scalar whose type depends on who reads it (`yes`, `NO`, `012`, `0x1F`): these
are refused with what to write instead. What only YAML 1.1 would type, a date for one, is text. JSON is RFC 8259 without
duplicate keys. ruamel.yaml gives the places in both, JSON being a part of YAML; the values of JSON come from the standard
library, a hundred times faster, and its places are looked up only when something is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn

from connector.errors import InvalidFiles, Problem
from connector.odrl.model import Json
from connector.odrl.read import Path, Places, pointer

MAX_BYTES = 1_000_000
MAX_DEPTH = 64

HALF = re.compile(r"\\[uU](0000)?[dD][89a-fA-F][0-9a-fA-F]{2}")
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
CONSTANTS: Mapping[str, Json] = {"": None, "~": None, "null": None, "true": True, "false": False}
SURPRISES = (
    (
        re.compile(r"y|n|yes|no|on|off|true|false|null", re.I),
        'is a truth value to some readers of YAML and text to others; write true, false or null, or "{}" in quotes',
    ),
    (
        re.compile(r"[-+]?0[0-9_]+|[-+]?0[oxb][0-9a-f_]+|[-+]?[0-9][0-9_]*_[0-9_]*", re.I),
        'is not the same number to all readers of YAML; write plain decimal digits, or "{}" in quotes',
    ),
    (re.compile(r"[-+]?\.(inf|nan)", re.I), 'is no number that can be compared; write a number, or "{}" in quotes'),
)


@dataclass(frozen=True, slots=True)
class Nodes:
    """The place of each value, and of each mapping key, by its path."""

    places: Places
    keys: Places


@dataclass(frozen=True)
class Document:
    """The content of `file`, and where each part of it is."""

    file: str
    value: Json
    locate: Callable[[], Nodes] = field(repr=False, compare=False)

    @cached_property
    def nodes(self) -> Nodes:
        return self.locate()

    def problem(self, code: str, message: str, path: Path = (), *, key: bool = False, level: str = "error") -> Problem:
        """Return a problem at `path` (at its key with `key`), or at the nearest node around it that is there."""
        places, at = (self.nodes.keys if key else self.nodes.places), path
        while at and at not in places:
            at, places = at[:-1], self.nodes.places
        line, column = places.get(at, (1, 1))
        return Problem(code, message, self.file, line, column, pointer(path), level)


def read(data: bytes, file: str) -> Document:
    """Return the document in `data`, the bytes of `file`; its suffix says whether it is YAML or JSON.

    Raises:
        InvalidFiles: with every problem up to the first that makes reading on impossible.
    """
    text = _decode(data, file)
    if not file.endswith((".yaml", ".yml")):
        document = _json(text, file)
    else:
        value, nodes = _yaml(text, file, typed=True)
        document = Document(file, value, lambda: nodes)
    _whole_characters(document, text)
    return document


def _yaml(text: str, file: str, *, typed: bool) -> tuple[Json, Nodes]:
    reader = _Reader(file, typed)
    try:
        value = reader.document(text)
    except InvalidFiles as error:
        raise InvalidFiles((*reader.problems, *error.problems)) from error
    if reader.problems:
        raise InvalidFiles(tuple(reader.problems))
    return value, Nodes(reader.places, reader.keys)


def _fail(code: str, message: str, file: str, line: int = 1, column: int = 1) -> NoReturn:
    raise InvalidFiles((Problem(code, message, file, line, column),))


def _decode(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        _fail("file-size", f"has {len(data)} bytes; at most {MAX_BYTES} are read", file)
    if data.startswith(b"\xef\xbb\xbf"):
        _fail("file-encoding", "begins with a byte order mark; save it as UTF-8 without one", file)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        _fail("file-encoding", "is not UTF-8 from here on; save it as UTF-8", file, *_place(before, len(before)))


def _whole_characters(document: Document, text: str) -> None:
    """Refuse an escaped half of a surrogate pair: it is no character, and nothing could be written with it."""
    half = HALF.search(text)
    if half is None:
        return
    try:
        json.dumps(document.value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        message = f"{half[0]} is half a character; write the character itself"
        _fail("file-encoding", message, document.file, *_place(text, half.start()))


def _place(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - before.rfind("\n")


def _json(text: str, file: str) -> Document:
    twice = False

    def mapping(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        nonlocal twice
        found = dict(pairs)
        twice = twice or len(found) < len(pairs)
        return found

    def refuse(constant: str) -> NoReturn:
        _fail("json-syntax", f"{constant} is not JSON; write a number", file, *_place(text, text.find(constant)))

    try:
        value: Json = json.loads(text, parse_constant=refuse, object_pairs_hook=mapping)
    except json.JSONDecodeError as error:
        _fail("json-syntax", error.msg[:1].lower() + error.msg[1:], file, error.lineno, error.colno)
    except RecursionError:
        _fail("file-depth", f"is nested deeper than {MAX_DEPTH} levels", file)
    if twice or _deep(value, MAX_DEPTH):
        _yaml(text, file, typed=False)  # says where
        _fail("duplicate-key", "a key is here twice", file)
    return Document(file, value, lambda: _json_nodes(text, file))


def _json_nodes(text: str, file: str) -> Nodes:
    try:
        return _yaml(text, file, typed=False)[1]
    except InvalidFiles:  # JSON that YAML cannot read, with a character such as DEL
        return Nodes({}, {})


def _deep(value: Json, levels: int) -> bool:
    if isinstance(value, str) or not isinstance(value, Mapping | Sequence):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_deep(part, levels - 1) for part in inner)


@dataclass(slots=True)
class _Reader:
    """Builds the value from parser events and notes places and problems on the way."""

    file: str
    typed: bool  # whether plain scalars are typed here (YAML); JSON's values come from elsewhere
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def document(self, text: str) -> Json:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError
        from ruamel.yaml.reader import ReaderError

        try:
            return self._documents(iter(YAML(typ="safe", pure=True).parse(text)))
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            message = ", ".join(part for part in (error.problem, error.context) if part)
            if "'\\t'" in message:
                message = "a tab; indent with spaces"
            _fail("yaml-syntax", message, self.file, mark.line + 1, mark.column + 1)
        except ReaderError as error:
            message = f"the character #x{ord(text[error.position]):04x} is not allowed; remove it"
            _fail("yaml-syntax", message, self.file, *_place(text, error.position))

    def _documents(self, events: Iterator[Any]) -> Json:
        value: Json = None
        seen = 0
        for event in events:
            name = type(event).__name__
            if name == "DocumentStartEvent":
                seen += 1
                if seen > 1:
                    self._note(event, "yaml-documents", "a second document begins; write one per file", ())
                if event.version not in (None, (1, 2)):
                    self._note(event, "yaml-version", "asks for another YAML than 1.2; remove the %YAML line", ())
            elif name not in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"):
                value = self._node(event, events, ())
        if not seen:
            _fail("file-empty", "is empty", self.file)
        return value

    def _node(self, event: Any, events: Iterator[Any], path: Path) -> Json:
        self.places[path] = (event.start_mark.line + 1, event.start_mark.column + 1)
        if len(path) > MAX_DEPTH:
            _fail("file-depth", f"is nested deeper than {MAX_DEPTH} levels", self.file, *self.places[path])
        if event.anchor:
            mark = "*" if type(event).__name__ == "AliasEvent" else "&"
            self._note(event, "yaml-anchor", f"{mark}{event.anchor}: anchors and aliases are not read; write it out", path)
        match type(event).__name__:
            case "MappingStartEvent":
                self._untagged(event, path)
                return self._mapping(events, path)
            case "SequenceStartEvent":
                self._untagged(event, path)
                return self._sequence(events, path)
            case "ScalarEvent":
                self._untagged(event, path)
                return self._scalar(event, path)
        return None  # an alias, noted above

    def _mapping(self, events: Iterator[Any], path: Path) -> dict[str, Json]:
        found: dict[str, Json] = {}
        while type(event := next(events)).__name__ != "MappingEndEvent":
            if type(event).__name__ != "ScalarEvent":
                place = event.start_mark.line + 1, event.start_mark.column + 1
                _fail("yaml-key", "a key must be text", self.file, *place)
            key, at = str(event.value), (*path, str(event.value))
            if key == "<<" and event.style is None:
                self._note(event, "yaml-anchor", "<<: merge keys are not read; write the keys out", at)
            self._untagged(event, at)
            if key in found:
                line, column = self.keys[at]
                self._note(event, "duplicate-key", f"{key!r} is here twice, first in line {line}, column {column}", at)
            else:
                self.keys[at] = (event.start_mark.line + 1, event.start_mark.column + 1)
            found[key] = self._node(next(events), events, at)
        return found

    def _sequence(self, events: Iterator[Any], path: Path) -> list[Json]:
        found: list[Json] = []
        while type(event := next(events)).__name__ != "SequenceEndEvent":
            found.append(self._node(event, events, (*path, len(found))))
        return found

    def _scalar(self, event: Any, path: Path) -> Json:
        text = str(event.value)
        if event.style is not None or not self.typed:
            return text
        if text in CONSTANTS:
            return CONSTANTS[text]
        for pattern, why in SURPRISES:
            if pattern.fullmatch(text):
                self._note(event, "yaml-ambiguous", f"{text} {why.format(text)}", path)
                return text
        if INTEGER.fullmatch(text):
            return int(text)
        return float(text) if DECIMAL.fullmatch(text) else text

    def _untagged(self, event: Any, path: Path) -> None:
        if event.tag is not None:
            self._note(event, "yaml-tag", f"{event.tag}: tags are not read; remove it", path)

    def _note(self, event: Any, code: str, message: str, path: Path) -> None:
        mark = event.start_mark
        self.problems.append(Problem(code, message, self.file, mark.line + 1, mark.column + 1, pointer(path)))
