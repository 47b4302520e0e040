"""Numbered migrations, applied at start, each in one transaction and recorded with its checksum.

A released migration never changes. Whoever opens a database that a newer connector has touched is told so, rather than
guessing at its shape.
"""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

from connector.errors import OperatorError

TABLE = """CREATE TABLE IF NOT EXISTS migrations
    (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at TEXT NOT NULL)"""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped() -> tuple[Migration, ...]:
    """Return the migrations that this version knows, in order."""
    folder = files("connector.store") / "sql" / "migrations"
    scripts = sorted((file.name, file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".sql"))
    return tuple(Migration(int(name[:4]), name, sql) for name, sql in scripts)


def migrate(connection: sqlite3.Connection, migrations: tuple[Migration, ...], now: datetime) -> None:
    """Bring the schema to the last of `migrations`. `connection` is in autocommit mode.

    Raises:
        OperatorError: the database is not a connector's, or was changed by migrations that differ from these.
    """
    done = _applied(connection)
    for migration in migrations:
        if migration.number not in done:
            _apply(connection, migration, now)
        elif done.pop(migration.number) != migration.checksum:
            raise OperatorError(
                f"the database was made with another {migration.name} than this version ships. Start the version of the "
                "connector that made it, or restore a backup made by this version."
            )
    if done:
        raise OperatorError(
            f"a newer connector has changed this database (migration {max(done):04}; this version knows up to "
            f"{migrations[-1].number:04}). Install that version again, or restore a backup made before the upgrade."
        )


def _applied(connection: sqlite3.Connection) -> dict[int, str]:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "migrations" not in tables:
        raise OperatorError("the database belongs to another program. Set `database` to a file of the connector's own.")
    connection.execute(TABLE)
    return dict(connection.execute("SELECT number, checksum FROM migrations"))


def _apply(connection: sqlite3.Connection, migration: Migration, now: datetime) -> None:
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{migration.sql}")
        row = (migration.number, migration.name, migration.checksum, now.isoformat())
        connection.execute("INSERT INTO migrations VALUES (?, ?, ?, ?)", row)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
