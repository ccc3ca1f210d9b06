"""Backups beside a database: from before a migration, and from before a repair."""

import asyncio
import contextlib
import logging
import os
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import aiosqlite

from allma_server._internal.private import make_private_file

log = logging.getLogger(__name__)

SPARE_BYTES = 64 << 20
"""Bytes that must stay free on the disk after a backup."""


async def back_up(connection: aiosqlite.Connection, database: Path) -> None:
    """Copy a database that a migration is about to change; only the latest copy is kept.

    Without enough space there is no copy: a failed migration leaves the previous state anyway.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    copy, draft = backup_of(database), database.with_name(f"{database.name}.backup.part")
    if not await asyncio.to_thread(_has_space, database):
        log.warning("not enough space for a backup of %s before its migration", database)
        return
    try:
        await asyncio.to_thread(draft.unlink, missing_ok=True)
        await asyncio.to_thread(make_private_file, draft)
        await connection.execute_fetchall("VACUUM INTO ?", (str(draft),))
        await asyncio.to_thread(os.replace, draft, copy)
        log.info("wrote %s before the migration", copy)
    except (OSError, sqlite3.OperationalError) as exc:
        # SQLite reports a full disk as OperationalError, and damage as another error.
        log.warning("no backup of %s before its migration: %s", database, exc)
    finally:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(draft.unlink, missing_ok=True)


def backup_of(database: Path) -> Path:
    """Return the path of the backup from before the last migration."""
    return database.with_name(f"{database.name}.backup")


def damaged_copy(database: Path) -> Path:
    """Return the path where a damaged database is kept after its repair."""
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return database.with_name(f"{database.name}.damaged-{moment}")


def delete_backups(database: Path) -> None:
    """Delete all backups of a database; log those that cannot be deleted."""
    for pattern in (".backup*", ".damaged-*"):
        for copy in database.parent.glob(f"{database.name}{pattern}"):
            try:
                copy.unlink()
            except OSError as exc:
                log.warning("%s cannot be deleted: %s", copy, exc)


def _has_space(database: Path) -> bool:
    free = shutil.disk_usage(database.parent).free
    return free > database.stat().st_size + SPARE_BYTES
