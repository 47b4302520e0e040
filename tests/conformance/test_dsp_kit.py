"""The Dataspace Protocol's own conformance kit against this connector; needs Java 17 and, the first time, Maven."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog

from tests.conformance.cut import SELF, TOKEN, under_test

HERE = Path(__file__).parent / "tck" / "dsp"
CACHE = Path(__file__).parents[2] / ".cache" / "tck"

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(
        not (shutil.which("java") and shutil.which("mvn")), reason="the conformance kit needs java and mvn (make setup-ci)"
    ),
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Let the kit's words stand alone."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.reset_defaults()


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [int(s.getsockname()[1]) for s in sockets]


def configuration(port: int, triggers: int, kit: int) -> str:
    """Return the sample, with the addresses of this run behind it: the last one counts."""
    return (
        (HERE / "sample.properties").read_text()
        + f"""
dataspacetck.port={kit}
dataspacetck.callback.address=http://127.0.0.1:{kit}
dataspacetck.dsp.connector.agent.id={SELF}
dataspacetck.dsp.connector.http.url=http://127.0.0.1:{port}/dsp/2025-1
dataspacetck.dsp.connector.http.base.url=http://127.0.0.1:{port}
dataspacetck.dsp.connector.http.headers.authorization={TOKEN}
dataspacetck.dsp.connector.negotiation.initiate.url=http://127.0.0.1:{triggers}/negotiations/requests
dataspacetck.dsp.connector.transfer.initiate.url=http://127.0.0.1:{triggers}/transfers/requests
"""
    )


async def run_kit(config: Path, reports: Path) -> str:
    """Run the kit; return what it printed."""
    command = ["bash", str(HERE / "run.sh"), str(config), str(reports), os.environ.get("TCK_ONLY", "")]
    kit = await asyncio.create_subprocess_exec(
        *command, env=os.environ | {"TCK_HOME": str(CACHE)}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(900):
            printed, _ = await kit.communicate()
    finally:
        if kit.returncode is None:
            kit.kill()
    return printed.decode()


async def test_the_conformance_kit_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """65 of 67; the other two (TP:02-04, TP_C:02-04) the kit itself has switched off."""
    port, management, triggers, kit = free_ports(4)
    config = tmp_path / "kit.properties"
    config.write_text(configuration(port, triggers, kit))
    async with under_test(tmp_path / "cut", port, management, triggers):
        printed = await run_kit(config, tmp_path / "reports")
    with capsys.disabled():
        print("\n" + "\n".join(printed.splitlines()[-20:]), flush=True)
    assert printed.splitlines()[-1] == "65 passed, 0 failed, 2 skipped"
