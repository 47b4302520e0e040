"""Who may import whom: the table of docs/architecture.md, held against every import of every file.

Arrows point inward: cores compute and know nothing of the world, services tell the use cases through ports, adapters
touch the world and never each other, and only `app` and `cli` join them.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "connector"
PAGE = ROOT / "docs" / "architecture.md"


@dataclass(frozen=True)
class Row:
    """What a room may import: rooms of the house, and libraries."""

    house: frozenset[str]
    libraries: frozenset[str]
    everything: bool


def table() -> dict[str, Row]:
    """Read the table under "Who may import whom"."""
    section = PAGE.read_text().split("## Who may import whom")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", section, re.M)
    names = re.compile(r"`(\w+)`").findall
    return {
        room: Row(frozenset(names(house)), frozenset(names(libraries)), house == "everything")
        for room, house, libraries in rows
    }


ROOMS = table()


def room_of(module: str) -> str:
    """Return the room of `connector.dsp.codec`: `dsp`."""
    return module.split(".")[1] if "." in module else "connector"


def imports(file: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides which room it reaches into"
            if node.module == "connector":
                yield from (f"connector.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_imports_only_what_its_room_may(file: Path) -> None:
    room = room_of(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    if room == "connector":
        assert list(imports(file)) == [], "the package itself is empty, so that importing it costs nothing"
        return
    row = ROOMS[room]
    for module in imports(file):
        top = module.split(".")[0]
        if top == "connector":
            reached = room_of(module)
            own = reached in (room, "connector", "__version__")
            assert own or row.everything or reached in row.house, f"{room} must not import {module}"
        elif top not in sys.stdlib_module_names:
            assert top in row.libraries, f"{top} has no place in {room}"


def test_every_room_of_the_table_exists() -> None:
    there = {room_of("connector." + file.relative_to(PACKAGE).parts[0].removesuffix(".py")) for file in FILES}
    assert there - {"__init__"} == set(ROOMS)


def test_adapters_never_import_each_other() -> None:
    adapters = {"store", "peers", "dataplane", "web"}
    for name in adapters:
        assert not ROOMS[name].house & adapters


def test_heavy_libraries_wait_until_they_are_used() -> None:
    heavy = {"pyld", "rdflib", "rich", "httpx", "pyarrow", "polars", "pandas"}
    for file in (file for file in FILES if file.parent.name != "demo"):  # which is itself imported late
        body = ast.parse(file.read_text()).body
        eager = {alias.name.split(".")[0] for node in body if isinstance(node, ast.Import) for alias in node.names}
        eager |= {(node.module or "").split(".")[0] for node in body if isinstance(node, ast.ImportFrom)}
        assert not eager & heavy, f"{file} imports {eager & heavy} before anything needs it"
