"""Read the rows of an archive as untrusted input: with limits, and each row checked.

An archive is a SQLite file that anyone may have made. Nothing in it is executed: rows are read only
from plain tables with the expected columns, one table at a time. An archive with triggers or views
is refused, and no function or virtual table is ever called. The process that reads it has limits on
memory and time as well (`worker.py`).
"""

import contextlib
import sqlite3
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from allma_server.errors import DataDirectoryTooNew, InvalidArgument
from allma_server.storage.archive.importer import (
    BATCH_ROWS,
    IMPORTED_SETTINGS,
    Batch,
    InvalidRow,
    checked,
)
from allma_server.storage.archive.masked_rows import Mask, MaskedRows
from allma_server.storage.archive.record_checks import TABLES, Column
from allma_server.storage.sqlite.migrations import MIGRATIONS
from allma_server.storage.sqlite.rows import indexed_name

FORMAT = 1

MAX_VALUE_BYTES = 64 << 20
"""Bytes of one value; SQLite refuses to create a larger one."""

STEPS_PER_MEGABYTE = 100_000_000
"""SQLite instructions that one statement may run for each megabyte of the file."""

MAX_SCHEMA_ROWS = 500

_PLAIN = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_TRANSACTION}
_PRAGMAS = {"user_version", "table_xinfo", "quick_check", "trusted_schema", "cell_size_check"}


def read_archive(file: Path, mask: Mask = str) -> Generator[Batch]:
    """Yield all rows of an archive that are imported, in the order of `TABLES`; blocks.

    Args:
        file: the archive.
        mask: returns a text without its secrets.

    Raises:
        InvalidRow: it is incomplete, or holds something that Allma never writes.
        DataDirectoryTooNew: a newer Allma wrote it.
    """
    try:
        with contextlib.closing(_opened(file)) as source:
            schema = _schema(source, file)
            budget = _Budget(file.stat().st_size)
            rows = MaskedRows(mask)
            for table in TABLES:
                yield from _batches(source, table, schema, budget, rows)
    except (sqlite3.Error, OSError, ValueError, MemoryError) as exc:
        raise InvalidRow("it cannot be read to the end") from exc


@contextlib.contextmanager
def import_errors(file: Path) -> Generator[None]:
    """Raise what goes wrong in an import as a sentence about the archive."""
    hint = "Choose a file that `allma export` wrote."
    try:
        yield
    except InvalidRow as exc:
        raise InvalidArgument(
            f"{file} is not a complete file of `allma export`: {exc.message}.", hint
        ) from exc
    except sqlite3.IntegrityError as exc:
        raise InvalidArgument(
            f"{file} is not a complete file of `allma export`: its rows contradict each other.",
            hint,
        ) from exc


def _opened(file: Path) -> sqlite3.Connection:
    with file.open("rb") as opened:
        if opened.read(16) != b"SQLite format 3\0":
            raise InvalidRow("it is another kind of file")
    # Immutable: SQLite ignores a write-ahead log beside it.
    source = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    source.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    source.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    source.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1)
    steps = STEPS_PER_MEGABYTE * (1 + file.stat().st_size // 1_000_000) // 1_000_000
    source.set_progress_handler(_Steps(steps).taken, 1_000_000)
    source.execute("PRAGMA trusted_schema = OFF")
    source.execute("PRAGMA cell_size_check = ON")
    source.set_authorizer(_allowed)
    return source


class _Steps:
    """Counts down instructions, a million at a time."""

    def __init__(self, left: int) -> None:
        self._left = left

    def taken(self) -> int:
        self._left -= 1
        return int(self._left < 0)


def _allowed(
    action: int, first: str | None, second: str | None, database: str | None, inside: str | None
) -> int:
    """Return what SQLite may do for our statements; nothing for a view, trigger or function."""
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
    """Check what the file states about itself, and return the number of its schema."""
    [schema] = source.execute("PRAGMA user_version").fetchone()
    if schema < 1:
        raise InvalidRow("it does not have a schema of Allma")
    objects = source.execute(
        "SELECT type, name, rootpage FROM sqlite_master LIMIT ?", (MAX_SCHEMA_ROWS + 1,)
    ).fetchall()
    if len(objects) > MAX_SCHEMA_ROWS:
        raise InvalidRow("it has too many tables")
    if any(kind in ("view", "trigger") for kind, _, _ in objects):
        raise InvalidRow("it has views or triggers")
    plain = {name for kind, name, page in objects if kind == "table" and page}
    if "manifest" not in plain:
        raise InvalidRow("it has no manifest")
    _plain_columns(source, "manifest", (Column("key", bool), Column("value", bool)))
    manifest = _manifest(source)
    if int(manifest["format"]) > FORMAT or schema > len(MIGRATIONS):
        raise DataDirectoryTooNew(
            f"A newer version of Allma ({manifest['version'][:40]}) wrote {file}.",
            "Update Allma, then import it again.",
        )
    for table, columns in TABLES.items():
        if wanted := _of_schema(columns, schema):
            if table not in plain:
                raise InvalidRow(f"it has no table {table}")
            _plain_columns(source, table, wanted)
    return schema


def _manifest(source: sqlite3.Connection) -> dict[str, str]:
    rows = source.execute("SELECT key, value FROM manifest LIMIT 20").fetchall()
    manifest = {key: value for key, value in rows if isinstance(key, str)}
    if len(manifest) != len(rows) or not {"format", "version"} <= manifest.keys():
        raise InvalidRow("its manifest is incomplete")
    if not all(isinstance(value, str) for value in manifest.values()):
        raise InvalidRow("its manifest holds something else than text")
    if not manifest["format"].isdecimal() or len(manifest["format"]) > 4:
        raise InvalidRow("its format is not a number")
    return manifest


def _of_schema(columns: "tuple[Column, ...] | Any", schema: int) -> "tuple[Column, ...]":
    return tuple(column for column in columns if column.since <= schema)


def _plain_columns(source: sqlite3.Connection, table: str, wanted: "tuple[Column, ...]") -> None:
    """Refuse a damaged table, one without the columns, or one that computes a column."""
    [state] = source.execute(f"PRAGMA quick_check({table})").fetchone()
    if state != "ok":
        raise InvalidRow("it is damaged")
    found = {row[1]: row[6] for row in source.execute(f"PRAGMA table_xinfo({table})")}
    for column in wanted:
        if found.get(column.name) != 0:
            raise InvalidRow(f"its table {table} has no column {column.name}")


class _Budget:
    """Limits the size of all rows together to that of their file."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, values: tuple[Any, ...]) -> None:
        self._left -= sum(len(v) for v in values if isinstance(v, str | bytes))
        if self._left < 0:
            raise InvalidRow("its rows are larger than the file itself")


def _batches(
    source: sqlite3.Connection, table: str, schema: int, budget: _Budget, rows: MaskedRows
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
            row = _imported_row(table, values)
            if row is not None and (row := rows.row(table, row)) is not None:
                batch.append(row)
        if batch:
            yield table, batch


def _imported_row(table: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
    row = checked(table, values)
    match table:
        case "settings":
            return row if row[0] in IMPORTED_SETTINGS else None
        case "workspaces":
            # It was approved on another machine, not here.
            return (*row[:3], "", 0, "{}")
        case "documents":
            return (*row[:3], indexed_name(row[2]), *row[4:])
        case _:
            return row
