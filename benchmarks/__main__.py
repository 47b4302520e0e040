"""Measures this connector and EDC in one run and writes RESULTS.md; `python -m benchmarks [--quick] [--only-us]`.

Absolute figures drift from machine to machine and with what else runs there: read the ratios. The load generator is on
the same cores as what it measures, for both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import load
from benchmarks.load import Measured
from benchmarks.subjects import Edc, Ours, Running, Subject, free_port

HERE = Path(__file__).parent
BIG = 256 * 1024 * 1024


@dataclass(frozen=True)
class Row:
    """One figure. `goal` is what we want of ourselves; `times` what we want beside EDC."""

    key: str
    what: str
    unit: str
    goal: float | None = None
    times: float | None = None
    more_is_better: bool = True
    digits: int = 0


ROWS = (
    Row("start", "cold start to ready", "s", 1.0, None, False, 2),
    Row("idle", "resident after start, the larger of the two", "MiB", None, None, False),
    Row("loaded", "resident after all of the load below", "MiB", 100, None, False),
    Row("catalog-1", "catalogue, 1 dataset, at 16", "req/s", None, 10),
    Row("catalog-100", "catalogue, 100 datasets, at 16", "req/s", None, 50),
    Row("catalog-1000", "catalogue of 1,000, a page of 100, at 16", "req/s", None, 50),
    Row("catalog-10000", "catalogue of 10,000, a page of 100, at 16", "req/s", None, 50),
    Row("negotiation", "one negotiation to FINALIZED, p50", "ms", 25, None, False, 1),
    Row("negotiations", "negotiations at 20", "1/s", 150, 15),
    Row("negotiations-100", "negotiations at 100", "1/s"),
    Row("transfer", "one transfer to STARTED, p50", "ms", 15, None, False, 1),
    Row("transfers", "transfers at 20", "1/s"),
    Row("pull-1k", "pull 1 KiB through the proxy, at 16", "req/s", None, 3),
    Row("pull-big", "pull 256 MiB through the proxy", "MB/s", 400),
    Row("peak-proxied", "peak resident of the provider by then", "MiB", None, None, False),
    Row("pull-file", "pull a 256 MiB file", "MB/s", 2000),
)


@dataclass(frozen=True)
class Size:
    """How long everything takes."""

    seconds: float = 5.0
    warm: float = 2.0
    singles: int = 20
    many: int = 200
    pulls: int = 4
    starts: int = 3
    crowd: int = 200
    catalogues: tuple[int, ...] = (100, 1000, 10_000)


@dataclass
class Figures:
    values: dict[str, float]
    errors: dict[str, list[str]]
    others: float  # share of the machine that neither subject nor generator used


async def measure(at: Running, size: Size, origin: str, files: Path | None) -> Figures:
    pair, values, errors = at.pair, dict[str, float](), dict[str, list[str]]()
    busy, ours, began = load.busy(), load.cpu([*at.pids.values(), os.getpid()]), time.perf_counter()

    def note(key: str, measured: Measured, value: float) -> None:
        values[key] = value
        if measured.errors:
            errors[key] = measured.errors

    async def rate(key: str, job: load.Job) -> None:
        measured = await load.for_a_while(size.seconds, 16, job, size.warm)
        note(key, measured, measured.rate)

    async def pulled(key: str, asset: str) -> None:
        endpoint, authorization = await pair.access(asset)
        measured = await load.some(size.pulls, 1, lambda: asyncio.to_thread(load.drain, endpoint, authorization, BIG))
        note(key, measured, measured.mb_per_s)

    values["start"], values["idle"] = at.seconds_to_ready, load.resident(at.pids.values())
    await pair.publish("a", 1, {"type": "HttpData", "baseUrl": f"{origin}/1k"})
    await rate("catalog-1", lambda: pair.catalog(100))
    offer = await pair.offer("a-0")
    await load.some(5, 1, lambda: pair.negotiate(offer, 0.02))
    one = await load.some(size.singles, 1, lambda: pair.negotiate(offer, 0.002))
    note("negotiation", one, one.ms(0.5))
    many = await load.some(size.many, 20, lambda: pair.negotiate(offer, 0.05))
    note("negotiations", many, many.rate)
    if size.crowd:
        crowd = await load.some(size.crowd, 100, lambda: pair.negotiate(offer, 0.25))
        note("negotiations-100", crowd, crowd.rate)
    agreement = await pair.agreement(offer)
    one = await load.some(size.singles, 1, lambda: pair.transfer("a-0", agreement, 0.002))
    note("transfer", one, one.ms(0.5))
    many = await load.some(size.many, 20, lambda: pair.transfer("a-0", agreement, 0.05))
    note("transfers", many, many.rate)
    endpoint, authorization = await pair.access("a-0")
    await rate("pull-1k", lambda: pair.pull(endpoint, authorization))
    await pair.publish("big", 1, {"type": "HttpData", "baseUrl": f"{origin}/256m"})
    await pulled("pull-big", "big-0")
    values["peak-proxied"] = load.peak([at.pids["provider"]])
    if files is not None:
        await pair.publish("file", 1, {"type": "File", "path": str(files / "256m")})
        await pulled("pull-file", "file-0")
    values["loaded"] = load.resident(at.pids.values())
    there = 1
    for count in size.catalogues:
        await pair.publish("a", count - there, {"type": "HttpData", "baseUrl": f"{origin}/1k"}, first=there)
        there = count
        await rate(f"catalog-{count}", lambda: pair.catalog(100))
    span = time.perf_counter() - began
    used = load.cpu([*at.pids.values(), os.getpid()]) - ours
    others = max(0.0, load.busy() - busy - used) / (span * (os.cpu_count() or 1))
    return Figures(values, errors, others)


@asynccontextmanager
async def origin(folder: Path) -> AsyncIterator[str]:
    port = free_port()
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.origin", str(folder), str(port))
    try:
        await asyncio.sleep(1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        await server.wait()


async def run(size: Size, *, edc: bool) -> dict[str, Figures]:
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        served = root / "served"
        served.mkdir()
        (served / "1k").write_bytes(os.urandom(1024))
        (served / "256m").write_bytes(os.urandom(BIG))
        async with origin(served) as url:
            starts = []
            us, them = Ours(), Edc(tuned=True)
            for n in range(size.starts - 1):
                async with us.start("provider", root / f"start-{n}") as alone:
                    starts.append(alone.seconds)
            mixed = replace(size, catalogues=(100,), crowd=0)
            subjects = [(Subject(us, us), size)]
            if edc:
                subjects += [(Subject(them, them), size), (Subject(us, them), mixed), (Subject(them, us), mixed)]
            for n, (subject, much) in enumerate(subjects):
                print(f"measuring {subject.name} ...", file=sys.stderr)
                async with subject.running(root / f"run-{n}") as at:
                    found[subject.name] = await measure(at, much, url, served if subject.provider.files else None)
            ours = found[Ours.name].values
            ours["start"] = statistics.median([*starts, ours["start"]])
    return found


# --- the report --------------------------------------------------------------------------------------------------


def table(found: dict[str, Figures]) -> str:
    ours = found[Ours.name].values
    other = next((figures.values for name, figures in found.items() if name != Ours.name), {})
    names = [name.replace(" to ", " provides, ") + (" consumes" if " to " in name else "") for name in found]
    lines = [f"| what | {' | '.join(names)} | ratio of the first two | goal | |", "|" + " --- |" * (len(names) + 4)]
    for row in ROWS:
        shown = [_number(figures.values.get(row.key), row) for figures in found.values()]
        mine, theirs = ours.get(row.key), other.get(row.key)
        ratio = (mine / theirs if row.more_is_better else theirs / mine) if mine and theirs else None
        goals = [_goal(row)] if row.goal else []
        goals += [f"{row.times:g}x EDC"] if row.times else []
        verdict = _verdict(row, mine, ratio)
        lines.append(
            f"| {row.what} | {' | '.join(shown)} | {f'{ratio:.1f}x' if ratio else ''} | {', '.join(goals)} | {verdict} |"
        )
    return "\n".join(lines)


def _goal(row: Row) -> str:
    return f"{'>=' if row.more_is_better else '<='} {row.goal:g} {row.unit}"


def _number(value: float | None, row: Row) -> str:
    return "" if value is None else f"{value:,.{row.digits}f} {row.unit}"


def _verdict(row: Row, mine: float | None, ratio: float | None) -> str:
    checks = []
    if mine is not None and row.goal is not None:
        checks.append(mine >= row.goal if row.more_is_better else mine <= row.goal)
    if ratio is not None and row.times is not None:
        checks.append(ratio >= row.times)
    return "" if not checks else "reached" if all(checks) else "**short**"


def report(found: dict[str, Figures], why_alone: str | None) -> str:
    others = ", ".join(f"{name} {figures.others:.0%}" for name, figures in found.items())
    lines = [
        "# Results of `make bench`",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores ({_processor()}), "
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}.",
        f"Used by others meanwhile (figures under a high share are worth little): {others}.",
        "Both sides and the load generator share the cores. EDC's state machines look every 10 ms here (by default every",
        "second); its stores are in memory, ours on disk with every commit synchronised.",
        "",
        table(found),
        "",
    ]
    if why_alone:
        lines += [f"EDC was not measured: {why_alone}.", ""]
    for name, figures in found.items():
        lines += [f"- {name}, {key}: {len(what)} failed, first: {what[0]}" for key, what in figures.errors.items()]
    return "\n".join(lines).rstrip() + "\n"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the time; for a look, not for the record")
    parser.add_argument("--only-us", action="store_true", help="without EDC")
    asked = parser.parse_args()
    quick = Size(1, 0.3, singles=5, many=20, pulls=1, starts=1, crowd=0, catalogues=(100,))
    size = quick if asked.quick else Size()
    why_alone = "it was not asked for" if asked.only_us else Edc.missing()
    written = report(asyncio.run(run(size, edc=why_alone is None)), why_alone)
    if not asked.quick:
        (HERE / "RESULTS.md").write_text(written)
    print(written)


if __name__ == "__main__":
    main()
