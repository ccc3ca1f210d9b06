"""One owner per data directory: a file lock that the system releases even after a crash."""

import contextlib
import errno
import os
from collections.abc import Generator
from pathlib import Path
from typing import IO

from allma_server.errors import DataDirectoryBusy, DiskFull, StorageError
from allma_server.file_lock import try_lock, unlock
from allma_server.private import (
    make_private_folder,
    private_opener,
    tighten,
    tighten_folder,
)

LOCK_FILE = "allma.lock"

_OURS = ("allma.", "chroma.", "logs", "vectors")
"""How the names begin of what Allma keeps in a data directory."""


@contextlib.contextmanager
def own_data_directory(path: Path) -> Generator[None]:
    """Holds the data directory for this process alone; creates it, readable by its user only.

    One that others may read is taken from them, with everything in it that is Allma's.

    Raises:
        DataDirectoryBusy: another process holds it; the message names its process id.
        DiskFull: no space is left on its disk.
        StorageError: the directory cannot be created or written.
    """
    try:
        make_private_folder(path)
        file = open(path / LOCK_FILE, "a+b", buffering=0, opener=private_opener)
    except OSError as exc:
        raise _unusable(path, exc) from exc
    with file:
        if not try_lock(file):
            raise DataDirectoryBusy(
                f"Another Allma (pid {_owner(file)}) is using {path}.",
                "Leave --solo out to share it, try again when it has finished, or choose another "
                "directory with --data.",
            )
        _make_private(path)
        try:
            file.truncate(0)
            file.write(f"{os.getpid()}\n".encode())
        except OSError as exc:
            # Who holds it is only told to people; on a full disk the lock holds without.
            if exc.errno != errno.ENOSPC:
                raise _unusable(path, exc) from exc
        try:
            yield
        finally:
            file.truncate(0)
            unlock(file)


def _make_private(path: Path) -> None:
    tighten_folder(path)
    for entry in path.iterdir():
        if entry.name.startswith(_OURS):
            tighten(entry)


def _unusable(path: Path, exc: OSError) -> StorageError:
    if exc.errno == errno.ENOSPC:
        return DiskFull(f"No space is left on the disk that holds {path}.", "Free some space.")
    return StorageError(
        f"The data directory {path} cannot be written: {exc.strerror or exc}.",
        "Make it writable again, which keeps what is indexed, or choose another with --data or "
        "ALLMA_DATA_DIR.",
    )


def _owner(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(32).decode("ascii", "replace").strip() or "unknown"
