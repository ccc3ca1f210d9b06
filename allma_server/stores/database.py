"""SQLite, the truth: one writer, a few readers, and the only place its errors are translated.

Writes go through `transaction`, one at a time and all or nothing; reads run beside them on their
own connections and see the last committed state.
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import aiosqlite

from allma_server.errors import DataDirectoryTooNew, DiskFull, StorageError
from allma_server.private import make_private_file
from allma_server.stores.migrations import MIGRATIONS, Migration
from allma_server.tokens import TOKENS_VERSION, lexemes

log = logging.getLogger(__name__)

READERS = 3

Values = Sequence[Any]

# Each chunk as full-text search sees it; `c` and `d` are its chunk and document.
INDEXED_CHUNK = (
    "c.id, lexemes(d.name), lexemes(CASE c.context WHEN '' THEN c.heading ELSE c.context END), "
    "lexemes(c.text) FROM chunks c JOIN documents d ON d.id = c.document_id"
)


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


class Database:
    """An open database. Made by `open_database`."""

    def __init__(
        self, path: Path, writer: aiosqlite.Connection, readers: Sequence[aiosqlite.Connection]
    ) -> None:
        self.path = path
        self._writer = writer
        self._turn = asyncio.Lock()
        self._readers: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        self._reader_count = len(readers)
        for reader in readers:
            self._readers.put_nowait(reader)
        self.revision = 0
        self.changed = asyncio.Event()

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
            with _translated(self.path):
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
            StorageError: the database cannot be written.
        """
        async with self._turn:
            with _translated(self.path):
                try:
                    await self._writer.execute_fetchall("BEGIN IMMEDIATE")
                    yield Transaction(self._writer)
                    await self._writer.execute_fetchall("COMMIT")
                except asyncio.CancelledError:
                    await self._writer.interrupt()
                    await self._writer.rollback()
                    raise
                except BaseException:
                    # Queued before anything else on the writer, even if this is cancelled too.
                    await self._writer.rollback()
                    raise

    async def empty_log(self) -> None:
        """Moves the write-ahead log into the database and empties it, whoever is reading.

        Raises:
            DiskFull, StorageError: it cannot be written.
        """
        async with self._turn:
            # While a reader is at work the log would keep what it may still read.
            readers: list[aiosqlite.Connection] = []
            try:
                while len(readers) < self._reader_count:
                    readers.append(await self._readers.get())
                with _translated(self.path):
                    await self._writer.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                for reader in readers:
                    self._readers.put_nowait(reader)


class Stored:
    """A side of the catalogue: methods over the one database."""

    def __init__(self, database: Database) -> None:
        self._db = database


@contextlib.asynccontextmanager
async def open_database(
    path: Path, migrations: Sequence[Migration] = MIGRATIONS
) -> AsyncGenerator[Database]:
    """Opens (or creates) the database, brought up to the present schema. `path` is absolute.

    The caller holds the data directory's lock.

    Raises:
        DataDirectoryTooNew: a newer Allma wrote it.
        DiskFull: no space is left to create or migrate it.
        StorageError: it is damaged, not a database, not writable, or on a network drive.
    """
    async with contextlib.AsyncExitStack() as stack:
        with _translated(path):
            await asyncio.to_thread(_make_private, path)
            writer = await _connect(stack, path, "rwc")
            await _prepare_writer(writer, path)
            await _migrate(Database(path, writer, ()), migrations)
            readers = [await _connect(stack, path, "ro") for _ in range(READERS)]
        database = Database(path, writer, readers)
        await _refresh_index(database)
        yield database
        # Skipped after a failure: the log is replayed at the next start as well.
        with _translated(path):
            await writer.execute_fetchall("PRAGMA optimize")
            await writer.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")


def _make_private(path: Path) -> None:
    """SQLite gives its other files the permissions of this one."""
    with contextlib.suppress(OSError):  # SQLite says what is wrong
        make_private_file(path)


async def _connect(stack: contextlib.AsyncExitStack, path: Path, mode: str) -> aiosqlite.Connection:
    uri = f"{path.as_uri()}?mode={mode}"
    connection = await stack.enter_async_context(
        aiosqlite.connect(uri, uri=True, isolation_level=None, timeout=5)
    )
    connection.row_factory = sqlite3.Row
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


async def _migrate(database: Database, migrations: Sequence[Migration]) -> None:
    async with database.transaction() as tx:
        version = await _version(tx)
    if version > len(migrations):
        raise DataDirectoryTooNew(
            f"{database.path} was written by a newer version of Allma (schema {version}, "
            f"this one knows {len(migrations)}).",
            "Update Allma, or choose another directory with --data.",
        )
    for number, step in enumerate(migrations[version:], start=version + 1):
        async with database.transaction() as tx:
            await step(tx)
            await tx.execute(f"PRAGMA user_version = {number}")


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


@contextlib.contextmanager
def _translated(path: Path) -> Generator[None]:
    """SQLite's errors as ours; one that is none of the disk's doing is a bug and passes."""
    try:
        yield
    except sqlite3.Error as exc:
        _raise(exc, path)


def _raise(exc: sqlite3.Error, path: Path) -> NoReturn:
    # The low byte is the kind of error, the rest its variant.
    code = getattr(exc, "sqlite_errorcode", 0)
    match code & 0xFF:
        case sqlite3.SQLITE_FULL:
            full = True
        case sqlite3.SQLITE_IOERR:
            # The shared-memory file could not grow.
            full = code in (sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE)
        case _:
            full = False
    if full:
        raise DiskFull(
            f"No space is left on the disk that holds {path.parent}.",
            "Free some space; what was indexed before still serves.",
        ) from exc
    known = _SENTENCES.get(code & 0xFF)
    if known is None:
        raise exc
    message, hint = known
    raise StorageError(message.format(path=path), hint.format(path=path)) from exc


_MOVE_AWAY = "Move {path} away (conversations are in it) and index your folders again."

_SENTENCES = {
    sqlite3.SQLITE_READONLY: ("{path} is read-only.", "Make it and its folder writable."),
    sqlite3.SQLITE_PERM: ("{path} may not be accessed.", "Check the permissions of its folder."),
    sqlite3.SQLITE_AUTH: ("{path} may not be accessed.", "Check the permissions of its folder."),
    sqlite3.SQLITE_CANTOPEN: ("{path} cannot be opened.", "Check the permissions of its folder."),
    sqlite3.SQLITE_IOERR: ("The disk failed while using {path}.", "Check the disk."),
    sqlite3.SQLITE_CORRUPT: ("{path} is damaged.", _MOVE_AWAY),
    sqlite3.SQLITE_NOTADB: ("{path} is not a database.", _MOVE_AWAY),
    sqlite3.SQLITE_BUSY: ("{path} is locked by another program.", "Close that program."),
}
