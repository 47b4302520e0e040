"""A connector as its operator runs it: a process of its own over a folder, that can be killed and started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from connector.identity.keys import Keys

DATASET, OFFER = "trial", "urn:test:offer:trial"


class Refused(Exception):
    """The management API said no."""


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])


@dataclass(eq=False)
class Node:
    """One connector. `kill` and `start` may come at any moment, also while it is still starting."""

    folder: Path
    participant: str
    http: aiohttp.ClientSession
    process: Process | None = None
    ports: tuple[int, int] = field(default_factory=free_ports)

    @property
    def dsp(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}/dsp/2025-1"

    @property
    def management(self) -> str:
        return f"http://127.0.0.1:{self.ports[1]}/management/v3"

    def write(self, *, publishes: bool) -> None:
        public, private = self.ports
        for name in ("policies", "catalog"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        Keys.generate(self.folder / "keys", datetime.now(UTC))
        (self.folder / "connector.toml").write_text(
            f'participant = "{self.participant}"\ndevelopment = true\nlog_level = "warning"\n'
            f'[public]\nport = {public}\nurl = "http://127.0.0.1:{public}"\n[management]\nport = {private}\n'
            '[identity]\nkind = "plain"\n'
            '[delivering]\nfirst = "50ms"\nlongest = "500ms"\ngive_up = "10m"\ntimeout = "2s"\n'
        )
        if publishes:
            (self.folder / "policies" / "open.yaml").write_text(
                '"@type": Set\n"@id": urn:test:open\npermission:\n  - action: use\n'
            )
            (self.folder / "catalog" / "trial.csv").write_text("patient,age\n1,44\n")
            (self.folder / "catalog" / "trial.jsonld").write_text(
                json.dumps(
                    {
                        "@id": DATASET,
                        "@type": "Dataset",
                        "dct:title": "A trial",
                        "source": {"type": "file", "path": "trial.csv"},
                        "policies": [{"policy": "open", "@id": OFFER}],
                    }
                )
            )

    # --- its process ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        with (self.folder / "log.txt").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "connector.cli",
                "serve",
                str(self.folder),
                stdout=log,
                stderr=log,
                env=dict(os.environ),
            )

    async def end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(how)
            await self.process.wait()

    # --- its operator --------------------------------------------------------------------------------------------------

    async def post(self, path: str, **body: object) -> dict[str, object]:
        """Ask until it answers: it may be down. Raises Refused."""
        document = {"@context": {"@vocab": "https://w3id.org/edc/v0.0.1/ns/"}, **body}
        while True:
            try:
                async with self.http.post(self.management + path, json=document) as response:
                    text = await response.text()
                    if response.status >= 400:
                        raise Refused(f"{path}: {response.status} {text}")
                    return json.loads(text) if text else {}
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.05)

    async def get(self, path: str) -> dict[str, object]:
        while True:
            try:
                async with self.http.get(self.management + path) as response:
                    if response.status == 404:
                        raise Refused(f"{path}: 404")
                    if response.status == 200:
                        found: dict[str, object] = await response.json()
                        return found
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.05)

    async def until(self, path: str, *states: str) -> dict[str, object]:
        """Return the process once it is in one of `states`, with nothing left unsaid."""
        while (found := await self.get(path))["state"] not in states:
            await asyncio.sleep(0.03)
        return found
