"""A database takes the place of another, with the files that SQLite keeps beside them."""

import contextlib
import os
import shutil
from pathlib import Path

_LOG_FILES = ("-wal", "-shm")


def exchange(draft: Path, target: Path, former: Path) -> None:
    """Puts the closed database `draft` in the place of `target`, which is kept as `former`.

    Nobody may have one of them open. `target` is the one or the other at any moment.

    Raises:
        OSError: it cannot be done; `target` is as it was.
    """
    delete_database(former)
    if not target.exists():
        os.replace(draft, target)
        return
    _copy(target, former)
    # Its log first: SQLite would take it for the new one's.
    moved: list[str] = []
    try:
        for ending in _LOG_FILES:
            if _beside(target, ending).exists():
                os.replace(_beside(target, ending), _beside(former, ending))
                moved.append(ending)
        os.replace(draft, target)
    except OSError:
        for ending in moved:
            os.replace(_beside(former, ending), _beside(target, ending))
        delete_database(former)
        raise


def delete_database(path: Path) -> None:
    """Deletes a closed database where there is one."""
    for ending in ("", *_LOG_FILES):
        _beside(path, ending).unlink(missing_ok=True)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _copy(target: Path, former: Path) -> None:
    with contextlib.suppress(OSError):
        os.link(target, former)
        return
    shutil.copy2(target, former)  # a file system without links
