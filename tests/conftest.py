"""What holds for every test: in CI nothing is skipped.

With `CONNECTOR_REQUIRE_ALL=1` a skip fails: what the test lacked belongs into `make setup-ci`. The one exception are
comparisons with `../shared`, reference files of others that are not part of this project.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

REQUIRE_ALL = os.environ.get("CONNECTOR_REQUIRE_ALL") == "1"
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def held(report: Report) -> Report:
    """Return the report, a skip turned into a failure unless it is excused."""
    if not (REQUIRE_ALL and report.skipped) or hasattr(report, "wasxfail"):
        return report
    where = report.longrepr
    reason = where[2] if isinstance(where, tuple) else str(where)
    if "shared" not in reason:
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped (CONNECTOR_REQUIRE_ALL=1): {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return held((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return held((yield))
