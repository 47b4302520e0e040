"""The two hospitals of the demo: their folders, their trust in each other, and their running connectors."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from connector import config
from connector.cli import own, template
from connector.cli.folder import create
from connector.cli.keyring import dsp_base, public_keys
from connector.client import Management
from connector.client.peer import Peer
from connector.errors import OperatorError, Unavailable

HERE = Path(__file__).parent
READY_WITHIN = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Hospital:
    """One hospital with its running connector. `started` is how long it took until it was ready, in seconds."""

    settings: config.Settings
    api: Management
    started: float
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def name(self) -> str:
        return self.settings.name

    def stop(self) -> int:
        """Stop its connector as an operator does; return the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=READY_WITHIN)

    @property
    def as_peer(self) -> Peer:
        """How its partners call it."""
        return Peer(self.settings.participant, dsp_base(self.settings))


@contextmanager
def founded(folder: Path) -> Iterator[tuple[Hospital, Hospital]]:
    """Yield Odense (which provides) and Aarhus (which consumes), both running, until the block is left."""
    ports = free_ports(4)
    odense, aarhus = _folder(folder, "Odense", ports[:2]), _folder(folder, "Aarhus", ports[2:])
    _publish(odense.root)
    _trust(odense, aarhus)
    _trust(aarhus, odense)
    with ExitStack() as stack:
        processes = [(one, stack.enter_context(_serving(one)), time.monotonic()) for one in (odense, aarhus)]
        first, second = [stack.enter_context(_ready(*one)) for one in processes]
        yield first, second


def gbsg2() -> Path:
    """Return the trial's CSV file inside the `lifelines` package, which is found but not imported. Raises OperatorError."""
    spec = find_spec("lifelines")
    file = Path(spec.origin).parent / "datasets" / "gbsg2.csv" if spec and spec.origin else None
    if file is None or not file.exists():
        raise OperatorError("the demo's data is not installed: pip install 'hospital-connector[demo]'")
    return file


def _folder(parent: Path, name: str, ports: list[int]) -> config.Settings:
    root = parent / name.lower()
    public, management = ports
    create(root, f"urn:connector:{name.lower()}", name, f"http://127.0.0.1:{public}", (public, management))
    for examples in ("catalog", "policies"):
        shutil.rmtree(root / examples)
        (root / examples).mkdir()
    return config.load(root, {})


def _publish(root: Path) -> None:
    """Put the trial and its policy where an operator would."""
    shutil.copytree(HERE / "odense", root, dirs_exist_ok=True)
    (root / "data").mkdir()
    shutil.copyfile(gbsg2(), root / "data" / "gbsg2.csv")


def _trust(one: config.Settings, other: config.Settings) -> None:
    """Write `other` into the trust file of `one`: what `connector keys export` is for."""
    entry = template.trust_entry(other.participant, other.name, "DK", dsp_base(other), public_keys(other))
    with (one.root / one.identity.trust_file).open("a") as file:
        file.write(entry + "\n")


@contextmanager
def _serving(settings: config.Settings) -> Iterator[subprocess.Popen[bytes]]:
    # Variables of the operator's own connector are none of the demo's business.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTOR_")}
    command = [sys.executable, "-m", "connector.cli", "serve", str(settings.root)]
    with (
        (settings.root / "log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,  # noqa: S603
    ):
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def _ready(settings: config.Settings, process: subprocess.Popen[bytes], since: float) -> Iterator[Hospital]:
    import httpx

    url = own.private_url(settings)
    while True:
        try:
            if httpx.get(f"{url}/health/ready", timeout=2, trust_env=False).status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.02)
        if process.poll() is not None or time.monotonic() - since > READY_WITHIN:
            log = (settings.root / "log").read_text("utf-8", "replace")[-2000:]
            raise Unavailable(f"{settings.name}'s connector did not start. Its log ends with:\n{log}")
    with own.of(settings) as api:
        yield Hospital(settings, api, time.monotonic() - since, process)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now; held all at once, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]
