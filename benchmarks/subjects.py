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
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import aiohttp

from benchmarks.load import Pair
from connector.identity.keys import Keys

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache" / "edc"
ROLES = ("provider", "consumer")


@dataclass
class Running:
    pair: Pair
    pids: dict[str, int]
    seconds_to_ready: float  # the provider's


class Subject(Protocol):
    name: str
    files: bool  # whether it serves files itself

    def running(self, folder: Path) -> AsyncIterator[Running]: ...


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
    async def running(self, folder: Path) -> AsyncIterator[Running]:
        ports: dict[str, int] = {}
        processes: dict[str, Process] = {}
        taken = 0.0
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            try:
                for role in ROLES:
                    ports[role] = free_port(2)
                    self.write(folder / role, role, ports[role])
                    began = time.perf_counter()
                    processes[role] = await asyncio.create_subprocess_exec(
                        sys.executable, "-m", "connector.cli", "serve", str(folder / role),
                        stdout=(folder / f"{role}.out").open("wb"), stderr=(folder / f"{role}.log").open("wb"),
                    )  # fmt: skip
                    await _ready(http, processes[role], f"http://127.0.0.1:{ports[role] + 1}/health/ready")
                    taken = taken or time.perf_counter() - began
                management = {role: f"http://127.0.0.1:{port + 1}/management/v3" for role, port in ports.items()}
                pair = Pair(
                    http, management["provider"], management["consumer"], f"http://127.0.0.1:{ports['provider']}/dsp/2025-1"
                )
                yield Running(pair, {role: process.pid for role, process in processes.items()}, taken)
            finally:
                for process in processes.values():
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
    async def running(self, folder: Path) -> AsyncIterator[Running]:
        env = os.environ | {"EDC_HOME": str(CACHE)} | ({"EDC_ITER_MS": "10"} if self.tuned else {})
        bases = {"provider": free_port(6)}
        bases["consumer"] = bases["provider"] + 100
        scripts: list[Process] = []
        told: dict[str, str] = {}
        try:
            for role in ROLES:
                script = await asyncio.create_subprocess_exec(
                    "bash",
                    str(HERE.parent / "tests" / "conformance" / "edc" / "run.sh"),
                    role,
                    str(bases[role]),
                    env=env,
                    stdout=PIPE,
                    start_new_session=True,
                )
                scripts.append(script)
                assert script.stdout is not None
                async with asyncio.timeout(600):  # the first time, its jars are resolved
                    told[role] = (await script.stdout.readline()).decode()
            if not all(line.startswith("ready") for line in told.values()):
                raise RuntimeError(f"EDC did not start: {told}")
            pids = {role: int(line.split("pid ")[1].rstrip(")\n")) for role, line in told.items()}
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
                at = {role: f"http://127.0.0.1:{base + 1}/management/v3" for role, base in bases.items()}
                dsp = f"http://127.0.0.1:{bases['provider'] + 2}/protocol/2025-1"
                yield Running(Pair(http, at["provider"], at["consumer"], dsp), pids, float(told["provider"].split()[1]))
        finally:
            for script in scripts:
                await _stop(script)


async def _ready(http: aiohttp.ClientSession, process: Process, url: str) -> None:
    async with asyncio.timeout(60):
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
