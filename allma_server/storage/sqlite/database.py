"""SQLite, the truth: one writer, a few readers, and the only place its errors are translated.

Writes go through `transaction`, one at a time and all or nothing; reads run beside them on their
own connections and see the last committed state.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import aiosqlite

from allma_server._internal.private import make_private_file
from allma_server._internal.tokens import TOKENS_VERSION, lexemes
from allma_server.errors import UNWRITABLE, DataDirectoryTooNew, DataReadOnly, StorageError
from allma_server.storage.lock import read_only, why_unwritable
from allma_server.storage.special_files import special
from allma_server.storage.sqlite.backup import back_up, delete_backups
from allma_server.storage.sqlite.failures import damaged, translated, written
from allma_server.storage.sqlite.migrations import MIGRATIONS, Migration

log = logging.getLogger(__name__)

READERS = 3

_BESIDE = ("-wal", "-shm", "-journal")
"""How SQLite's own files beside a database are named."""

MOST_VERSIONS = 1_000
"""A schema's number beyond it is no number of a schema."""

Values = Sequence[Any]

# Each chunk as full-text search sees it; `c` and `d` are its chunk and document.
INDEXED_CHUNK = (
    "c.id, lexemes(d.name), lexemes(CASE c.context WHEN '' THEN c.heading ELSE c.context END), "
    "lexemes(c.text) FROM chunks c JOIN documents d ON d.id = c.document_id"
)


STEPS_UNSTOPPED = 10_000
"""Steps of SQLite's machine, some tenths of a millisecond, between two looks whether to stop."""


class Transaction:
    """Statements that take effect together, when their `async with` block ends."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, values: Values = ()) -> list[sqlite3.Row]:
        return list(await self._connection.execute_fetchall(sql, values))

    async def row(self, sql: str, values: Values = ()) -> sqlite3.Row | None:
        rows = await self.rows(sql, values)
        return rows[0] if rows else None

    async def execute(self, sql: str, values: Values = ()) -> int:
        """Runs a statement; the number of rows it changed."""
        async with self._connection.execute(sql, values) as cursor:
            return cursor.rowcount

    async def insert(self, sql: str, values: Values = ()) -> int:
        """Inserts one row; its id."""
        async with self._connection.execute(sql, values) as cursor:
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    async def many(self, sql: str, values: Iterable[Values]) -> None:
        """Runs a statement for each of `values`."""
        async with self._connection.executemany(sql, values):
            pass


@contextlib.asynccontextmanager
async def _transaction(writer: aiosqlite.Connection) -> AsyncGenerator[Transaction]:
    # Not SQLite's interrupt, which would end the ROLLBACK and what follows it as well, as long as
    # full-text search has a part of the database open.
    stopped = threading.Event()
    try:
        await writer.set_progress_handler(stopped.is_set, STEPS_UNSTOPPED)
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
        # Queued before anything else on the writer, even if this is cancelled too.
        await writer.rollback()
        raise


class Database:
    """An open database. Made by `open_database`.

    Where nothing can be written, a database that was closed in order is opened for reading; the
    first change that can be written again opens it for writing too. `unwritable`: why the last
    change could not be written, None when it could.
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
        self.unwritable: StorageError | None = None
        self._turn = asyncio.Lock()
        self._readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self.revision = 0
        self.changed = asyncio.Event()

    async def open(self) -> None:
        """Opens its connections; `open_database` closes them.

        Raises:
            DataDirectoryTooNew, DiskFull, StorageError: as `open_database`.
        """
        mode = "ro"
        try:
            self._writer = await self._open_writer()
        except UNWRITABLE as exc:
            mode = await asyncio.to_thread(_reading_mode, self.path, exc)
            self.unwritable = exc
            log.warning("only what is indexed already is served: %s", exc)
        await self._fill_readers(mode)

    async def settle(self) -> None:
        """Empties the log into the database, before it is closed."""
        # The record of a run that was stopped may still be written.
        async with self._turn:
            if self._writer is None:
                return
            try:
                async with written(self.path):
                    await self._writer.execute_fetchall("PRAGMA optimize")
                    await self._writer.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
            except UNWRITABLE as exc:
                log.warning("the log of %s stays: %s", self.path, exc)

    async def _fill_readers(self, mode: str) -> None:
        with translated(self.path):
            for _ in range(READERS):
                self._readers.put_nowait(await self._open_reader(mode))

    async def _write(self) -> aiosqlite.Connection:
        """The writer; opened now if that could not be before. Its turn is held."""
        if self._writer is None:
            writer = await self._open_writer()
            for _ in range(READERS):
                await (await self._readers.get()).close()
            await self._fill_readers("ro")
            self._writer = writer
        return self._writer

    async def check_writable(self) -> None:
        """Returns when changes can be written, as far as that is known without one.

        Raises:
            DataReadOnly, DiskFull, StorageError: they cannot.
        """
        if self._writer is None:
            async with self.transaction():
                pass

    def note_change(self) -> None:
        """Told after documents or vectors changed.

        What is cached of documents compares `revision`; who keeps the vector index waits for
        `changed`.
        """
        self.revision += 1
        self.changed.set()

    async def rows(self, sql: str, values: Values = ()) -> list[sqlite3.Row]:
        """The rows of a SELECT, from the last committed state."""
        reader = await self._readers.get()
        try:
            with translated(self.path):
                return list(await reader.execute_fetchall(sql, values))
        except asyncio.CancelledError:
            # The statement runs in a thread; left alone it would keep this reader busy.
            await reader.interrupt()
            raise
        finally:
            self._readers.put_nowait(reader)

    async def row(self, sql: str, values: Values = ()) -> sqlite3.Row | None:
        rows = await self.rows(sql, values)
        return rows[0] if rows else None

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """The writer, for one block; whatever is raised in it undoes all of the block.

        Raises:
            DiskFull: no space is left.
            DataReadOnly, StorageError: the database cannot be written.
        """
        async with self._turn:
            try:
                async with written(self.path), _transaction(await self._write()) as tx:
                    yield tx
            except UNWRITABLE as exc:
                self.unwritable = exc
                raise
            self.unwritable = None

    async def empty_log(self) -> None:
        """Moves the write-ahead log into the database and empties it, whoever is reading.

        Raises:
            DiskFull, StorageError: it cannot be written.
        """
        async with self._turn:
            # While a reader is at work the log would keep what it may still read.
            readers: list[aiosqlite.Connection] = []
            try:
                writer = await self._write()
                while len(readers) < READERS:
                    readers.append(await self._readers.get())
                async with written(self.path):
                    await writer.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                for reader in readers:
                    self._readers.put_nowait(reader)

    async def delete_backups(self) -> None:
        """Deletes former states of the database, which hold what has been removed since."""
        await asyncio.to_thread(delete_backups, self.path)


