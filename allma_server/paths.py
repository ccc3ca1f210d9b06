"""Paths as clients and the catalogue compare them: absolute, and by their letters alone."""

import os


def absolute(path: str) -> str:
    """An absolute path without following links; nothing need be there."""
    return os.path.abspath(os.path.expanduser(path))


def is_inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or stands below it; both absolute."""
    path, folder = os.path.normcase(path), os.path.normcase(folder)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
