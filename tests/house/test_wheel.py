"""The packages that leave the house: nothing missing, nothing that does not belong there."""

from __future__ import annotations

import configparser
import tarfile
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

from tests.house.building import ROOT, Built

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
DATA = ("catalog", "policies", "vocab")


def data_files(root: Path) -> set[str]:
    """Return the shipped data files of the checkout as paths below it."""
    files = (file for folder in DATA for file in (root / folder).rglob("*") if file.is_file())
    return {str(file.relative_to(root)) for file in files if not file.name.startswith(".")}


def test_setup_cfg_lists_every_package() -> None:
    listed = {line for line in SETUP["options"]["packages"].split() if not line.startswith("connector.shipped")}
    there = {".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "connector").rglob("__init__.py")}
    assert listed == there


def test_every_dependency_says_why_it_is_there() -> None:
    lines = (ROOT / "setup.cfg").read_text().splitlines()
    start, end = lines.index("install_requires ="), lines.index("[options.extras_require]")
    wanted = [line for line in lines[start + 1 : end] if line.startswith("    ")]
    for above, line in pairwise(wanted):
        if not line.strip().startswith("#"):
            assert above.strip().startswith("#"), f"{line.strip()} has no reason above it"


@pytest.mark.slow
def test_the_wheel_holds_the_code_and_the_defaults(built: Built) -> None:
    names = set(zipfile.ZipFile(built.wheel).namelist())
    assert {f"connector/shipped/{name}" for name in data_files(ROOT)} <= names
    code = {
        str(file.relative_to(ROOT)) for file in (ROOT / "connector").rglob("*") if file.suffix in (".py", ".sql", ".json")
    }
    assert {name for name in code if "__pycache__" not in name} <= names


@pytest.mark.slow
def test_the_wheel_takes_one_name_in_site_packages(built: Built) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(built.wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"connector"}


@pytest.mark.slow
def test_the_sdist_builds_tests_and_explains(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {"Makefile", "README.md", "LICENSE", "CHANGELOG.md", "setup.cfg", "docker/Dockerfile", "docs/architecture.md"}
    assert expected | data_files(ROOT) <= names
    assert "tests/house/test_wheel.py" in names
