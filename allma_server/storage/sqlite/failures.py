"""SQLite's errors as Allma's, each with its next step."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import NoReturn

from allma_server.errors import DataDamaged, DiskFull, StorageError
from allma_server.storage.lock import read_only_error, why_unwritable


@contextlib.asynccontextmanager
async def translated_writes(path: Path) -> AsyncGenerator[None]:
    """As `translated`, for writes: report a read-only disk as such.

    Raises:
        DataReadOnly: the database cannot be written.
    """
    try:
        with translated(path):
            yield
    except StorageError as exc:
        # A disk that became read-only fails like a full or a broken one.
        if type(exc) in (StorageError, DiskFull):
            if why := await asyncio.to_thread(why_unwritable, path):
                raise read_only_error(path.parent, why) from exc
        raise


@contextlib.contextmanager
def translated(path: Path) -> Generator[None]:
    """Raise SQLite's errors as ours; an error that the disk did not cause is a bug and passes."""
    try:
        yield
    except sqlite3.Error as exc:
        _raise(exc, path)
    except UnicodeDecodeError as exc:
        # SQLite's own sentence quotes a damaged schema.
        raise damaged(path) from exc


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
            "Free some space; what was indexed before can still be searched.",
        ) from exc
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or _is_foreign(exc):
        raise damaged(path) from exc
    known = _SENTENCES.get(code & 0xFF)
    if known is None:
        raise exc
    message, hint = known
    raise StorageError(message.format(path=path), hint.format(path=path)) from exc


def damaged(path: Path, what: str = "") -> DataDamaged:
    """Return the error of a database that is damaged, or whose file is something else."""
    return DataDamaged(f"The database {path} is damaged{f': {what}' if what else ''}.")


def _is_foreign(exc: sqlite3.Error) -> bool:
    """Return whether SQLite read what Allma never wrote: another schema, or invalid UTF-8."""
    message = str(exc)
    return message.startswith(("no such table", "no such column", "Could not decode to UTF-8"))


_SENTENCES = {
    sqlite3.SQLITE_READONLY: ("{path} is read-only.", "Make it and its folder writable."),
    sqlite3.SQLITE_PERM: ("{path} cannot be accessed.", "Check the permissions of its folder."),
    sqlite3.SQLITE_AUTH: ("{path} cannot be accessed.", "Check the permissions of its folder."),
    sqlite3.SQLITE_CANTOPEN: ("{path} cannot be opened.", "Check the permissions of its folder."),
    sqlite3.SQLITE_IOERR: ("The disk failed while using {path}.", "Check the disk."),
    sqlite3.SQLITE_BUSY: ("Another program has locked {path}.", "Close that program."),
}
