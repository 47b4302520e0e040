"""The connectors that are measured: this one, and Eclipse EDC where Java is there; each a pair of processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import aiohttp

from benchmarks.load import Pair
from connector.identity.keys import Keys

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache" / "edc"
RUN = HERE.parent / "tests" / "conformance" / "edc" / "run.sh"


@dataclass
class Running:
    pair: Pair
    pids: dict[str, int]
    seconds_to_ready: float  # the provider's


@dataclass
class Started:
    """One connector that runs; `protocol` is its DSP base of 2025-1."""

    management: str
    protocol: str
    pid: int
    seconds: float  # until it was ready


class Kind(Protocol):
    """A connector that can be started in either role."""

    name: str
    files: bool  # whether it serves files itself

    def start(self, role: str, folder: Path) -> AbstractAsyncContextManager[Started]: ...


@dataclass(frozen=True)
class Subject:
    """Who provides and who consumes."""

    provider: Kind
    consumer: Kind

    @property
    def name(self) -> str:
        if self.provider is self.consumer:
            return self.provider.name
        return f"{self.provider.name} to {self.consumer.name}"

    @asynccontextmanager
    async def running(self, folder: Path) -> AsyncIterator[Running]:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
            self.provider.start("provider", folder) as provider,
            self.consumer.start("consumer", folder) as consumer,
        ):
            pair = Pair(http, provider.management, consumer.management, provider.protocol)
            yield Running(pair, {"provider": provider.pid, "consumer": consumer.pid}, provider.seconds)


def free_port(count: int = 1) -> int:
    """Return the first of `count` free neighbouring ports."""
    for base in range(20_000 + os.getpid() % 10_000, 60_000, 17):
        try:
            for port in range(base, base + count):
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise RuntimeError("no free ports")


class Ours:
    name, files = "this connector", True

    @asynccontextmanager
    async def start(self, role: str, folder: Path) -> AsyncIterator[Started]:
        port = free_port(2)
        self.write(folder / role, role, port)
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "connector.cli", "serve", str(folder / role),
            stdout=(folder / f"{role}.out").open("wb"), stderr=(folder / f"{role}.log").open("wb"),
        )  # fmt: skip
        try:
            await _ready(process, f"http://127.0.0.1:{port + 1}/health/ready")
            seconds = time.perf_counter() - began
            base = f"http://127.0.0.1:{port}/dsp/2025-1"
            yield Started(f"http://127.0.0.1:{port + 1}/management/v3", base, process.pid, seconds)
        finally:
            await _stop(process)

    def write(self, folder: Path, role: str, port: int) -> None:
        for name in ("policies", "catalog"):
            (folder / name).mkdir(parents=True)
        Keys.generate(folder / "keys", datetime.now(UTC))
        (folder / "connector.toml").write_text(
            f'participant = "{role}"\ndevelopment = true\nlog_level = "warning"\n'
            f'[public]\nport = {port}\nurl = "http://127.0.0.1:{port}"\n[management]\nport = {port + 1}\n'
            '[identity]\nkind = "plain"\n'
        )


class Edc:
    """EDC 0.15.1 with mock identity and stores in memory; `tuned`: its state machines look every 10 ms, not every second."""

    files = False

    def __init__(self, *, tuned: bool) -> None:
        self.name, self.tuned = "EDC 0.15.1, tuned" if tuned else "EDC 0.15.1", tuned

    @staticmethod
    def missing() -> str | None:
        """Return why it cannot be run here."""
        lacking = [tool for tool in ("java", "mvn", "openssl", "curl") if shutil.which(tool) is None]
        return f"no {', '.join(lacking)} here" if lacking else None

    @asynccontextmanager
    async def start(self, role: str, folder: Path) -> AsyncIterator[Started]:
        env = os.environ | {"EDC_HOME": str(CACHE)} | ({"EDC_ITER_MS": "10"} if self.tuned else {})
        base = free_port(6)
        script = await asyncio.create_subprocess_exec(
            "bash", str(RUN), role, str(base), env=env, stdout=PIPE, start_new_session=True
        )
        try:
            assert script.stdout is not None
            async with asyncio.timeout(600):  # the first time, its jars are resolved
                told = (await script.stdout.readline()).decode()
            if not told.startswith("ready"):
                raise RuntimeError(f"EDC did not start: {told}")
            pid = int(told.split("pid ")[1].rstrip(")\n"))
            protocol = f"http://127.0.0.1:{base + 2}/protocol/2025-1"
            yield Started(f"http://127.0.0.1:{base + 1}/management/v3", protocol, pid, float(told.split()[1]))
        finally:
            await _stop(script)


async def _ready(process: Process, url: str) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(60):
        while process.returncode is None:
            try:
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.005)
    raise RuntimeError(f"it ended with {process.returncode} instead of getting ready")


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()
