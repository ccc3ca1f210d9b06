"""Paths as clients and the catalogue compare them: absolute, and by their letters.

The catalogue names files by their real paths; a client may name one through a link.
"""

import os

from allma_server._internal.disk_calls import call_disk
from allma_server._internal.path_text import actual

_REAL_SECONDS = 2.0


def absolute(path: str) -> str:
    """An absolute path without following links; nothing need be there."""
    return os.path.abspath(os.path.expanduser(path))


async def real(path: str) -> str:
    """An absolute path with all links followed; nothing need be there.

    Where the disk does not answer, links are not followed.
    """
    try:
        return await call_disk(("real", path), _REAL_SECONDS, _real, path)
    except TimeoutError:
        return absolute(path)


def _real(path: str) -> str:
    return os.path.realpath(actual(os.path.expanduser(path)))


def is_inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or stands below it; both absolute."""
    path, folder = os.path.normcase(path), os.path.normcase(folder)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
