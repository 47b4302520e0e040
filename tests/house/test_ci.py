"""What CI runs: nothing is skipped there without the build turning red."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.building import ROOT

LACKING = """
import pytest

@pytest.mark.skipif(True, reason="{reason}")
def test_something() -> None:
    assert True
"""


def run_in_ci(folder: Path, reason: str) -> subprocess.CompletedProcess[str]:
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    shutil.copy(ROOT / "setup.cfg", folder)
    (folder / "tests" / "test_lacking.py").write_text(LACKING.format(reason=reason))
    command = [sys.executable, "-m", "pytest", "-q", "tests"]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "CONNECTOR_REQUIRE_ALL": "1"}, capture_output=True, text=True, timeout=60
    )


def test_a_skip_for_want_of_java_fails_in_ci(tmp_path: Path) -> None:
    ran = run_in_ci(tmp_path, "needs java and mvn (make setup-ci)")
    assert ran.returncode == 1
    assert "needs java and mvn" in ran.stdout


def test_only_a_comparison_with_the_shared_reference_may_be_left_out(tmp_path: Path) -> None:
    ran = run_in_ci(tmp_path, "../shared/ref is not at hand")
    assert ran.returncode == 0
    assert "SKIPPED" in ran.stdout


@pytest.mark.parametrize("script", [".ci/run"])
def test_the_script_is_sound_and_can_be_started(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / script]).returncode == 0
    assert "set -euo pipefail" in (ROOT / script).read_text()
