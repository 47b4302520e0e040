"""A SQLite connection whose errors are the house's."""

from __future__ import annotations

import sqlite3
from typing import Any

from connector.errors import Conflict, Malformed, Unavailable
from connector.store import criteria

Row = tuple[Any, ...]


class Connection:
    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw
        criteria.install(raw)

    def run(self, sql: str, values: Row = ()) -> sqlite3.Cursor:
        """Execute one statement.

        Raises:
            Conflict: an id is taken already.
            Malformed: a value cannot be stored: not UTF-8, or a number beyond 64 bits.
            Unavailable: the database failed; it says how.
        """
        try:
            return self.raw.execute(sql, values)
        except sqlite3.IntegrityError as error:
            raise Conflict(f"the database refuses this: {error}") from error
        except (UnicodeEncodeError, OverflowError) as error:
            raise Malformed(f"this cannot be stored: {error}") from error
        except sqlite3.Error as error:
            raise Unavailable(f"the database does not work: {error}") from error

    def all(self, sql: str, values: Row = ()) -> list[Row]:
        cursor = self.run(sql, values)
        try:
            return cursor.fetchall()
        except sqlite3.Error as error:
            raise Unavailable(f"the database does not work: {error}") from error

    def first(self, sql: str, values: Row = ()) -> Any:
        """Return the first value of the only row, None when there is no row."""
        rows = self.all(sql, values)
        return rows[0][0] if rows else None
