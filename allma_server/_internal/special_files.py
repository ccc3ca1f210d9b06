"""Tell what is at a path that must be a regular file, and is not."""

import errno
import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def kind_of(mode: int) -> str:
    """Return what has this mode, of a status: `a file`, `a pipe`."""
    return _KINDS.get(stat.S_IFMT(mode), "a file")


def special_kind(path: Path) -> str | None:
    """Return what `path` is instead of a regular file, as `a folder`; None for a file or nothing.

    It is not opened: opening a pipe waits for the process at its other end.
    """
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode))
    except FileNotFoundError:
        broken = path.is_symlink() and not os.path.isdir(os.path.dirname(os.path.realpath(path)))
        return "a link into a folder that does not exist" if broken else None
    except OSError as exc:
        return "a link to itself" if exc.errno == errno.ELOOP else None
