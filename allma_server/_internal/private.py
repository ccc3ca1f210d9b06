"""Files and folders that only their user may read, under any umask.

Standard library only, because forwarders use it. On systems other than POSIX the user's profile is
private already, and permissions are not changed.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o700, 0o600


def make_private_folder(path: Path) -> None:
    """Create a folder and its missing parents; an existing one is not changed.

    Raises:
        OSError: it cannot be created, or is not a folder.
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
    """For `open(…, opener=private_opener)`: only the user may read a file that it creates.

    A link is not followed: it could lead to a file that is then overwritten.
    """
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), FILE_MODE)


def is_foreign(path: Path) -> bool:
    """Whether another user owns a file or folder, who could replace it or what is in it by links.

    The administrator's are trusted, and the administrator may use everybody's.
    """
    if os.name != "posix" or os.getuid() == 0:
        return False
    try:
        return path.stat().st_uid not in (0, os.getuid())
    except OSError:
        return False


def make_private_file(path: Path) -> None:
    """Create an empty file if there is none.

    Raises:
        OSError: it cannot be created.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))


def tighten(path: Path) -> None:
    """Remove all permissions of other users on a file or folder and everything in it.

    Files of another user and targets of links are not changed. Failures are ignored: some file
    systems have no permissions.
    """
    if os.name != "posix":
        return
    _tighten_one(path)
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(path.lstat().st_mode):
            for inside in _below(path):
                _tighten_one(inside)


def tighten_folder(path: Path) -> None:
    """Remove all permissions of other users on a folder, unless it is a shared one.

    A home, a root and a folder like /tmp are not changed, even when they are named by mistake.
    """
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        real = path.resolve()
        home = Path(os.path.expanduser("~")).resolve()
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
