"""Absolute paths, compared as text, as clients and the catalogue do.

The catalogue stores real paths; a client may name a file through a link.
"""

import os

from allma_server._internal.disk_calls import call_disk
from allma_server._internal.path_text import actual

_REAL_SECONDS = 2.0


def absolute(path: str) -> str:
    """Return an absolute path without following links; it need not exist."""
    return os.path.abspath(os.path.expanduser(path))


async def real(path: str) -> str:
    """Return an absolute path with all links followed; it need not exist.

    If the disk does not answer, links are not followed.
    """
    try:
        return await call_disk(("real", path), _REAL_SECONDS, _real, path)
    except TimeoutError:
        return absolute(path)


def _real(path: str) -> str:
    return os.path.realpath(actual(os.path.expanduser(path)))


def is_inside(path: str, folder: str) -> bool:
    """Return whether `path` is `folder` or is below it; both are absolute."""
    path, folder = os.path.normcase(path), os.path.normcase(folder)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
