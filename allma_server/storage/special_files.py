"""What stands where a regular file has to be, and is none."""

import errno
import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def special(path: Path) -> str | None:
    """What `path` is instead of a regular file, `a folder`; None for a file, or where nothing is.

    It is not opened: opening a pipe waits for whoever is at its other end.
    """
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode))
    except FileNotFoundError:
        gone = path.is_symlink() and not os.path.isdir(os.path.dirname(os.path.realpath(path)))
        return "a link into a folder that is not there" if gone else None
    except OSError as exc:
        return "a link that leads to itself" if exc.errno == errno.ELOOP else None
