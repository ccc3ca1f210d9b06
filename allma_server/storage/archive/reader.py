"""The rows of an archive, read as those of a stranger's file: under limits, and each one checked.

An archive is a SQLite file that anybody may have made. Nothing in it is run: rows are read from
plain tables of the expected columns only, one table at a time; triggers and views refuse it, and
neither a function nor a virtual table is ever called. The process that reads it has limits of
memory and time besides (`archive_worker.py`).
"""

import contextlib
import sqlite3
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from allma_server.errors import DataDirectoryTooNew, InvalidArgument
from allma_server.storage.archive.importer import (
    BATCH_ROWS,
    CARRIED_SETTINGS,
    Batch,
    Unfit,
    checked,
)
from allma_server.storage.archive.record_checks import TABLES, Column
from allma_server.storage.sqlite.migrations import MIGRATIONS
from allma_server.storage.sqlite.rows import indexed_name

FORMAT = 1

LARGEST_VALUE = 64 << 20
"""Bytes of one value; SQLite refuses to make a larger one, however a file asks for it."""

STEPS = 100_000_000
"""Instructions of SQLite that one statement may take for each megabyte of the file."""

MOST_SCHEMA_ROWS = 500

_PLAIN = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_TRANSACTION}
_PRAGMAS = {"user_version", "table_xinfo", "quick_check", "trusted_schema", "cell_size_check"}


def read_archive(file: Path) -> Generator[Batch]:
    """All rows of an archive that are taken over, in the order of `TABLES`; blocks.

    Raises:
        Unfit: it is not whole, or holds what Allma never writes.
        DataDirectoryTooNew: a newer Allma wrote it.
    """
    try:
        with contextlib.closing(_opened(file)) as source:
            schema = _schema(source, file)
            budget = _Budget(file.stat().st_size)
            for table in TABLES:
                yield from _batches(source, table, schema, budget)
    except (sqlite3.Error, OSError, ValueError, MemoryError) as exc:
        raise Unfit("it cannot be read to its end") from exc


@contextlib.contextmanager
def refusing(file: Path) -> Generator[None]:
    """What goes wrong while an archive is taken over, as a sentence about the archive."""
    hint = "Choose a file that `allma export` wrote."
    try:
        yield
    except Unfit as exc:
        raise InvalidArgument(
            f"{file} is not a whole file of `allma export`: {exc.message}.", hint
        ) from exc
    except sqlite3.IntegrityError as exc:
        raise InvalidArgument(
            f"{file} is not a whole file of `allma export`: its rows contradict each other.", hint
        ) from exc


