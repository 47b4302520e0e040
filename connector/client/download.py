"""Pulls a dataset to a file: resumable, and never a half file under the final name.

Bytes go to `OUT.part`; `OUT.part.etag` remembers which version they are of, so that a later run goes on with Range and
If-Range (RFC 9110, 13.1.5 and 14.2) or starts again when the data changed in between.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from connector import errors
from connector.client.wire import text

if TYPE_CHECKING:
    import httpx

REASON = 64_000  # bytes of a refusal that are read
Progress = Callable[[int, int | None], None]  # (bytes so far, bytes in all where known)


@dataclass(frozen=True, slots=True)
class Edr:
    """Where to pull, and the token that opens it."""

    endpoint: str
    authorization: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pulled:
    path: Path
    bytes: int
    sha256: str
    seconds: float
    content_type: str
    resumed_at: int  # bytes that an earlier, broken run had brought

    def __str__(self) -> str:
        rate = (self.bytes - self.resumed_at) / max(self.seconds, 1e-6) / 1e6
        resumed = f", resumed at {self.resumed_at:,}" if self.resumed_at else ""
        return f"{self.bytes:,} bytes in {self.seconds:.2f} s ({rate:.1f} MB/s{resumed})  sha256 {self.sha256}"


class _Broken(Exception):
    """The stream ended early; the next attempt goes on where it stopped."""


def quiet(done: int, total: int | None) -> None:
    """Say nothing of the progress."""


async def pull(edr: Callable[[], Awaitable[Edr]], out: Path, progress: Progress = quiet, *, attempts: int = 6) -> Pulled:
    """Bring the whole dataset to `out`. `edr` is asked before each attempt: a token may have run out meanwhile.

    Raises:
        Denied: the provider refuses, with its reason.
        Unavailable: it did not answer, or broke off, `attempts` times without a byte in between.
    """
    import httpx

    part = out.with_name(out.name + ".part")
    resumed_at = _size(part)
    left = attempts
    async with httpx.AsyncClient(timeout=httpx.Timeout(30, read=60), follow_redirects=False) as client:
        began = time.monotonic()
        while True:
            before = _size(part)
            try:
                content_type = await _attempt(client, await edr(), part, progress)
                break
            except (_Broken, httpx.TransportError) as error:
                left = attempts if _size(part) > before else left - 1
                if left <= 0:
                    raise errors.Unavailable(
                        f"the provider's data endpoint broke off or did not answer ({error or type(error).__name__}). "
                        f"What came is kept in {part}: run the same command again to go on from there"
                    ) from error
                await asyncio.sleep(min(0.2 * 2 ** (attempts - left), 5))
        seconds = time.monotonic() - began
    os.replace(part, out)
    _tag(part).unlink(missing_ok=True)
    digest = await asyncio.to_thread(_sha256, out)
    return Pulled(out, _size(out), digest, seconds, content_type, resumed_at)


async def _attempt(client: httpx.AsyncClient, edr: Edr, part: Path, progress: Progress) -> str:
    have = _size(part)
    tag = _tag(part).read_text() if have and _tag(part).exists() else ""
    # identity: a range counts the bytes of the representation, and ours is the file itself
    headers = {"Authorization": edr.authorization, "Accept-Encoding": "identity"}
    if tag:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag}
    async with client.stream("GET", edr.endpoint, headers=headers) as response:
        match response.status_code:
            case 206 if _starts_at(response, have):
                at = have
            case 200:
                at = 0
            case 416 if tag and response.headers.get("content-range", "").endswith(f"/{have}"):
                return "application/octet-stream"  # all of it had come already
            case 206 | 416:
                _drop(part)
                raise _Broken("the provider could not go on where we stopped")
            case _:
                await _refused(response)
        total = int(response.headers["content-length"]) + at if "content-length" in response.headers else None
        if at == 0:
            _remember(part, response.headers.get("etag", ""))
        with part.open("ab" if at else "wb") as file:
            async for chunk in response.aiter_raw():  # as it comes: a gathered chunk would be lost when the stream breaks
                file.write(chunk)
                at += len(chunk)
                progress(at, total)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        if total is not None and at != total:
            raise _Broken(f"{at} of {total} bytes came")
        return str(response.headers.get("content-type", "application/octet-stream"))


async def _refused(response: httpx.Response) -> None:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > REASON:  # who has so much to say has something else in mind
            break
    reason = _reason(response.status_code, body[:REASON])
    match response.status_code:
        case 401 | 403:
            raise errors.Denied(f"the provider refuses the data: {reason}")
        case 404 | 410:
            raise errors.NotFound(f"the data is not there (any more): {reason}")
        case 408 | 425 | 429 | 500 | 502 | 503 | 504:
            raise _Broken(f"{response.status_code}: {reason}")
    raise errors.ConnectorError(f"the provider's data endpoint answered {response.status_code}: {reason}")


def _reason(status: int, body: bytes) -> str:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace").strip()[:2000] or f"status {status}"
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return text(document) or f"status {status}"
    found = next((document[k] for k in ("reason", "detail", "message", "error") if document.get(k)), "")
    return text(found) or f"status {status}"


def _starts_at(response: httpx.Response, offset: int) -> bool:
    return bool(response.headers.get("content-range", "").startswith(f"bytes {offset}-"))


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _drop(part: Path) -> None:
    part.unlink(missing_ok=True)


def _tag(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _remember(part: Path, etag: str) -> None:
    """Keep a strong ETag; a weak one does not promise the same bytes, so the next run starts again."""
    if etag and etag.isascii() and not etag.startswith("W/"):
        _tag(part).write_text(etag)
    else:
        _tag(part).unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
