"""Check whether a workspace's folder is still what it was when it was indexed.

An unmounted disk leaves an empty folder; a mistake may put a link or a file in its place. If these
counted as an empty workspace, everything that is indexed of it would be removed. All functions
block.
"""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from allma_server._internal.path_text import shown
from allma_server._internal.paths import is_inside
from allma_server._internal.special_files import kind_of
from allma_server.errors import AllmaError, PathNotFound, UnreadableDocument

Disks = Mapping[str, int]
"""The device number (`st_dev`) of the disk that a folder was on, by the folder's path."""

UNMOUNTED = (
    "a folder whose disk is not mounted; its indexed documents are kept until `allma forget` "
    "removes them"
)
"""The reason for a folder whose files cannot be seen."""


def check_exists(root: Path) -> None:
    """Raise PathNotFound or UnreadableDocument if a workspace does not exist or is unreadable."""
    try:
        os.lstat(root)
    except (FileNotFoundError, NotADirectoryError):
        raise _not_found(root) from None
    except OSError as exc:
        raise unreadable_root(root, f"{exc.strerror}.") from exc


def check_is_folder(root: Path) -> None:
    """Raise UnreadableDocument if something else has replaced the folder of a workspace."""
    mode = os.lstat(root).st_mode
    if not stat.S_ISDIR(mode):
        raise unreadable_root(root, f"It was a folder, and is {kind_of(mode)} now.")


def check_disk(root: Path, disks: Disks, has_files: Callable[[str], bool]) -> None:
    """Raise PathNotFound if the disk that a workspace was on is not mounted."""
    disk = disks.get(str(root))
    if disk is not None and unmounted_folders({str(root): disk}, has_files):
        raise PathNotFound(
            f"{shown(str(root))} is empty, and the disk that it was on is not mounted; its indexed "
            "documents are kept, marked as stale.",
            f"Mount the disk, or index the empty folder: `allma index {shown(str(root))}`.",
        )


def unmounted_folders(disks: Disks, has_files: Callable[[str], bool]) -> list[str]:
    """Return the folders that are empty and no longer on the disk that they were on.

    `has_files` returns whether a folder has a file to index. It may take long, and is called only
    for folders on another disk than before.
    """
    unmounted: list[str] = []
    for path, disk in sorted(disks.items()):
        if any(is_inside(path, other) for other in unmounted):
            continue
        if _disk_of(path) != disk and not has_files(path):
            unmounted.append(path)
    return unmounted


def find_problem(root: Path, disks: Disks, has_files: Callable[[str], bool]) -> AllmaError | None:
    """Return why a workspace is not available; None when it is.

    Raises:
        OSError: that cannot be found out now.
    """
    try:
        os.lstat(root)
    except (FileNotFoundError, NotADirectoryError):
        return _not_found(root)
    try:
        if str(root) in disks:
            check_is_folder(root)
        check_disk(root, disks, has_files)
    except (PathNotFound, UnreadableDocument) as exc:
        return exc
    return None


def unreadable_root(root: Path, why: str) -> UnreadableDocument:
    """Return the error for a workspace that exists and cannot be scanned."""
    return UnreadableDocument(
        f"{root} cannot be scanned. {why}",
        "Its indexed documents are kept until `allma forget` removes them. If it has moved, index "
        "its new path.",
    )


def _not_found(root: Path) -> PathNotFound:
    name = shown(str(root))
    return PathNotFound(
        f"{name} no longer exists; its indexed documents are kept, marked as stale.",
        f"Restore or mount it, or remove it from the index with `allma forget {name}`.",
    )


def _disk_of(path: str) -> int | None:
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev if stat.S_ISDIR(status.st_mode) else None
