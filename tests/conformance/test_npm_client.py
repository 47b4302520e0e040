"""The npm client that most UIs for EDC are made with, unchanged, against two connectors; needs Node 20 and npm."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from connector.config import Federation, Management, Node
from tests.pair.conftest import Pair, free_port, running, settings

HERE = Path(__file__).parent / "npm"
CACHE = Path(__file__).parents[2] / ".cache" / "npm"
KEY = "a key"

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(
        not (shutil.which("node") and shutil.which("npm")), reason="the npm client needs node and npm (make setup-ci)"
    ),
]


async def run(*command: str, folder: Path, **environ: str) -> tuple[int, str]:
    """Run a program to its end; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=os.environ | environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(300):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, printed.decode()


@pytest.fixture
async def installed() -> Path:
    """The client as the lock file says, in a folder of the cache: files of ours beside it are copies."""
    CACHE.mkdir(parents=True, exist_ok=True)
    fresh = (HERE / "package-lock.json").read_bytes()
    lock = CACHE / "package-lock.json"
    if not (lock.exists() and lock.read_bytes() == fresh and (CACHE / "node_modules").exists()):
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, CACHE)
        code, printed = await run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", folder=CACHE)
        assert code == 0, printed
    shutil.copy(HERE / "drive.mjs", CACHE)
    return CACHE


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Pair, str]]:
    """A provider with a key, a consumer that holds the provider's catalogue, and a service with data."""

    async def hello(request: web.Request) -> web.Response:
        return web.json_response({"hello": "world"})

    app = web.Application()
    app.router.add_get("/hello.json", hello)
    one = replace(settings(tmp_path / "one", "provider"), management=Management(port=free_port(), api_key=KEY))
    nodes = (Node("provider", one.public.url + "/dsp/2025-1"),)
    other = settings(tmp_path / "two", "consumer", federation=Federation(nodes, every=timedelta(seconds=1)))
    async with TestServer(app) as source, running(one, other) as pair:
        yield pair, str(source.make_url("/hello.json"))


async def test_every_method_of_the_npm_client_works(
    installed: Path, served: tuple[Pair, str], capsys: pytest.CaptureFixture[str]
) -> None:
    pair, source = served
    code, printed = await run(
        "node", "drive.mjs", folder=installed, PROVIDER=pair.provider.management_url, CONSUMER=pair.consumer.management_url,
        DSP=pair.address, PROVIDER_ID="provider", SOURCE=source, KEY=KEY,
    )  # fmt: skip
    found = json.loads(printed.splitlines()[-1])
    with capsys.disabled():
        print(f"\n@think-it-labs/edc-connector-client {found['client']}")
        for method, word in found["methods"].items():
            print(f"| {method} | {word} |", flush=True)
    assert set(found["methods"].values()) == {"ok"}
    assert code == 0, printed
