"""SQLite, the source of truth: one writer and a few readers.

Writes go through `transaction`, one at a time, all or nothing. Reads run beside them on their own
connections and see the last committed state.
"""

import asyncio
import contextlib
import logging
import sqlite3
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

import aiosqlite

from allma_server.errors import UNWRITABLE, StorageError
from allma_server.storage.sqlite.backup import delete_backups
from allma_server.storage.sqlite.connection import (
    Transaction,
    Values,
    connect,
    prepare_writer,
    transaction_on,
)
from allma_server.storage.sqlite.database_file import prepare_file, reading_mode, refuse_read_only
from allma_server.storage.sqlite.failures import translated, translated_writes
from allma_server.storage.sqlite.migrations import MIGRATIONS, Migration
from allma_server.storage.sqlite.schema import check_schema, migrate

log = logging.getLogger(__name__)

READERS = 3


class DocumentListener(Protocol):
    """Called after each transaction that may have changed these documents, or workspaces."""

    def __call__(self, documents: Collection[int], *, workspaces: bool) -> None: ...


class Database:
    """An open database. Made by `open_database`.

    Where nothing can be written, a database that was closed cleanly is opened for reading; the
    first change that succeeds later opens it for writing too. `write_error`: why the last change
    could not be written; None when it was.
    """

    def __init__(
        self,
        path: Path,
        open_writer: Callable[[], Awaitable[aiosqlite.Connection]],
        open_reader: Callable[[str], Awaitable[aiosqlite.Connection]],
    ) -> None:
        self.path = path
        self._open_writer = open_writer
        self._open_reader = open_reader
        self._writer: aiosqlite.Connection | None = None
        self.write_error: StorageError | None = None
        self._writing = asyncio.Lock()
        self._readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self.changed = asyncio.Event()
        self.document_listeners: list[DocumentListener] = []
        self.words_changed = asyncio.Event()
        self.shares_changed = asyncio.Event()

    async def open(self) -> None:
        """Open the connections; `open_database` closes them.

        Raises:
            DataDirectoryTooNew, DiskFull, StorageError: as `open_database`.
        """
        mode = "ro"
        try:
            self._writer = await self._open_writer()
        except UNWRITABLE as exc:
            mode = await asyncio.to_thread(reading_mode, self.path, exc)
            self.write_error = exc
            log.warning("opened for reading only: %s", exc)
        await self._fill_readers(mode)

    async def prepare_close(self) -> None:
        """Move the write-ahead log into the database, before the connections are closed."""
        # A stopped run may still be writing its record.
        async with self._writing:
            if self._writer is None:
                return
            try:
                async with translated_writes(self.path):
                    await self._writer.execute_fetchall("PRAGMA optimize")
                    await self._writer.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
            except UNWRITABLE as exc:
                log.warning("the write-ahead log of %s stays: %s", self.path, exc)

    async def _fill_readers(self, mode: str) -> None:
        with translated(self.path):
            for _ in range(READERS):
                self._readers.put_nowait(await self._open_reader(mode))

    async def _opened_writer(self) -> aiosqlite.Connection:
        """Return the writer, opened now if it could not be before; `_writing` is held."""
        if self._writer is None:
            writer = await self._open_writer()
            for _ in range(READERS):
                await (await self._readers.get()).close()
            await self._fill_readers("ro")
            self._writer = writer
        return self._writer

    async def check_writable(self) -> None:
        """Return when changes can be written, as far as is known without writing one.

        Raises:
            DataReadOnly, DiskFull, StorageError: they cannot.
        """
        if self._writer is None:
            async with self.transaction():
                pass

    def note_change(self) -> None:
        """Record that documents or vectors changed.

        The indexer of vectors waits for `changed`, that of full text for `words_changed`, and the
        publisher of shares for `shares_changed`.
        """
        self.changed.set()
        self.words_changed.set()
        self.shares_changed.set()

    async def rows(self, sql: str, values: Values = ()) -> list[sqlite3.Row]:
        """Return the rows of a SELECT, from the last committed state."""
        reader = await self._readers.get()
        try:
            with translated(self.path):
                try:
                    return list(await reader.execute_fetchall(sql, values))
                except sqlite3.Error as exc:
                    # Its cursor, which has not read all rows, would count as running for as long as
                    # the exception is kept: the next interruption would stop all later statements.
                    traceback.clear_frames(exc.__traceback__)
                    raise
        except asyncio.CancelledError:
            # The statement runs in a thread, and would keep this reader busy.
            await reader.interrupt()
            raise
        finally:
            self._readers.put_nowait(reader)

    async def row(self, sql: str, values: Values = ()) -> sqlite3.Row | None:
        rows = await self.rows(sql, values)
        return rows[0] if rows else None

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Write in one block; an exception in it undoes the whole block.

        Raises:
            DiskFull: no space is left.
            DataReadOnly, StorageError: the database cannot be written.
        """
        tx: Transaction | None = None
        async with self._writing:
            try:
                async with (
                    translated_writes(self.path),
                    transaction_on(await self._opened_writer()) as tx,
                ):
                    yield tx
            except UNWRITABLE as exc:
                self.write_error = exc
                raise
            finally:
                # Whatever happened: a transaction that was cancelled may have been committed.
                self._tell_listeners(tx)
            self.write_error = None

    def _tell_listeners(self, tx: Transaction | None) -> None:
        if tx is not None and (tx.changed_documents or tx.workspaces_changed):
            for listener in self.document_listeners:
                listener(tx.changed_documents, workspaces=tx.workspaces_changed)

    async def empty_log(self) -> None:
        """Move the write-ahead log into the database and empty it, whoever is reading.

        Raises:
            DiskFull, StorageError: it cannot be written.
        """
        async with self._writing:
            # SQLite keeps in the log what an active reader may still need.
            readers: list[aiosqlite.Connection] = []
            try:
                writer = await self._opened_writer()
                while len(readers) < READERS:
                    readers.append(await self._readers.get())
                async with translated_writes(self.path):
                    await writer.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                for reader in readers:
                    self._readers.put_nowait(reader)

    async def delete_backups(self) -> None:
        """Delete backups of the database, which hold what has been removed since."""
        await asyncio.to_thread(delete_backups, self.path)


class Repository:
    """One part of the catalogue: methods over the shared database.

    `shown` masks secrets in stored text before it is shown; the text may come from an import or
    from an earlier version with fewer rules.
    """

    def __init__(self, database: Database, shown: Callable[[str], str] = str) -> None:
        self._db = database
        self._shown = shown


@contextlib.asynccontextmanager
async def open_database(
    path: Path,
    migrations: Sequence[Migration] = MIGRATIONS,
    claim: Callable[[], object] = lambda: None,
) -> AsyncGenerator[Database]:
    """Open or create the database, migrated to the current schema.

    The caller holds the data directory's lock.

    Args:
        path: its absolute path.
        migrations: the steps of the schema.
        claim: turns a lock for reading into one for writing; runs in a thread.

    Raises:
        DataDirectoryTooNew: a newer Allma wrote it.
        DiskFull: no space is left to create or migrate it.
        StorageError: it is damaged, not a database, not writable, not a regular file, or on a
            network drive.
    """
    async with contextlib.AsyncExitStack() as stack:
        await asyncio.to_thread(prepare_file, path)

        async def open_writer() -> aiosqlite.Connection:
            await asyncio.to_thread(refuse_read_only, path)
            await asyncio.to_thread(claim)
            return await _open_writer(stack, path, migrations)

        async def open_reader(mode: str) -> aiosqlite.Connection:
            return await connect(stack, path, mode)

        database = Database(path, open_writer, open_reader)
        await database.open()
        if database.write_error is not None:
            row = await database.row("PRAGMA user_version")
            check_schema(path, row[0] if row is not None else 0, migrations, database.write_error)
        yield database
        await database.prepare_close()


async def _open_writer(
    stack: contextlib.AsyncExitStack, path: Path, migrations: Sequence[Migration]
) -> aiosqlite.Connection:
    """Open the one connection that writes, and migrate the database."""
    attempt = contextlib.AsyncExitStack()
    try:
        async with translated_writes(path):
            writer = await connect(attempt, path, "rwc")
            await prepare_writer(writer, path)
            await migrate(writer, path, migrations)
    except BaseException:
        await attempt.aclose()
        raise
    stack.push_async_exit(attempt)
    return writer
