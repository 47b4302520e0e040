"""The checkout's packages, built once for all packaging tests."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.house.building import ROOT, Built


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build wheel and sdist with the backend that pyproject.toml names."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    skip = shutil.ignore_patterns(
        ".git", ".venv", "__pycache__", "*.egg-info", "build", "dist", "target", ".*_cache", ".cache", ".hypothesis"
    )
    shutil.copytree(ROOT, source, ignore=skip)
    build = (
        "from setuptools import build_meta as b; import sys; to = sys.argv[1]; "  # the backend rewrites sys.argv
        "b.build_sdist(to); b.build_wheel(to)"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", build, str(folder)], cwd=source, check=True, capture_output=True, timeout=300
    )
    return Built(source, next(folder.glob("*.whl")), next(folder.glob("*.tar.gz")))
