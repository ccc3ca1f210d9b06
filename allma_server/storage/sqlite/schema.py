"""Bring a database to the current schema, or refuse it."""

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import aiosqlite

from allma_server.errors import DataDirectoryTooNew, StorageError
from allma_server.storage.sqlite.backup import back_up
from allma_server.storage.sqlite.connection import transaction_on
from allma_server.storage.sqlite.failures import damaged
from allma_server.storage.sqlite.migrations import Migration

log = logging.getLogger(__name__)

MAX_VERSION = 1_000
"""A larger schema number is not one that Allma wrote."""


async def migrate(
    writer: aiosqlite.Connection, path: Path, migrations: Sequence[Migration]
) -> None:
    """Take the missing steps, each in a transaction, after a backup.

    Raises:
        DataDamaged: the file is not a database of Allma.
        DataDirectoryTooNew: a newer Allma wrote it.
        StorageError: a step failed; the database is as it was before that step.
    """
    async with transaction_on(writer) as tx:
        row = await tx.row("PRAGMA user_version")
        has_tables = await tx.rows("SELECT 1 FROM sqlite_schema LIMIT 1")
    assert row is not None
    version: int = row[0]
    if not 0 <= version <= MAX_VERSION or (version == 0 and has_tables):
        raise damaged(path, "its header is not Allma's")
    if version > len(migrations):
        raise _too_new(path, version, len(migrations))
    if 0 < version < len(migrations):
        await back_up(writer, path)
    for number, step in enumerate(migrations[version:], start=version + 1):
        try:
            async with transaction_on(writer) as tx:
                await step(tx)
                await tx.execute(f"PRAGMA user_version = {number}")
        except sqlite3.Error as exc:
            log.exception("the migration to schema %d failed", number)
            raise StorageError(
                f"{path} could not be migrated to schema {number}: {exc}.",
                "It is unchanged: the version of Allma that wrote it still opens it.",
            ) from exc


def check_schema(
    path: Path, version: int, migrations: Sequence[Migration], write_error: StorageError
) -> None:
    """Refuse a database that cannot be written and has another schema than the current one.

    Raises:
        DataDirectoryTooNew: a newer Allma wrote it.
        DataReadOnly, DiskFull: an earlier Allma wrote it, and it cannot be migrated.
    """
    if version > len(migrations):
        raise _too_new(path, version, len(migrations))
    if version < len(migrations):
        raise type(write_error)(
            f"An earlier version of Allma wrote {path}, which cannot be migrated. "
            f"{write_error.message}",
            write_error.hint,
        )


def _too_new(path: Path, version: int, known: int) -> DataDirectoryTooNew:
    return DataDirectoryTooNew(
        f"A newer version of Allma wrote {path} (schema {version}; this one knows {known}).",
        "Update Allma, or choose another data directory with --data.",
    )
