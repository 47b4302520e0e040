"""Who may import whom: the table of docs/architecture.md as data, held against every import of every file.

Arrows point inward: cores compute and know nothing of the world, services tell the use cases through ports, adapters
touch the world and never each other, and only `app` and `cli` join them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "connector"
CORES = {"errors", "odrl", "identity", "jsonld", "dsp"}


@dataclass(frozen=True)
class Row:
    """What a room may import: rooms of the house, and libraries."""

    house: set[str]
    libraries: set[str]


ROOMS = {
    "errors": Row(set(), set()),
    "assets": Row(set(), set()),
    "observe": Row(set(), {"structlog", "prometheus_client"}),
    "config": Row({"errors"}, set()),
    "odrl": Row({"errors", "assets"}, set()),
    "identity": Row({"errors", "config", "ports", "dsp", "odrl"}, {"jwcrypto"}),
    "jsonld": Row({"errors", "assets"}, {"orjson", "jsonschema_rs", "pyld"}),
    "dsp": Row({"errors", "assets", "odrl", "identity"}, {"orjson", "jsonschema_rs"}),
    "ports": Row({"errors", "odrl", "dsp", "identity"}, set()),
    "files": Row({"errors", "config", "assets", "odrl", "dsp", "jsonld"}, {"ruamel"}),
    "services": Row({"ports", "config", "observe", *CORES}, {"structlog"}),
    "store": Row({"ports", "errors", "odrl", "dsp", "identity"}, {"msgspec", "cattrs"}),
    "peers": Row({"ports", "config", "observe", *CORES}, {"aiohttp"}),
    "dataplane": Row({"ports", "config", *CORES}, {"aiohttp"}),
    "web": Row(
        {"services", "ports", "config", "observe", "assets", *CORES}, {"aiohttp", "orjson", "structlog", "prometheus_client"}
    ),
    "app": Row({"*"}, {"aiohttp", "structlog"}),
    "cli": Row({"*"}, {"httpx", "typer", "rich"}),
    "demo": Row({"cli", "config", "errors", "odrl"}, {"httpx", "rich"}),
}


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
            assert own or reached in row.house or "*" in row.house, f"{room} must not import {module}"
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
    heavy = {"pyld", "rich", "httpx"}
    for file in FILES:
        body = ast.parse(file.read_text()).body
        eager = {alias.name.split(".")[0] for node in body if isinstance(node, ast.Import) for alias in node.names}
        eager |= {(node.module or "").split(".")[0] for node in body if isinstance(node, ast.ImportFrom)}
        assert not eager & heavy, f"{file} imports {eager & heavy} before anything needs it"
