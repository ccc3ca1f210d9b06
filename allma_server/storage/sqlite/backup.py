"""Former states of a database beside it: from before a migration, and from before a repair."""

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

ROOM = 64 << 20
"""Bytes that stay free on the disk when a backup is made."""


async def back_up(connection: aiosqlite.Connection, database: Path) -> None:
    """Copies a database that a migration is about to change; the last such copy is kept.

    Without room for it there is none, for a migration leaves the former state when it fails.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    copy, draft = backup_of(database), database.with_name(f"{database.name}.backup.part")
    if not await asyncio.to_thread(_has_room, database):
        log.warning("no room for a backup of %s before its migration", database)
        return
    try:
        await asyncio.to_thread(draft.unlink, missing_ok=True)
        await asyncio.to_thread(make_private_file, draft)
        await connection.execute_fetchall("VACUUM INTO ?", (str(draft),))
        await asyncio.to_thread(os.replace, draft, copy)
        log.info("%s keeps the database from before its migration", copy)
    except (OSError, sqlite3.OperationalError) as exc:
        # SQLite says "full" for a disk without room; what is damaged is another error.
        log.warning("no backup of %s before its migration: %s", database, exc)
    finally:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(draft.unlink, missing_ok=True)


def backup_of(database: Path) -> Path:
    """Where the state from before the last migration is kept."""
    return database.with_name(f"{database.name}.backup")


def damaged_copy(database: Path) -> Path:
    """Where a damaged database is kept when its repair takes its place."""
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return database.with_name(f"{database.name}.damaged-{moment}")


def delete_backups(database: Path) -> None:
    """Deletes all former states of a database; one that cannot be deleted is logged."""
    for pattern in (".backup*", ".damaged-*"):
        for copy in database.parent.glob(f"{database.name}{pattern}"):
            try:
                copy.unlink()
            except OSError as exc:
                log.warning("%s cannot be deleted: %s", copy, exc)


def _has_room(database: Path) -> bool:
    free = shutil.disk_usage(database.parent).free
    return free > database.stat().st_size + ROOM
