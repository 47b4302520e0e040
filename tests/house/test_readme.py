"""What the README promises a reader is there: commands, targets, files, exit codes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from connector.cli.exits import MEANING, Exit
from tests.cli.program import connector
from tests.house.building import ROOT

README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.S)
LINES = [line.partition("  #")[0].strip() for language, block in BLOCKS if not language for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("connector ")]


def test_every_make_target_of_the_readme_exists() -> None:
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_readme_is_one_with_these_options(line: str) -> None:
    words = shlex.split(line)[1:]
    names = [word for word in words[:2] if re.fullmatch("[a-z]+", word)]
    told = connector(*names, "--help")
    assert told.code == 0, told.err
    for option in (word for word in words if word.startswith("--")):
        assert option in told.out


def test_the_exit_codes_are_those_of_the_program() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+?) \|$", README, re.M))
    assert rows == {str(int(code)): meaning for code, meaning in MEANING.items() if code is not Exit.INTERRUPTED}


def test_the_examples_are_the_demos_own_files() -> None:
    yaml, dataset = (next(block for language, block in BLOCKS if language == name) for name in ("yaml", "json"))
    odense = ROOT / "connector" / "demo" / "odense"
    assert yaml == (odense / "policies" / "research-twice.yaml").read_text()
    shipped = json.loads((odense / "catalog" / "gbsg2.jsonld").read_text())
    assert json.loads(dataset).items() <= shipped.items()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
