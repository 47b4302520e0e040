"""Real EDCs beside our connector for one session, and a table of what came of it: scenario x direction x version."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.edc.running import Data, Ours, edcs, missing, serving
from tests.conformance.edc.sides import VERSIONS, Case, Side

DIRECTIONS = ("edc-from-us", "we-from-edc")
CASES = [pytest.param((version, way), id=f"{version.name}-{way}") for version in VERSIONS for way in DIRECTIONS]
GREEN, AGAIN, RED, NONE = "green", "green*", "RED", "-"
TRIES = 2  # more, after a failure: about one cell in a run fails once, not yet diagnosed; the table says which


@pytest.fixture(scope="session")
def edc() -> Iterator[tuple[Side, Side]]:
    """EDC as provider and EDC as consumer."""
    if why := missing():
        pytest.skip(why)
    with edcs("edc-provider", "edc-consumer") as (provider, consumer):
        yield provider, consumer


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    one = Ours(tmp_path_factory.mktemp("interop") / "hospital")
    one.write()
    try:
        one.start()
        yield one
    finally:
        one.stop()


@pytest.fixture(scope="session")
def data() -> Iterator[Data]:
    with serving() as place:
        yield place


@pytest.fixture(scope="session")
def cases() -> dict[str, Case]:
    """What was begun: an agreement about open data is made once for each version and direction."""
    return {}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, edc: tuple[Side, Side], ours: Ours, data: Data, cases: dict[str, Case]) -> Case:
    version, way = request.param
    provider, consumer = (ours.side, edc[1]) if way == DIRECTIONS[0] else (edc[0], ours.side)
    return cases.setdefault(f"{version.name}-{way}", Case(version, provider, consumer, data.url + "/rows"))


# --- the table -------------------------------------------------------------------------------------------------------


class Table:
    """What became of each cell: red as soon as one phase of one of its tests failed."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str], str] = {}
        self.places: dict[str, tuple[str, str]] = {}

    def place(self, item: pytest.Item) -> None:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and "case" in callspec.params:
            scenario = getattr(item, "originalname", item.name).removeprefix("test_").replace("_", " ")
            version, way = callspec.params["case"]
            self.places[item.nodeid] = scenario, f"{version.name} {way}"
            item.add_marker(pytest.mark.flaky(reruns=TRIES, reruns_delay=1))

    def note(self, report: pytest.TestReport) -> None:
        if (at := self.places.get(report.nodeid)) is None:
            return
        if report.outcome == "rerun":
            self.cells[at] = AGAIN
        elif report.failed:
            self.cells[at] = RED
        elif report.when == "call" and report.passed:
            self.cells.setdefault(at, GREEN)

    def lines(self) -> Iterator[str]:
        scenarios = list(dict.fromkeys(scenario for scenario, _ in self.places.values()))
        for way in DIRECTIONS:
            wide = max(map(len, scenarios))
            yield f"{'EDC consumes from us' if way == DIRECTIONS[0] else 'We consume from EDC':{wide}}  " + "  ".join(
                f"{version.name:>6}" for version in VERSIONS
            )
            for scenario in scenarios:
                row = (self.cells.get((scenario, f"{version.name} {way}"), NONE) for version in VERSIONS)
                yield f"{scenario:{wide}}  " + "  ".join(f"{cell:>6}" for cell in row)
        if AGAIN in self.cells.values():
            yield f"{AGAIN}: not at the first try"


TABLE = Table()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        TABLE.place(item)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    TABLE.note(report)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TABLE.cells:
        terminalreporter.section("interoperability with Eclipse EDC 0.15.1")
        for line in TABLE.lines():
            terminalreporter.write_line(line)
