"""The embedded store: one SQLite file in WAL mode, `synchronous=FULL`, one writer, snapshots for readers.

FULL because WAL with NORMAL may lose the last commits on a power loss, and an answer leaves only after what it says is
durable. `:memory:` keeps everything on the writer's connection, reads included: nothing is shared between connections.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from connector.errors import ConnectorError, OperatorError, Unavailable
from connector.ports import Clock, Transaction
from connector.store.lock import FileLock
from connector.store.migrations import Migration, migrate, shipped
from connector.store.tables import Tables
from connector.store.writer import Writer

T = TypeVar("T")

MEMORY = ":memory:"
READERS = 2
PRAGMAS = (
    "PRAGMA busy_timeout = 5000",  # another program that looks at the file, a backup for instance
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA recursive_triggers = ON",  # REPLACE must not slip past a trigger on DELETE
    "PRAGMA journal_size_limit = 67108864",
)


class SqliteStore:
    """`ports.Store` on one file. Made by `open`."""

    def __init__(self, path: str, connection: sqlite3.Connection, lock: FileLock | None) -> None:
        self._path = path
        self._lock = lock
        self._writer = Writer(connection)
        self._readers = ThreadPoolExecutor(READERS, "store-reader") if lock else None
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self.on_commit: Callable[[], None] = _nothing  # called in the event loop after each transaction

    @classmethod
    def open(cls, path: str | Path, clock: Clock, migrations: tuple[Migration, ...] | None = None) -> SqliteStore:
        """Open or create the database, bring its schema up to date, and give back what a former process had leased.

        Raises:
            OperatorError: another process has it open, it was made by a newer connector, or it cannot be used as a file.
        """
        name = str(path)
        lock = None if name == MEMORY else FileLock(Path(name))
        try:
            return cls(name, _prepare(name, clock, migrations or shipped()), lock)
        except BaseException:
            if lock:
                lock.release()
            raise

    @property
    def commits(self) -> int:
        """How often the disk was waited for; `transactions` over this is how well commits are shared."""
        return self._writer.commits

    @property
    def transactions(self) -> int:
        return self._writer.transactions

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written now, as far as the last commit tells; None when all is well."""
        return self._writer.trouble

    async def transact(self, work: Callable[[Transaction], T], /) -> T:
        """Run `work` in a write transaction; return its result once it is durable. An exception rolls back and rises."""
        result: T = await self._writer.submit(work)
        self.on_commit()
        return result

    async def read(self, work: Callable[[Transaction], T], /) -> T:
        """Run `work` on a consistent snapshot. It must not write."""
        if self._readers is None:
            seen: T = await self._writer.submit(work, writes=False)
            return seen
        snapshot = partial(contextvars.copy_context().run, self._snapshot, work)
        try:
            pending = self._readers.submit(snapshot)
        except RuntimeError as error:
            raise Unavailable("the connector is shutting down") from error
        return await asyncio.wrap_future(pending)

    async def close(self) -> None:
        """Finish the queued transactions and let the file go."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if self._readers:
            self._readers.shutdown()
        while self._opened:
            self._opened.pop().close()
        self._writer.close()
        if self._lock:
            self._lock.release()
            self._lock = None

    def _snapshot(self, work: Callable[[Transaction], T]) -> T:
        try:
            connection, tables = self._reader()
            connection.execute("BEGIN")
        except sqlite3.Error as error:
            raise Unavailable(f"the database cannot be read: {error}") from error
        try:
            return work(tables)
        finally:
            connection.execute("ROLLBACK")

    def _reader(self) -> tuple[sqlite3.Connection, Tables]:
        """Return this thread's connection."""
        if not hasattr(self._local, "reader"):
            connection = _connect(self._path)
            connection.execute("PRAGMA query_only = ON")
            self._opened.append(connection)
            self._local.reader = connection, Tables(connection)
        reader: tuple[sqlite3.Connection, Tables] = self._local.reader
        return reader


def _nothing() -> None:
    """Nobody wants to hear of commits."""


def _prepare(path: str, clock: Clock, migrations: tuple[Migration, ...]) -> sqlite3.Connection:
    """Return the writer's connection with the schema in place and no lease held."""
    try:
        if path != MEMORY:
            _create(path)
        connection = _connect(path)
    except (OSError, sqlite3.Error) as error:
        raise OperatorError(f"{path} cannot be opened: {error}. Check `database` and the rights on its folder.") from error
    try:
        migrate(connection, migrations, clock())
        Tables(connection).outbox.give_back()
    except (sqlite3.Error, ConnectorError) as error:
        connection.close()
        if isinstance(error, OperatorError):
            raise OperatorError(f"{path}: {error}") from error
        raise OperatorError(f"{path} cannot be used: {error}. Free disk space, or restore a backup.") from error
    return connection


def _create(path: str) -> None:
    """Make the file, if there is none, readable for its owner alone: it holds secrets.

    Only before the first connection: closing any handle of a file ends the locks that SQLite holds on it (POSIX).
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _connect(path: str) -> sqlite3.Connection:
    # Connections stay in one thread each; only opening and closing happen in others.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if path != MEMORY and mode != "wal":
        raise sqlite3.OperationalError("its file system has no shared memory for SQLite's WAL; use a local disk")
    for pragma in PRAGMAS:
        connection.execute(pragma)
    return connection
