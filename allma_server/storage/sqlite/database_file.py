"""The database's file: whether it can be opened, and how. All functions block."""

import contextlib
from pathlib import Path

from allma_server._internal.private import is_foreign, make_private_file
from allma_server._internal.special_files import special_kind
from allma_server.errors import DataReadOnly, StorageError
from allma_server.storage.lock import read_only_error, why_unwritable
from allma_server.storage.sqlite.failures import damaged

_SUFFIXES = ("-wal", "-shm", "-journal")
"""Suffixes of the files that SQLite keeps beside a database."""


def refuse_emptied(path: Path, traces: Path) -> None:
    """Refuse an empty file when the folder `traces` shows that there was an index.

    Raises:
        DataDamaged: the file has lost everything it held.
    """
    if path.exists() and path.stat().st_size == 0 and traces.is_dir() and any(traces.iterdir()):
        raise damaged(path, "it is empty")


def refuse_read_only(path: Path) -> None:
    """Raise DataReadOnly when the file cannot be written; SQLite notices at the first change."""
    if (why := why_unwritable(path)) is not None:
        raise read_only_error(path.parent, why)


def reading_mode(path: Path, write_error: StorageError) -> str:
    """Return the URI mode that reads a database which cannot be written.

    Raises:
        DataReadOnly, DiskFull: it cannot be read either without a change to its folder.
    """
    log_file, index = path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")
    if not path.exists() or not path.stat().st_size:
        raise write_error
    if not log_file.exists() or not log_file.stat().st_size:
        return "ro&immutable=1"
    if isinstance(write_error, DataReadOnly) and index.exists():
        return "ro"
    raise type(write_error)(
        f"{write_error.message} The latest changes are only in {log_file.name}, which cannot be "
        "read without writing.",
        write_error.hint,
    )


def prepare_file(path: Path) -> None:
    """Refuse a file that lost its content; create a missing one that only its user may read.

    SQLite gives its other files the permissions of this one.

    Raises:
        DataDamaged: it is empty, but was not.
        StorageError: it, or one of SQLite's files beside it, is not a regular file or another's.
    """
    for name in (path.name, *(f"{path.name}{suffix}" for suffix in _SUFFIXES)):
        if (kind := special_kind(path.with_name(name))) is not None:
            raise StorageError(
                f"{path.with_name(name)} is {kind}, but the database needs a regular file there.",
                "Move it away, or choose another data directory with --data.",
            )
        if is_foreign(path.with_name(name)):
            raise StorageError(
                f"{path.with_name(name)} belongs to another user.",
                "Move it away, or choose another data directory with --data.",
            )
    with contextlib.suppress(OSError):  # SQLite reports what is wrong
        if path.exists():
            # SQLite would take an empty file for a new database and discard its log.
            log = path.with_name(f"{path.name}-wal")
            if path.stat().st_size == 0 and log.exists() and log.stat().st_size > 0:
                raise damaged(path, "it is empty")
        make_private_file(path)