def _opened(file: Path) -> sqlite3.Connection:
    with file.open("rb") as opened:
        if opened.read(16) != b"SQLite format 3\0":
            raise Unfit("it is another kind of file")
    # Immutable: a write-ahead log that lies beside it is not looked at.
    source = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    source.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
    source.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    source.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1)
    steps = STEPS * (1 + file.stat().st_size // 1_000_000) // 1_000_000
    source.set_progress_handler(_Steps(steps).taken, 1_000_000)
    source.execute("PRAGMA trusted_schema = OFF")
    source.execute("PRAGMA cell_size_check = ON")
    source.set_authorizer(_allowed)
    return source


class _Steps:
    """Counts down, a million instructions at a time."""

    def __init__(self, left: int) -> None:
        self._left = left

    def taken(self) -> int:
        self._left -= 1
        return int(self._left < 0)


def _allowed(
    action: int, first: str | None, second: str | None, database: str | None, inside: str | None
) -> int:
    """What SQLite may do for a statement of ours; nothing for a view, trigger or function."""
    match action:
        case _ if action in _PLAIN:
            return sqlite3.SQLITE_OK
        case sqlite3.SQLITE_READ if inside is None and first in _READABLE:
            return sqlite3.SQLITE_OK
        case sqlite3.SQLITE_PRAGMA if first in _PRAGMAS:
            return sqlite3.SQLITE_OK
        case _:
            return sqlite3.SQLITE_DENY


_READABLE = {*TABLES, "manifest", "sqlite_master", "sqlite_schema"}


def _schema(source: sqlite3.Connection, file: Path) -> int:
    """Looks at what the file says of itself; the number of its schema."""
    [schema] = source.execute("PRAGMA user_version").fetchone()
    if schema < 1:
        raise Unfit("it has no schema of Allma's")
    objects = source.execute(
        "SELECT type, name, rootpage FROM sqlite_master LIMIT ?", (MOST_SCHEMA_ROWS + 1,)
    ).fetchall()
    if len(objects) > MOST_SCHEMA_ROWS:
        raise Unfit("it has too many tables")
    if any(kind in ("view", "trigger") for kind, _, _ in objects):
        raise Unfit("it has views or triggers")
    plain = {name for kind, name, page in objects if kind == "table" and page}
    if "manifest" not in plain:
        raise Unfit("it says nothing of itself")
    _plain_columns(source, "manifest", (Column("key", bool), Column("value", bool)))
    manifest = _manifest(source)
    if int(manifest["format"]) > FORMAT or schema > len(MIGRATIONS):
        raise DataDirectoryTooNew(
            f"{file} was written by a newer version of Allma ({manifest['version'][:40]}).",
            "Update Allma first.",
        )
    for table, columns in TABLES.items():
        if wanted := _of_schema(columns, schema):
            if table not in plain:
                raise Unfit(f"it has no table {table}")
            _plain_columns(source, table, wanted)
    return schema


def _manifest(source: sqlite3.Connection) -> dict[str, str]:
    rows = source.execute("SELECT key, value FROM manifest LIMIT 20").fetchall()
    manifest = {key: value for key, value in rows if isinstance(key, str)}
    if len(manifest) != len(rows) or not {"format", "version"} <= manifest.keys():
        raise Unfit("its manifest is not complete")
    if not all(isinstance(value, str) for value in manifest.values()):
        raise Unfit("its manifest is not of texts")
    if not manifest["format"].isdecimal() or len(manifest["format"]) > 4:
        raise Unfit("its format is not a number")
    return manifest


def _of_schema(columns: "tuple[Column, ...] | Any", schema: int) -> "tuple[Column, ...]":
    return tuple(column for column in columns if column.since <= schema)


def _plain_columns(source: sqlite3.Connection, table: str, wanted: "tuple[Column, ...]") -> None:
    """Refuses a table without the columns, or that computes one of them."""
    [state] = source.execute(f"PRAGMA quick_check({table})").fetchone()
    if state != "ok":
        raise Unfit("it is damaged")
    found = {row[1]: row[6] for row in source.execute(f"PRAGMA table_xinfo({table})")}
    for column in wanted:
        if found.get(column.name) != 0:
            raise Unfit(f"its table {table} has no column {column.name}")


class _Budget:
    """Sound rows are no larger together than their file."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, values: tuple[Any, ...]) -> None:
        self._left -= sum(len(v) for v in values if isinstance(v, str | bytes))
        if self._left < 0:
            raise Unfit("its rows are larger than the file itself")


def _batches(
    source: sqlite3.Connection, table: str, schema: int, budget: _Budget
) -> Iterator[Batch]:
    columns = _of_schema(TABLES[table], schema)
    if not columns:
        return
    names = ", ".join(column.name for column in columns)
    cursor = source.execute(f"SELECT {names} FROM {table} NOT INDEXED")
    while found := cursor.fetchmany(BATCH_ROWS):
        batch: list[tuple[Any, ...]] = []
        for values in found:
            budget.take(values)
            if (row := _taken_over(table, values)) is not None:
                batch.append(row)
        if batch:
            yield table, batch


def _taken_over(table: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
    row = checked(table, values)
    match table:
        case "settings":
            return row if row[0] in CARRIED_SETTINGS else None
        case "workspaces":
            # Its user has approved it elsewhere, not here.
            return (*row[:3], "", 0, "{}")
        case "documents":
            return (*row[:3], indexed_name(row[2]), *row[4:])
        case _:
            return row
