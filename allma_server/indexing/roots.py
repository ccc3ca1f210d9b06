"""Whether a workspace's folder is what it was when it was indexed.

An unmounted disk leaves an empty folder, a mistake a link or a file in its place. As an empty
workspace, each of them would cost the user all that is indexed of it. Everything here blocks.
"""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from allma_server._internal.path_text import shown
from allma_server._internal.paths import is_inside
from allma_server.errors import AllmaError, PathNotFound, UnreadableDocument

Disks = Mapping[str, int]
"""The number of the disk (`st_dev`) that a folder was on, by its path."""

AWAY = "a folder whose disk is not mounted now; what is indexed of it is kept"
"""Why there is nothing of a folder but itself."""


def check_root(root: Path) -> None:
    """Raises PathNotFound or UnreadableDocument where a workspace is not there to be looked at."""
    try:
        os.lstat(root)
    except (FileNotFoundError, NotADirectoryError):
        raise _not_there(root) from None
    except OSError as exc:
        raise not_readable(root, f"{exc.strerror}.") from exc


def check_kind(root: Path) -> None:
    """Raises UnreadableDocument where something else is in the place of a workspace's folder."""
    mode = os.lstat(root).st_mode
    if not stat.S_ISDIR(mode):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "a file"
        raise not_readable(root, f"It was a folder, and is {kind} now.")


def check_disk(root: Path, disks: Disks, has_files: Callable[[str], bool]) -> None:
    """Raises PathNotFound where the disk that a workspace was on has gone."""
    disk = disks.get(str(root))
    if disk is not None and gone_disks({str(root): disk}, has_files):
        raise PathNotFound(
            f"{shown(str(root))} is empty, and not on the disk that it was on; what is indexed of "
            "it is kept, marked as stale.",
            f"Mount the disk, or have it indexed as it is: `allma index {shown(str(root))}`.",
        )


def gone_disks(disks: Disks, has_files: Callable[[str], bool]) -> list[str]:
    """The folders that were on a disk which is not there now, and are empty.

    `has_files` tells whether there is a file to index in a folder; it may take long, and is only
    asked of those on another disk than before.
    """
    gone: list[str] = []
    for path, disk in sorted(disks.items()):
        if any(is_inside(path, other) for other in gone):
            continue
        if _disk_of(path) != disk and not has_files(path):
            gone.append(path)
    return gone


def trouble(root: Path, disks: Disks, has_files: Callable[[str], bool]) -> AllmaError | None:
    """What to tell of a workspace that is not there; None where it is.

    Raises:
        OSError: that cannot be known now.
    """
    try:
        os.lstat(root)
    except (FileNotFoundError, NotADirectoryError):
        return _not_there(root)
    try:
        if str(root) in disks:
            check_kind(root)
        check_disk(root, disks, has_files)
    except (PathNotFound, UnreadableDocument) as exc:
        return exc
    return None


def not_readable(root: Path, why: str) -> UnreadableDocument:
    """The failure of a workspace that is there, and cannot be looked through."""
    return UnreadableDocument(
        f"{root} cannot be looked through. {why}",
        "What is indexed of it stays, until `allma forget` takes it out. If it has moved, index it "
        "where it is now.",
    )


def _not_there(root: Path) -> PathNotFound:
    name = shown(str(root))
    return PathNotFound(
        f"{name} is not there any more; what is indexed of it is kept, marked as stale.",
        f"Restore or mount it, or take it out of the index with `allma forget {name}`.",
    )


def _disk_of(path: str) -> int | None:
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev if stat.S_ISDIR(status.st_mode) else None
