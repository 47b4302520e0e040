"""What runs beside the tests: two EDCs of published artifacts, our connector, and where data comes from and goes to."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from connector.identity.keys import Keys
from tests.conformance.edc.sides import Side, until

HERE = Path(__file__).parent
CACHE = HERE.parents[2] / ".cache" / "edc"
NEEDS = ("java", "javac", "mvn", "openssl", "curl")
ROWS = b"patient,age,outcome\n" + b"".join(b"%d,%d,%d\n" % (n, 40 + n % 40, n % 3) for n in range(2000))


def missing() -> str | None:
    """Return why EDC cannot be run here."""
    lacking = [tool for tool in NEEDS if shutil.which(tool) is None]
    return f"EDC needs {', '.join(lacking)} (make setup-ci)" if lacking else None


def free_ports(count: int) -> int:
    """Return the first of `count` free neighbouring ports, on all interfaces: EDC listens on them all."""
    for base in range(21_000 + os.getpid() % 9_000, 60_000, 31):
        with ExitStack() as stack:
            try:
                for port in range(base, base + count):
                    stack.enter_context(socket.socket()).bind(("", port))
            except OSError:
                continue
        return base
    raise RuntimeError("no free ports")


# --- EDC -------------------------------------------------------------------------------------------------------------


@contextmanager
def edcs(*participants: str) -> Iterator[list[Side]]:
    """Run one EDC for each participant; the first time ever, its jars are resolved."""
    env = os.environ | {
        "EDC_HOME": str(CACHE),
        "EDC_ITER_MS": "20",
        "EDC_EXTENSION": str(HERE / "extension"),
        "EDC_JAVA_OPTS": "-Xmx300m -XX:TieredStopAtLevel=1",
    }
    with ExitStack() as stack:
        base = free_ports(6 * len(participants))
        started = []
        for index, participant in enumerate(participants):  # all at once, then wait for each
            port = base + 6 * index
            script = subprocess.Popen(
                ["bash", str(HERE / "run.sh"), participant, str(port)],
                env=env, stdout=subprocess.PIPE, text=True, start_new_session=True,
            )  # fmt: skip
            stack.callback(_stop, script)
            stack.callback(shutil.rmtree, CACHE / "run" / f"{participant}-{port}", ignore_errors=True)
            started.append((participant, port, script))
        for participant, _, script in started:
            assert script.stdout is not None
            if not (told := script.stdout.readline()).startswith("ready"):
                raise RuntimeError(f"EDC {participant} did not start: {told or 'it ended at once'}")
        sides = [
            Side("edc", name, f"http://127.0.0.1:{port + 1}/management/v3", f"http://127.0.0.1:{port + 2}/protocol")
            for name, port, _ in started
        ]
        for side in sides:
            stack.callback(side.http.close)
        yield sides


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()  # the script passes it on to its Java
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


# --- ours ------------------------------------------------------------------------------------------------------------


@dataclass
class Ours:
    """Our connector as a process over a folder, so that it can be killed in the middle of something."""

    folder: Path
    participant: str = "hospital"
    port: int = field(default_factory=lambda: free_ports(2))
    process: subprocess.Popen[bytes] | None = None

    @cached_property
    def side(self) -> Side:
        here = f"http://127.0.0.1:{self.port}"
        return Side("ours", self.participant, f"http://127.0.0.1:{self.port + 1}/management/v3", f"{here}/dsp")

    def write(self) -> None:
        for name in ("policies", "catalog"):
            (self.folder / name).mkdir(parents=True)
        Keys.generate(self.folder / "keys", datetime.now(UTC))
        (self.folder / "connector.toml").write_text(
            f'participant = "{self.participant}"\ndevelopment = true\nlog_level = "info"\n'
            f'[public]\nport = {self.port}\nurl = "http://127.0.0.1:{self.port}"\n[management]\nport = {self.port + 1}\n'
            '[identity]\nkind = "plain"\n[delivering]\nfirst = "50ms"\nlongest = "500ms"\n'
        )

    def start(self) -> None:
        with (self.folder / "log.txt").open("ab") as log:
            command = [sys.executable, "-m", "connector.cli", "serve", str(self.folder)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=HERE.parents[2])
        until(self._ready, lambda: (self.folder / "log.txt").read_text()[-2000:])

    def _ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port + 1}/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End it as a power cut does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)
        self.side.http.close()

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(15)


# --- data ------------------------------------------------------------------------------------------------------------


@dataclass
class Data:
    """`/rows` is the data; `/endless` never ends; `/in/NAME` takes what is pushed there."""

    url: str = ""
    taken: dict[str, list[tuple[str, dict[str, str], bytes]]] = field(default_factory=dict)  # method, headers, body

    def pushed(self, name: str) -> list[tuple[str, dict[str, str], bytes]]:
        return until(lambda: self.taken.get(name), lambda: f"nothing was pushed to {name}")


@contextmanager
def serving() -> Iterator[Data]:
    data, over = Data(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/csv")
            if self.path != "/endless":
                self.send_header("Content-Length", str(len(ROWS)))
                self.end_headers()
                self.wfile.write(ROWS)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while not over.is_set():
                try:
                    self.wfile.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
                except OSError:
                    break
                time.sleep(0.01)
            self.close_connection = True

        def do_POST(self) -> None:
            name = self.path.rsplit("/", 1)[-1]
            data.taken.setdefault(name + ":begun", []).append((self.command, dict(self.headers), b""))
            try:
                body = self._body()
            except (OSError, ValueError):  # it broke off
                data.taken.setdefault(name + ":broken", []).append((self.command, {}, b""))
                self.close_connection = True
                return
            data.taken.setdefault(name, []).append((self.command, dict(self.headers), body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_PUT = do_POST

        def _body(self) -> bytes:
            if (length := self.headers.get("Content-Length")) is not None:
                body = self.rfile.read(int(length))
                if len(body) < int(length):
                    raise OSError("broken off")
                return body
            parts = []
            while size := int(self.rfile.readline().strip() or b"?", 16):
                parts.append(self.rfile.read(size + 2)[:size])
            self.rfile.readline()
            return b"".join(parts)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    data.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield data
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()
