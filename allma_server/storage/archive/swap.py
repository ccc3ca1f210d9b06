"""Replace a database by another, with the files that SQLite keeps beside them."""

import contextlib
import os
import shutil
from pathlib import Path

_LOG_FILES = ("-wal", "-shm")


def replace_database(draft: Path, target: Path, previous: Path) -> None:
    """Replace `target` by the closed database `draft`, and keep it as `previous`.

    No process may have one of them open. At every moment `target` is the old or the new one.

    Raises:
        OSError: it failed; `target` is unchanged.
    """
    delete_database(previous)
    if not target.exists():
        os.replace(draft, target)
        return
    _copy(target, previous)
    # The log first: SQLite would apply it to the new database.
    moved: list[str] = []
    try:
        for ending in _LOG_FILES:
            if _beside(target, ending).exists():
                os.replace(_beside(target, ending), _beside(previous, ending))
                moved.append(ending)
        os.replace(draft, target)
    except OSError:
        for ending in moved:
            os.replace(_beside(previous, ending), _beside(target, ending))
        delete_database(previous)
        raise


def delete_database(path: Path) -> None:
    """Delete a closed database if there is one."""
    for ending in ("", *_LOG_FILES):
        _beside(path, ending).unlink(missing_ok=True)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _copy(target: Path, previous: Path) -> None:
    with contextlib.suppress(OSError):
        os.link(target, previous)
        return
    shutil.copy2(target, previous)  # a file system without links
