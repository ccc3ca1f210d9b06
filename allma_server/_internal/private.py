"""Files and folders that only their user may read, whatever the process's umask is.

Standard library only: forwarders use it. Elsewhere than on POSIX systems the user's profile is
private already, and nothing is changed.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o700, 0o600


def make_private_folder(path: Path) -> None:
    """Makes a folder and those above it that are missing; one that is there stays as it is.

    Raises:
        OSError: it cannot be made, or is no folder.
    """
    missing: list[Path] = []
    while not path.is_dir():
        missing.append(path)
        if path == path.parent:
            break
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)


def private_opener(path: str, flags: int) -> int:
    """For `open(…, opener=private_opener)`: a file that is made is its user's alone."""
    return os.open(path, flags, FILE_MODE)


def make_private_file(path: Path) -> None:
    """Makes an empty file where there is none.

    Raises:
        OSError: it cannot be made.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))


def tighten(path: Path) -> None:
    """Takes a file or folder from everybody but its owner, and what a folder holds as well.

    What belongs to another user and what a link points to stay as they are, as does what cannot be
    changed: on some file systems nothing can.
    """
    if os.name != "posix":
        return
    _tighten_one(path)
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(path.lstat().st_mode):
            for inside in _below(path):
                _tighten_one(inside)


def tighten_folder(path: Path) -> None:
    """Takes a folder from everybody but its owner, unless others may live there too.

    A home, a root and a place like /tmp stay as they are, even when they are named by mistake.
    """
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        real = path.resolve()
        home = Path.home().resolve()
        if real == home or real in home.parents or real.stat().st_mode & stat.S_ISVTX:
            return
        _tighten_one(real)


def _tighten_one(path: Path) -> None:
    with contextlib.suppress(OSError):
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode) or status.st_uid != os.getuid():
            return
        if status.st_mode & 0o077:
            path.chmod(stat.S_IMODE(status.st_mode) & 0o700)


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield Path(parent, name)
