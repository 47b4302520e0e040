"""Noticing that files have changed: by looking at names, sizes and times, once a second.

Not by the system's change events: they do not arrive from network shares, and a hospital's configuration often lies on one;
looking works everywhere and costs 10 us a file. A change counts when two looks in a row see the same, so that a
half-written file or a half-copied folder waits, and only when the content is another than the last one reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from connector.config import Settings
from connector.errors import InvalidFiles, Problem
from connector.files.publication import Published, collect, names, places, publish

Signature = tuple[tuple[str, int, int, int], ...]
OnChange = Callable[[Published | InvalidFiles], Awaitable[None]]
EVERY = timedelta(seconds=1)


class Watcher:
    """Looks once per call of `look`, which says what is new: what can be put in force, or why nothing can."""

    def __init__(self, settings: Settings, digest: str | None) -> None:
        """`digest` is of the files in force (`Published.digest`), None where there are none."""
        self._settings, self._digest = settings, digest
        self._before: Signature | None = None
        self._settled: Signature | None = None
        self._problems: tuple[Problem, ...] = ()  # of the last report

    def look(self) -> Published | InvalidFiles | None:
        """Return what has changed and come to rest since the last report, else None.

        After a report of problems each look tries again, for what was missing may lie outside the two folders.
        """
        now, before = self._signature(), self._before
        self._before = now
        if now != before or (now == self._settled and not self._problems):
            return None
        folders = collect(self._settings)
        if self._signature() != now:
            return None  # written to while it was read
        self._settled = now
        if folders.digest == self._digest and not self._problems:
            return None
        try:
            found: Published | InvalidFiles = publish(folders)
        except InvalidFiles as error:
            found = error
        problems = found.problems if isinstance(found, InvalidFiles) else ()
        if folders.digest == self._digest and problems == self._problems:
            return None
        self._digest, self._problems = folders.digest, problems
        return found

    def _signature(self) -> Signature:
        return tuple(seen for folder, suffixes in places(self._settings) for seen in _seen(folder, suffixes))


async def watch(settings: Settings, on_change: OnChange, digest: str | None, every: timedelta = EVERY) -> None:
    """Call `on_change` with every change that has come to rest, until cancelled.

    It gets what to put in force, or InvalidFiles with every problem: then what was in force stays in force.
    """
    watcher = Watcher(settings, digest)
    while True:
        found = await asyncio.to_thread(watcher.look)
        if found is not None:
            await on_change(found)
        await asyncio.sleep(every.total_seconds())


def _seen(folder: Path, suffixes: tuple[str, ...]) -> list[tuple[str, int, int, int]]:
    try:
        return [_stamp(folder / name) for name in names(folder, suffixes)]
    except OSError:
        return [_stamp(folder)]


def _stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        status = path.stat()
    except OSError:  # gone since it was listed, or a link to nowhere
        return (str(path), 0, 0, 0)
    return (str(path), status.st_mtime_ns, status.st_size, status.st_ino)
