"""Files below the data directory's `vectors`: a folder for each local collection, and rows.

All functions block, and raise VectorStoreDown when the disk refuses.
"""

import contextlib
import shutil
from collections.abc import Collection, Generator
from pathlib import Path

from allma_server._internal.private import make_private_folder
from allma_server.errors import VectorStoreDown

ROWS_SUFFIX = ".rows"
"""The end of the name of a file with the rows of exact search."""

REBUILD_HINT = "Exact search answers meanwhile; `allma doctor --repair` rebuilds the vector index."


@contextlib.contextmanager
def disk_errors() -> Generator[None]:
    """Raise an OSError of the block as VectorStoreDown."""
    try:
        yield
    except OSError as exc:
        raise VectorStoreDown(f"Cannot write the vector index: {exc}.", REBUILD_HINT) from exc


def create_collection(directory: Path) -> None:
    """Create a collection's folder, and delete what an interrupted deletion left beside it."""
    with disk_errors():
        make_private_folder(directory)
        for leftover in directory.parent.glob("*.old"):
            shutil.rmtree(leftover, ignore_errors=True)


def delete_collection(directory: Path) -> None:
    """Delete a collection's folder; nothing may have it open."""
    with disk_errors():
        if directory.exists():
            # Renamed first: an interrupted deletion leaves nothing that looks like a collection.
            old = directory.with_suffix(".old")
            if directory != old:
                shutil.rmtree(old, ignore_errors=True)
                directory.rename(old)
            shutil.rmtree(old, ignore_errors=True)


def delete_collections(parent: Path, *, keep: Collection[Path] = ()) -> None:
    """Delete every collection and file of rows below `parent`, but those to keep.

    Nothing may have one of them open.
    """
    with disk_errors():
        found = list(parent.iterdir()) if parent.is_dir() else []
        for path in found:
            if path in keep:
                continue
            if path.is_dir():
                delete_collection(path)
            elif path.suffix == ROWS_SUFFIX:
                path.unlink()
