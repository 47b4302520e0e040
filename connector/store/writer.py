"""The one thread that writes, with group commit.

Whatever is queued is run in one transaction, each piece of work in a savepoint of its own, and committed once: while one
batch waits for the disk the next one gathers, so durability costs one fsync for many. Callers hear of their work only after
the commit. An exception undoes its own piece and no other.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from connector.errors import Unavailable
from connector.store.tables import Tables

AT_ONCE = 256  # pieces of work in one commit; more would make the first of them wait too long

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Job:
    """A piece of work and whoever waits for it."""

    work: Callable[[Tables], Any]
    future: asyncio.Future[Any]
    writes: bool = True
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    result: Any = None
    error: BaseException | None = None

    def resolve(self) -> None:
        """Tell the caller; runs in its event loop."""
        if self.future.done():
            return  # cancelled: the work is done all the same, as a request whose answer was lost
        if self.error is None:
            self.future.set_result(self.result)
        elif isinstance(self.error, StopIteration):  # a future refuses this one, and the rest of the batch would not be told
            self.future.set_exception(RuntimeError("the work raised StopIteration"))
        else:
            self.future.set_exception(self.error)


class Writer:
    """Owns the writing connection. `commits` and `transactions` say how many fsyncs carried how much work."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.commits = 0
        self.transactions = 0
        self.trouble: str | None = None  # why the last commit failed; None when it did not
        self._connection = connection
        self._tables = Tables(connection)
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def submit(self, work: Callable[[Tables], Any], *, writes: bool = True) -> Any:
        """Return what `work` returned, after the commit. A caller that is cancelled while it waits in the queue takes
        its work with it; once it runs, it runs to its end."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with self._gate:
            if self._closed:
                raise Unavailable("the connector is shutting down")
            self._queue.put(Job(work, future, writes))
        return await future

    def close(self) -> None:
        """Finish what is queued, then end the thread and the connection."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        last = False
        while not last:
            batch, last = self._gather()
            jobs = [job for job in batch if not job.future.cancelled()]
            if jobs:
                self._commit(jobs)
                _tell(jobs)
        self._connection.close()

    def _gather(self) -> tuple[list[Job], bool]:
        """Wait for one job, take what else is there, and return them and whether they are the last."""
        batch: list[Job] = []
        job = self._queue.get()
        while job is not None:
            batch.append(job)
            if len(batch) == AT_ONCE:
                return batch, False
            try:
                job = self._queue.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _commit(self, jobs: list[Job]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._perform(job)
            self._connection.execute("COMMIT")
        except Exception as error:  # whatever it was, the thread lives on and nobody waits for ever
            self._fail(jobs, error)
        else:
            self.commits += 1
            self.transactions += sum(job.writes and job.error is None for job in jobs)
            self.trouble = None

    def _perform(self, job: Job) -> None:
        execute = self._connection.execute
        execute("SAVEPOINT work")
        try:
            if not job.writes:
                execute("PRAGMA query_only = ON")
            job.result = job.context.run(job.work, self._tables)
        except BaseException as error:
            if not self._connection.in_transaction:
                raise  # a full disk or an I/O error has undone the whole batch
            job.error = error
            execute("ROLLBACK TO work")
        finally:
            if not job.writes:
                execute("PRAGMA query_only = OFF")
        execute("RELEASE work")

    def _fail(self, jobs: list[Job], error: Exception) -> None:
        with suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")
        self.trouble = f"the database cannot be written ({error}); check the disk's space and health"
        log.error("%s; %d transactions were undone", self.trouble, len(jobs))
        for job in jobs:
            job.result = None
            job.error = Unavailable(f"{self.trouble}. Nothing was changed.")


def _tell(jobs: list[Job]) -> None:
    """Resolve each loop's futures in one call, so that it wakes once."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[Job]] = defaultdict(list)
    for job in jobs:
        by_loop[job.future.get_loop()].append(job)
    for loop, told in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, told)


def _resolve(jobs: list[Job]) -> None:
    for job in jobs:
        job.resolve()
