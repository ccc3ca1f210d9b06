"""The process that reads archives and damaged databases.

Their content may hang, crash or exhaust the memory of the process that reads it; that process is
this one, not the engine. It writes only the new database that it is told to create.
"""

import asyncio
import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import Any

from allma_server._internal.child_process import Child, ChildFailed
from allma_server._internal.child_server import Reply, serve
from allma_server.config import child_environment
from allma_server.errors import InvalidArgument, StorageError
from allma_server.secrets import masked
from allma_server.storage.archive.importer import ImportedData, fill, recognised
from allma_server.storage.archive.page_reader import table_rows
from allma_server.storage.archive.reader import import_errors, read_archive

MEMORY_BYTES = 2 << 30
"""Memory that reading one file may take on top of what the process needs to start."""

MIN_SECONDS = 120.0
SECONDS_PER_MEGABYTE = 2.0


async def convert(file: Path, draft: Path, *, mask: bool = True) -> ImportedData:
    """Create the database `draft` from the archive `file`; with `mask`, without secrets.

    Raises:
        InvalidArgument: it is not an archive, or holds something that Allma never writes.
        DataDirectoryTooNew: a newer Allma wrote it.
        DiskFull, StorageError: the draft cannot be written.
    """
    try:
        return await _call("convert", file, draft, mask=mask)
    except ChildFailed as exc:
        raise InvalidArgument(
            f"{file} cannot be read: {exc}.", "Choose a file that `allma export` wrote."
        ) from exc


async def rescue(damaged: Path, draft: Path) -> ImportedData:
    """Create the database `draft` from the rows that a damaged one still holds.

    Raises:
        DiskFull, StorageError: it cannot be read at all, or the draft cannot be written.
    """
    try:
        return await _call("rescue", damaged, draft, mask=False)
    except ChildFailed as exc:
        raise StorageError(f"Cannot repair {damaged}: {exc}.", "Move it away.") from exc


async def _call(method: str, file: Path, draft: Path, *, mask: bool) -> ImportedData:
    size = (await asyncio.to_thread(file.stat)).st_size / 1e6
    limit = MIN_SECONDS + SECONDS_PER_MEGABYTE * size
    async with Child(__name__, environment=child_environment()) as child:
        imported, _ = await child.call(
            method, {"file": str(file), "draft": str(draft), "mask": mask}, limit=limit
        )
    return ImportedData(**imported)


def _convert(params: Any, _: list[bytes]) -> Reply:
    paths = Path(params["file"]), Path(params["draft"])
    imported = asyncio.run(convert_here(*paths, mask=params["mask"]))
    return dataclasses.asdict(imported), ()


async def convert_here(file: Path, draft: Path, *, mask: bool = True) -> ImportedData:
    """`convert`, in this process."""
    # Close a refused archive now, in this thread, not when it is garbage-collected.
    with (
        import_errors(file),
        contextlib.closing(read_archive(file, masked if mask else str)) as batches,
    ):
        return await fill(draft, batches, repair=False)


def _rescue(params: Any, _: list[bytes]) -> Reply:
    imported = asyncio.run(rescue_here(Path(params["file"]), Path(params["draft"])))
    return dataclasses.asdict(imported), ()


async def rescue_here(damaged: Path, draft: Path) -> ImportedData:
    """`rescue`, in this process."""
    return await fill(draft, recognised(table_rows(damaged)), repair=True)


def _limit_memory() -> None:
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    _limit_memory()
    serve({"convert": _convert, "rescue": _rescue})
