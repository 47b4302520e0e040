"""Downloads that break, change and are refused, against a real HTTP server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from connector.client.download import Edr, pull
from connector.errors import Denied, Unavailable

DATA = bytes(range(256)) * 4000  # 1 MB


@dataclass
class Origin:
    """What the server has and how it misbehaves."""

    data: bytes = DATA
    etag: str = '"v1"'
    status: int = 200
    body: bytes = b""
    cut: list[int] = field(default_factory=list)  # the nth answer ends after so many bytes
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)  # Range and If-Range of each request
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    origin: Origin

    def do_GET(self) -> None:
        origin, wanted, condition = self.origin, self.headers.get("Range"), self.headers.get("If-Range")
        origin.asked.append((wanted, condition))
        if origin.status != 200:
            self.send_response(origin.status)
            self.send_header("Content-Length", str(len(origin.body)))
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(origin.body)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and condition == origin.etag else 0
        if start >= len(origin.data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(origin.data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("ETag", origin.etag)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Content-Length", str(len(origin.data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(origin.data) - 1}/{len(origin.data)}")
        self.end_headers()
        end = start + origin.cut.pop(0) if origin.cut else len(origin.data)
        self.wfile.write(origin.data[start:end])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(origin: Origin) -> Iterator[Origin]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"origin": origin}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    origin.url = f"http://127.0.0.1:{server.server_port}/data"
    try:
        yield origin
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving(Origin()) as served:
        yield served


def bring(origin: Origin, out: Path, attempts: int = 6) -> tuple[int, bytes]:
    async def edr() -> Edr:
        return Edr(origin.url, "token")

    pulled = asyncio.run(pull(edr, out, attempts=attempts))
    return pulled.resumed_at, out.read_bytes()


def test_a_download_that_breaks_off_goes_on_where_it_stopped(origin: Origin, tmp_path: Path) -> None:
    origin.cut = [300_000, 200_000]
    assert bring(origin, tmp_path / "out.csv")[1] == DATA
    assert origin.asked == [(None, None), ("bytes=300000-", '"v1"'), ("bytes=500000-", '"v1"')]


def test_a_later_run_goes_on_from_the_kept_part(origin: Origin, tmp_path: Path) -> None:
    origin.cut = [300_000, 0]
    with pytest.raises(Unavailable, match="run the same command again"):
        bring(origin, tmp_path / "out.csv", attempts=1)
    assert not (tmp_path / "out.csv").exists()
    assert bring(origin, tmp_path / "out.csv") == (300_000, DATA)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv"]


def test_data_that_changed_in_between_is_brought_anew(origin: Origin, tmp_path: Path) -> None:
    origin.cut = [300_000, 0]
    with pytest.raises(Unavailable):
        bring(origin, tmp_path / "out.csv", attempts=1)
    origin.data, origin.etag = DATA[::-1], '"v2"'
    assert bring(origin, tmp_path / "out.csv")[1] == DATA[::-1]


def test_a_weak_etag_promises_nothing_so_nothing_is_glued_together(origin: Origin, tmp_path: Path) -> None:
    origin.etag, origin.cut = 'W/"v1"', [300_000]
    assert bring(origin, tmp_path / "out.csv")[1] == DATA
    assert origin.asked == [(None, None), (None, None)]


def test_a_part_that_is_complete_already_only_gets_its_name(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "out.csv.part").write_bytes(DATA)
    (tmp_path / "out.csv.part.etag").write_text('"v1"')
    assert bring(origin, tmp_path / "out.csv") == (len(DATA), DATA)


def test_a_refusal_says_the_providers_reason_and_leaves_no_file(origin: Origin, tmp_path: Path) -> None:
    origin.status, origin.body = 403, b'{"code": "denied", "reason": ["the count is used up"]}'
    with pytest.raises(Denied, match="the count is used up"):
        bring(origin, tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_token_never_shows_in_the_representation() -> None:
    assert "secret" not in repr(Edr("https://provider/data", "secret"))


def test_a_refusal_that_never_ends_is_not_gathered(origin: Origin, tmp_path: Path) -> None:
    origin.status, origin.body = 403, b"no " * 20_000_000
    with pytest.raises(Denied) as refused:
        bring(origin, tmp_path / "out.csv")
    assert len(str(refused.value)) < 3000


@pytest.mark.parametrize("body", [b"[" * 60_000, b'["just words"]', b'{"reason": {"a": [1]}}', b"\xff\xfe", b"12"])
def test_a_refusal_of_any_shape_is_a_refusal(origin: Origin, tmp_path: Path, body: bytes) -> None:
    origin.status, origin.body = 403, body
    with pytest.raises(Denied, match="refuses the data"):
        bring(origin, tmp_path / "out.csv")


def test_an_etag_that_cannot_be_sent_back_is_not_kept(origin: Origin, tmp_path: Path) -> None:
    origin.etag, origin.cut = '"\u00e6"', [300_000]
    assert bring(origin, tmp_path / "out.csv")[1] == DATA
