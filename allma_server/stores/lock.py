"""One owner per data directory: a file lock that the system releases even after a crash."""

import contextlib
import errno
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import IO

from allma_server.errors import DataDirectoryBusy, DiskFull, StorageError
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
    # The file stays when the lock goes: deleting it would let two processes lock two files.
    with file:
        if not _acquire(file):
            raise DataDirectoryBusy(
                f"The data directory {path} is in use by process {_owner(file)}.",
                "End that process, or choose another directory with --data.",
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
            _release(file)


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
        "Choose another with --data or ALLMA_DATA_DIR.",
    )


def _owner(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(32).decode("ascii", "replace").strip() or "unknown"


if sys.platform == "win32":
    import msvcrt

    # Windows forbids reading locked bytes, so the lock lies far behind the process id.
    _OFFSET = 1 << 30

    def _acquire(file: IO[bytes]) -> bool:
        file.seek(_OFFSET)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _release(file: IO[bytes]) -> None:
        file.seek(_OFFSET)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _acquire(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _release(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
