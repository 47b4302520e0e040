"""One process per database: an advisory lock on a file beside it.

The kernel gives the lock back when its holder dies, however it dies, so there is never a stale one to remove. It is
`flock` on a file of its own: SQLite's own locks on the database are of the kind that closing any handle would drop.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from connector.errors import OperatorError


class FileLock:
    def __init__(self, database: Path) -> None:
        """Take the lock. Raises OperatorError when another process holds it, or the folder cannot be written."""
        path = database.with_name(database.name + ".lock")
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise OperatorError(f"cannot write {path}: {error.strerror}. Create the folder, or set `database`.") from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._handle, 20, 0).decode("ascii", "replace") or "unknown"
            os.close(self._handle)
            raise OperatorError(
                f"{database} is in use by another connector (process {holder}). Stop that one first, or set `database` to "
                "another file."
            ) from error
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        with suppress(OSError):
            os.ftruncate(self._handle, 0)
        os.close(self._handle)
