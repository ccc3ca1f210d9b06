"""One owner per data directory: a file lock that the system releases even after a crash.

A directory that cannot be written has any number of readers instead.
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import IO

from allma_server._internal.file_lock import try_lock, unlock
from allma_server._internal.private import (
    is_foreign,
    make_private_folder,
    private_opener,
    tighten,
    tighten_folder,
)
from allma_server._internal.tasks import completed
from allma_server.errors import DataDirectoryBusy, DataReadOnly, DiskFull, StorageError

LOCK_FILE = "allma.lock"

_OURS = ("allma.", "logs", "vectors", "full_text")
"""Prefixes of the names that Allma uses in a data directory."""

_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)


class Ownership:
    """The lock of a data directory, held by this process for writing or for reading only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._exclusive = False
        self._is_new = False

    def claim(self) -> None:
        """Lock the directory for writing; blocks.

        Raises:
            DataDirectoryBusy: another process has locked it; the message names its process id.
            DataReadOnly: it cannot be written.
            DiskFull: no space is left on its disk.
            StorageError: it cannot be created, or belongs to another user.
        """
        if self._exclusive:
            return
        try:
            self._is_new = not self._path.exists()
            make_private_folder(self._path)
            self._refuse_foreign()
            file = open(self._path / LOCK_FILE, "a+b", buffering=0, opener=private_opener)
        except OSError as exc:
            raise _unusable(self._path, exc) from exc
        shared, self._file = self._file, file
        if shared is not None:
            shared.close()
        if not try_lock(file):
            if shared is not None:
                try_lock(file, shared=True)  # this process keeps reading
            raise DataDirectoryBusy(
                f"Another Allma (pid {_owner(file)}) is using {self._path}.",
                "An engine that was started with --solo is not shared: try again when it has "
                "finished, or choose another directory with --data.",
            )
        self._exclusive = True
        _make_private(self._path)
        try:
            file.truncate(0)
            file.write(f"{os.getpid()}\n".encode())
        except OSError as exc:
            # The process id is only shown to people; on a full disk the lock holds without it.
            if exc.errno != errno.ENOSPC:
                raise _unusable(self._path, exc) from exc

    def _refuse_foreign(self) -> None:
        if is_foreign(self._path) and os.access(self._path, os.W_OK):
            raise StorageError(
                f"The data directory {self._path} belongs to another user.",
                "Choose another one with --data or ALLMA_DATA_DIR.",
            )

    def share(self) -> None:
        """Lock the directory for reading, shared with other readers; blocks.

        Raises:
            DataDirectoryBusy: a process has locked it for writing.
        """
        with contextlib.suppress(OSError):  # a copy without the file: no process can lock it
            self._file = open(self._path / LOCK_FILE, "rb", buffering=0)
        if self._file is not None and not try_lock(self._file, shared=True):
            raise DataDirectoryBusy(
                f"Another Allma (pid {_owner(self._file)}) is writing to {self._path}, which "
                "this process may only read.",
                "Try again when it has finished, or choose another directory with --data.",
            )

    def discard(self) -> None:
        """Remove the directory if this lock has created it, and it holds nothing else; blocks."""
        with contextlib.suppress(OSError):
            if self._is_new and os.listdir(self._path) == [LOCK_FILE]:
                (self._path / LOCK_FILE).unlink()
                self._path.rmdir()

    def release(self) -> None:
        """Release the lock; blocks."""
        if self._file is None:
            return
        with self._file as file:
            if self._exclusive:
                with contextlib.suppress(OSError):
                    file.truncate(0)
                unlock(file)


@contextlib.contextmanager
def own_data_directory(path: Path, *, reading: bool = False) -> Generator[Ownership]:
    """Lock the data directory for this process; create it if there is none.

    Only its user may read it and what Allma keeps in it; broader permissions are removed. With
    `reading`, a directory that cannot be written is locked for reading, shared with other readers.

    Raises:
        DataDirectoryBusy, DataReadOnly, DiskFull, StorageError: as `Ownership.claim`.
    """
    owned = Ownership(path)
    try:
        try:
            owned.claim()
        except DataReadOnly:
            if not reading or not path.is_dir():
                raise
            owned.share()
        yield owned
    finally:
        owned.release()


@contextlib.asynccontextmanager
async def data_directory_owned(path: Path, *, reading: bool = False) -> AsyncGenerator[Ownership]:
    """As `own_data_directory`, without blocking the event loop."""
    stack = contextlib.ExitStack()
    try:
        owned = own_data_directory(path, reading=reading)
        yield await completed(asyncio.to_thread(stack.enter_context, owned))
    finally:
        await completed(asyncio.to_thread(stack.close))


def read_only_error(path: Path, why: str) -> DataReadOnly:
    """Return the error of a data directory that cannot be written, with the reason."""
    return DataReadOnly(
        f"The data directory {path} cannot be written: {why}.",
        "Make it writable, which keeps what is indexed, or choose another with --data or "
        "ALLMA_DATA_DIR.",
    )


def why_unwritable(path: Path) -> str | None:
    """Return why a file or its folder cannot be written, None when they can; blocks."""
    for place in (path.parent, path):
        if os.path.exists(place) and not os.access(place, os.W_OK):
            read_only = hasattr(os, "statvfs") and os.statvfs(place).f_flag & os.ST_RDONLY
            return os.strerror(errno.EROFS if read_only else errno.EACCES)
    return None


def _make_private(path: Path) -> None:
    tighten_folder(path)
    for entry in path.iterdir():
        if entry.name.startswith(_OURS):
            tighten(entry)


def _unusable(path: Path, exc: OSError) -> StorageError:
    if exc.errno == errno.ENOSPC:
        return DiskFull(f"No space is left on the disk that holds {path}.", "Free some space.")
    if exc.errno == errno.ELOOP:
        return StorageError(f"{path / LOCK_FILE} is a link.", "Delete it.")
    write_error = read_only_error(path, exc.strerror or str(exc))
    if exc.errno in _FORBIDDEN:
        return write_error
    return StorageError(write_error.message, write_error.hint)


def _owner(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(32).decode("ascii", "replace").strip() or "unknown"
