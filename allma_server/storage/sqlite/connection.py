"""Connections to the database, and transactions on the one that writes."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiosqlite

from allma_server.errors import StorageError

Values = Sequence[Any] | Mapping[str, Any]

STEPS_BETWEEN_CHECKS = 10_000
"""SQLite instructions, some tenths of a millisecond, between two checks for cancellation."""


class Transaction:
    """Statements that take effect together, when their `async with` block ends.

    `changed_documents` and `workspaces_changed` record what the table of documents in memory has
    to read again afterwards.
    """

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self.changed_documents: set[int] = set()
        self.workspaces_changed = False

    async def rows(self, sql: str, values: Values = ()) -> list[sqlite3.Row]:
        return list(await self._connection.execute_fetchall(sql, values))

    async def row(self, sql: str, values: Values = ()) -> sqlite3.Row | None:
        rows = await self.rows(sql, values)
        return rows[0] if rows else None

    async def execute(self, sql: str, values: Values = ()) -> int:
        """Run a statement, and return the number of rows it changed."""
        async with self._connection.execute(sql, values) as cursor:
            return cursor.rowcount

    async def insert(self, sql: str, values: Values = ()) -> int:
        """Insert one row, and return its id."""
        async with self._connection.execute(sql, values) as cursor:
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    async def many(self, sql: str, values: Iterable[Values]) -> None:
        """Run a statement once for each of `values`."""
        async with self._connection.executemany(sql, values):
            pass


@contextlib.asynccontextmanager
async def transaction_on(writer: aiosqlite.Connection) -> AsyncGenerator[Transaction]:
    """Commit what the block does, or roll it back when it raises or is cancelled."""
    # Not `sqlite3_interrupt`: while full-text search has a blob open, it also interrupts the
    # ROLLBACK and the statements after it.
    stopped = threading.Event()
    try:
        await writer.set_progress_handler(stopped.is_set, STEPS_BETWEEN_CHECKS)
        await writer.execute_fetchall("BEGIN IMMEDIATE")
        yield Transaction(writer)
        await writer.execute_fetchall("COMMIT")
    except asyncio.CancelledError:
        stopped.set()
        try:
            await writer.rollback()
        finally:
            stopped.clear()
        raise
    except BaseException:
        # Queued on the writer before anything else, even if this is cancelled too.
        await writer.rollback()
        raise


async def connect(stack: contextlib.AsyncExitStack, path: Path, mode: str) -> aiosqlite.Connection:
    """Open a connection that `stack` closes; `mode` is that of SQLite's URI."""
    uri = f"{path.as_uri()}?mode={mode}"
    connection = await stack.enter_async_context(
        aiosqlite.connect(uri, uri=True, isolation_level=None, timeout=5)
    )
    connection.row_factory = sqlite3.Row
    # In memory: a full disk must not prevent a search from sorting its results.
    await connection.execute_fetchall("PRAGMA temp_store = MEMORY")
    return connection


async def prepare_writer(writer: aiosqlite.Connection, path: Path) -> None:
    """Set the pragmas of the connection that writes.

    Raises:
        StorageError: the disk does not support SQLite's write-ahead log, as on network drives.
    """
    [(mode,)] = await writer.execute_fetchall("PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise StorageError(
            f"The disk that holds {path} cannot share a database safely between connections.",
            "Choose a data directory on a local disk with --data or ALLMA_DATA_DIR.",
        )
    # `secure_delete` overwrites deleted text: what was removed from the index must not stay on
    # the disk.
    for pragma in ("synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON"):
        await writer.execute_fetchall(f"PRAGMA {pragma}")