class Stored:
    """A side of the catalogue: methods over the one database.

    `shown` gives what may be shown of a text that is stored: it came with an import, perhaps, or
    from an earlier version, with secrets that would be masked today.
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
    """Opens (or creates) the database, brought up to the present schema. `path` is absolute.

    The caller holds the data directory's lock, which `claim` makes one for writing, in a thread.

    Raises:
        DataDirectoryTooNew: a newer Allma wrote it.
        DiskFull: no space is left to create or migrate it.
        StorageError: it is damaged, not a database, not writable, no regular file, or on a network
            drive.
    """
    async with contextlib.AsyncExitStack() as stack:
        await asyncio.to_thread(_look_at_file, path)

        async def open_writer() -> aiosqlite.Connection:
            await asyncio.to_thread(_refuse_read_only, path)
            await asyncio.to_thread(claim)
            return await _open_writer(stack, path, migrations)

        async def open_reader(mode: str) -> aiosqlite.Connection:
            return await _connect(stack, path, mode)

        database = Database(path, open_writer, open_reader)
        await database.open()
        if database.unwritable is None:
            await _refresh_index(database)
        else:
            await _check_schema(database, migrations, database.unwritable)
        yield database
        await database.settle()


async def _open_writer(
    stack: contextlib.AsyncExitStack, path: Path, migrations: Sequence[Migration]
) -> aiosqlite.Connection:
    """The one connection that writes, to a database of the present schema."""
    attempt = contextlib.AsyncExitStack()
    try:
        async with written(path):
            writer = await _connect(attempt, path, "rwc")
            await _prepare_writer(writer, path)
            await _migrate(writer, path, migrations)
    except BaseException:
        await attempt.aclose()
        raise
    stack.push_async_exit(attempt)
    return writer


def refuse_emptied(path: Path, traces: Path) -> None:
    """Refuses an empty file where something was: a folder that holds what came from it.

    Raises:
        DataDamaged: the file has lost all it had.
    """
    if path.exists() and path.stat().st_size == 0 and traces.is_dir() and any(traces.iterdir()):
        raise damaged(path, "it is empty")


def _refuse_read_only(path: Path) -> None:
    # SQLite finds out as late as at the first change.
    if (why := why_unwritable(path)) is not None:
        raise read_only(path.parent, why)


def _reading_mode(path: Path, unwritable: StorageError) -> str:
    """How a database that cannot be written is opened for reading.

    Raises:
        DataReadOnly, DiskFull: it cannot be read either, without a change to its folder.
    """
    log_file, index = path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")
    if not path.exists() or not path.stat().st_size:
        raise unwritable
    if not log_file.exists() or not log_file.stat().st_size:
        return "ro&immutable=1"
    if isinstance(unwritable, DataReadOnly) and index.exists():
        return "ro"
    raise type(unwritable)(
        f"{unwritable.message} The last changes wait in {log_file.name}, and cannot be read so.",
        unwritable.hint,
    )


def _look_at_file(path: Path) -> None:
    """Refuses a file that lost all it had; makes one where there is none, its user's alone.

    SQLite gives its other files the permissions of this one.

    Raises:
        DataDamaged: it is empty, and was not.
        StorageError: it, or one of SQLite's files beside it, is no regular file.
    """
    for name in (path.name, *(f"{path.name}{suffix}" for suffix in _BESIDE)):
        if (kind := special(path.with_name(name))) is not None:
            raise StorageError(
                f"{path.with_name(name)} is {kind}, where the database needs a regular file.",
                "Move it away, or choose another data directory with --data.",
            )
    with contextlib.suppress(OSError):  # SQLite says what is wrong
        if path.exists():
            # SQLite would take an empty file for a new database and drop its log.
            log = path.with_name(f"{path.name}-wal")
            if path.stat().st_size == 0 and log.exists() and log.stat().st_size > 0:
                raise damaged(path, "it is empty")
        make_private_file(path)


async def _connect(stack: contextlib.AsyncExitStack, path: Path, mode: str) -> aiosqlite.Connection:
    uri = f"{path.as_uri()}?mode={mode}"
    connection = await stack.enter_async_context(
        aiosqlite.connect(uri, uri=True, isolation_level=None, timeout=5)
    )
    connection.row_factory = sqlite3.Row
    # In memory: a full disk must not keep a search from sorting what it found.
    await connection.execute_fetchall("PRAGMA temp_store = MEMORY")
    await connection.create_function(  # pyright: ignore[reportUnknownMemberType]
        "lexemes", 1, _sql_lexemes, deterministic=True
    )
    return connection


def _sql_lexemes(text: str) -> str:
    return " ".join(lexemes(text))


async def _prepare_writer(writer: aiosqlite.Connection, path: Path) -> None:
    [(mode,)] = await writer.execute_fetchall("PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise StorageError(
            f"The disk that holds {path} cannot be shared safely between readers and a writer.",
            "Choose a data directory on a local disk with --data or ALLMA_DATA_DIR.",
        )
    # Deleted text is overwritten: what was removed from the index shall not stay on the disk.
    for pragma in ("synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON"):
        await writer.execute_fetchall(f"PRAGMA {pragma}")


async def _migrate(
    writer: aiosqlite.Connection, path: Path, migrations: Sequence[Migration]
) -> None:
    async with _transaction(writer) as tx:
        version = await _version(tx)
        known = await tx.rows("SELECT 1 FROM sqlite_schema LIMIT 1")
    if not 0 <= version <= MOST_VERSIONS or (version == 0 and known):
        raise damaged(path, "its header is not Allma's")
    if version > len(migrations):
        raise _too_new(path, version, len(migrations))
    if 0 < version < len(migrations):
        await back_up(writer, path)
    for number, step in enumerate(migrations[version:], start=version + 1):
        try:
            async with _transaction(writer) as tx:
                await step(tx)
                await tx.execute(f"PRAGMA user_version = {number}")
        except sqlite3.Error as exc:
            log.exception("the migration to schema %d failed", number)
            raise StorageError(
                f"{path} could not be brought to schema {number}: {exc}.",
                "It is as it was: the version of Allma that wrote it still opens it.",
            ) from exc


async def _check_schema(
    database: Database, migrations: Sequence[Migration], unwritable: StorageError
) -> None:
    """Raises where a database that cannot be written has another schema than the present one."""
    row = await database.row("PRAGMA user_version")
    version = row[0] if row is not None else 0
    if version > len(migrations):
        raise _too_new(database.path, version, len(migrations))
    if version < len(migrations):
        raise type(unwritable)(
            f"An earlier version of Allma wrote {database.path}, and it cannot be brought up to "
            f"date. {unwritable.message}",
            unwritable.hint,
        )


def _too_new(path: Path, version: int, known: int) -> DataDirectoryTooNew:
    return DataDirectoryTooNew(
        f"{path} was written by a newer version of Allma (schema {version}, this one knows "
        f"{known}).",
        "Update Allma, or choose another directory with --data.",
    )


async def _version(tx: Transaction) -> int:
    row = await tx.row("PRAGMA user_version")
    assert row is not None
    return row[0]


async def _refresh_index(database: Database) -> None:
    """Feeds full-text search anew when the rules that make terms of text have changed."""
    present = str(TOKENS_VERSION)
    row = await database.row("SELECT value FROM settings WHERE key = 'tokens_version'")
    if row is not None and row["value"] == present:
        return
    if row is not None:
        log.info("rebuilding the full-text index: its terms are made differently now")
    async with database.transaction() as tx:
        await fill_full_text(tx)
        await tx.execute("REPLACE INTO settings VALUES ('tokens_version', ?)", (present,))


async def fill_full_text(tx: Transaction) -> None:
    """Empties full-text search and feeds it all chunks."""
    await tx.execute("INSERT INTO chunks_fts (chunks_fts) VALUES ('delete-all')")
    await tx.execute(f"INSERT INTO chunks_fts (rowid, name, heading, text) SELECT {INDEXED_CHUNK}")
