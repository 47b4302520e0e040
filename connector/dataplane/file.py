"""A file as a source: `{"type": "File", "path": ..., "mediaType": ...}`, the path fixed by the operator.

GET and HEAD with conditions and ranges (`conditions`), sent by the kernel; or, where the client asks for it and it is worth
it, as a gzip stream, which is another representation with its own ETag and no ranges. The file is opened once: what is sent,
and its ETag, are of that moment's file, whatever is renamed over it; one that is written to while it is sent breaks off.
"""

from __future__ import annotations

import asyncio
import os
import re
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from mimetypes import MimeTypes
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from connector.dataplane.conditions import Version, outcome
from connector.errors import Malformed, NotFound, Unavailable
from connector.ports import DataRequest, DataResponse

PIECE = 256 * 1024  # bytes read for one step of compression
LEVEL = 1  # most clients ask for gzip unasked, so it must not become the slowest part: five times the speed of level 6
WORTH_IT = 1_400  # a smaller file is one packet anyway
MEDIA_TYPES = MimeTypes()
for media_type, suffixes in {
    "application/vnd.apache.parquet": ".parquet",
    "application/vnd.apache.arrow.file": ".arrow .feather",
    "application/x-ndjson": ".ndjson .jsonl",
    "application/fhir+json": ".fhir",
    "application/ld+json": ".jsonld",
    "application/dicom": ".dcm",
    "application/x-hdf5": ".h5 .hdf5",
    "application/vnd.sqlite3": ".sqlite",
    "text/csv": ".csv",
    "text/turtle": ".ttl",
}.items():
    for suffix in suffixes.split():
        MEDIA_TYPES.add_type(media_type, suffix)
COMPRESSIBLE = re.compile(r"text/.*|.*[+/](json|xml|x-ndjson|ndjson)|application/(javascript|sql|n-triples|n-quads|trig)")
GZIP = re.compile(r"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=([01](?:\.\d*)?))?\s*(?:,|$)", re.IGNORECASE)


class FileSource:
    """ports.Source over files. Relative paths are relative to `root`."""

    def __init__(self, root: Path = Path()) -> None:
        self._root = root

    async def check(self, address: Mapping[str, str]) -> str | None:
        if not address.get("path"):
            return "a File needs a path: where the file is, relative to connector.toml or absolute"
        path = self._path(address)
        if not path.exists():
            return f"there is no file {path}; write the path relative to {self._root}, or absolute"
        if not path.is_file():
            return f"{path} is not a regular file; one dataset is one file"
        if not os.access(path, os.R_OK):
            return f"{path} cannot be read by the user that the connector runs as; give that user the right to read it"
        return None

    async def open(self, address: Mapping[str, str], request: DataRequest) -> DataResponse:
        if request.path.strip("/"):
            raise NotFound("this dataset is one file; there is nothing below its address")
        if request.query:
            raise Malformed("this dataset is a file, which takes no query; leave it out")
        if request.method not in ("GET", "HEAD"):
            return DataResponse(405, {"Allow": "GET, HEAD"})
        file, stat = _open(self._path(address))
        try:
            return _answer(file, stat, _media_type(address), request)
        except BaseException:
            file.close()
            raise

    def _path(self, address: Mapping[str, str]) -> Path:
        return self._root / address.get("path", "")


def _open(path: Path) -> tuple[BinaryIO, os.stat_result]:
    try:
        file = open(path, "rb", buffering=0, opener=_opener)  # noqa: SIM115 - closed when the response ended
    except OSError as error:
        raise Unavailable("the dataset's file cannot be read at the moment") from error
    stat = os.fstat(file.fileno())
    if not S_ISREG(stat.st_mode):
        file.close()
        raise Unavailable("the dataset's file cannot be read at the moment")
    return file, stat


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe would hang here


def _answer(file: BinaryIO, stat: os.stat_result, media_type: str, request: DataRequest) -> DataResponse:
    version = _version(stat)
    headers = {"Content-Type": media_type, "Accept-Ranges": "bytes", "Last-Modified": version.last_modified}
    compressed = False
    if stat.st_size >= WORTH_IT and COMPRESSIBLE.fullmatch(media_type.partition(";")[0]):
        headers["Vary"] = "Accept-Encoding"
        compressed = "range" not in request.headers and _wants_gzip(request.headers)
    if compressed:
        version = replace(version, etag=version.etag[:-1] + '-gzip"')
    headers["ETag"] = version.etag
    found = outcome(request.headers, version, request.method)
    if found.status in (304, 412, 416):
        file.close()
        return DataResponse(found.status, _without_body(found.status, headers, version.size))
    if compressed:
        headers["Content-Encoding"] = "gzip"
    else:
        headers["Content-Length"] = str(found.count)
    if found.status == 206:
        headers["Content-Range"] = f"bytes {found.offset}-{found.offset + found.count - 1}/{version.size}"
    if request.method == "HEAD":
        file.close()
        return DataResponse(found.status, headers)
    if compressed:
        return DataResponse(200, headers, chunks=_compress(file, stat), close=file.close)
    return DataResponse(
        found.status, headers, file=(file, found.offset, found.count), intact=lambda: _intact(file, stat), close=file.close
    )


def _version(stat: os.stat_result) -> Version:
    identity = f"{stat.st_dev}-{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}"
    modified = datetime.fromtimestamp(stat.st_mtime_ns // 1_000_000_000, UTC)
    return Version(stat.st_size, f'"{sha256(identity.encode()).hexdigest()[:24]}"', modified)


def _without_body(status: int, headers: dict[str, str], size: int) -> dict[str, str]:
    kept = {name: value for name, value in headers.items() if name != "Content-Type"}
    return kept | {"Content-Range": f"bytes */{size}"} if status == 416 else kept


def _intact(file: BinaryIO, then: os.stat_result) -> bool:
    now = os.fstat(file.fileno())
    return (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns)


async def _compress(file: BinaryIO, then: os.stat_result) -> AsyncIterator[bytes]:
    """Yield the file as gzip; a worker compresses, so that the loop serves others meanwhile."""
    gzip = zlib.compressobj(LEVEL, wbits=31)

    def step() -> tuple[bytes, bool]:
        piece = file.read(PIECE)
        return (gzip.compress(piece), True) if piece else (gzip.flush(), False)

    more = True
    while more:
        compressed, more = await asyncio.to_thread(step)
        if not more and not _intact(file, then):
            raise Unavailable("the dataset's file changed while it was sent")
        if compressed:
            yield compressed


def _media_type(address: Mapping[str, str]) -> str:
    if written := address.get("mediaType") or address.get("contentType"):
        return written
    guessed, encoding = MEDIA_TYPES.guess_type(address.get("path", ""))
    if encoding == "gzip":
        return "application/gzip"
    return guessed or "application/octet-stream"


def _wants_gzip(headers: Mapping[str, str]) -> bool:
    asked = GZIP.search(headers.get("accept-encoding", ""))
    return asked is not None and float(asked.group(1) or 1) > 0
