"""Conditional and range requests over something of known size: which answer RFC 9110 wants (sections 13.2.2 and 14).

Pure. A choice: of several ranges in one request the whole is sent (14.2 lets a server ignore Range), because
multipart/byteranges costs more than it is worth to a client that can ask again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)
TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


@dataclass(frozen=True, slots=True)
class Version:
    """What is there to send: `etag` is strong, with its quotation marks; `modified` has whole seconds."""

    size: int
    etag: str
    modified: datetime

    @property
    def last_modified(self) -> str:
        return format_datetime(self.modified, usegmt=True)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The status to answer, and which bytes of the representation."""

    status: int
    offset: int = 0
    count: int = 0


def outcome(headers: Mapping[str, str], version: Version, method: str = "GET") -> Outcome:
    """Return the answer to a GET or HEAD request with these (lower-case) headers."""
    whole = Outcome(200, 0, version.size)
    if _failed(headers, version):
        return Outcome(412)
    if _not_modified(headers, version):
        return Outcome(304)
    if method != "GET" or "range" not in headers or not _if_range(headers.get("if-range"), version):
        return whole
    return _range(headers["range"], version.size) or whole


def _failed(headers: Mapping[str, str], version: Version) -> bool:
    if (tags := headers.get("if-match")) is not None:
        return tags.strip() != "*" and version.etag not in _tags(tags, weak=False)
    since = _date(headers.get("if-unmodified-since"))
    return since is not None and version.modified > since


def _not_modified(headers: Mapping[str, str], version: Version) -> bool:
    if (tags := headers.get("if-none-match")) is not None:
        return tags.strip() == "*" or version.etag in _tags(tags, weak=True)
    since = _date(headers.get("if-modified-since"))
    return since is not None and version.modified <= since


def _if_range(condition: str | None, version: Version) -> bool:
    if condition is None:
        return True
    if '"' in condition:
        return condition.strip() == version.etag  # strong comparison: a weak tag never matches
    return _date(condition) == version.modified


def _range(written: str, size: int) -> Outcome | None:
    """Return the answer to a Range header, or None where it is to be ignored."""
    match = RANGE.fullmatch(written.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":  # the last so many bytes
        count = min(int(last), size)
        return Outcome(206, size - count, count) if count else Outcome(416)
    if last and int(last) < int(first):
        return None
    start, end = int(first), min(int(last), size - 1) if last else size - 1
    return Outcome(206, start, end - start + 1) if start < size else Outcome(416)


def _tags(header: str, *, weak: bool) -> frozenset[str]:
    return frozenset(tag for is_weak, tag in TAG.findall(header) if weak or not is_weak)


def _date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text).replace(tzinfo=UTC) if text else None
    except ValueError:
        return None
