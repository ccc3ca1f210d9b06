"""The process that reads archives and damaged databases.

What they hold may hang, crash or fill the memory of whoever reads it; here that ends this process
only. It writes nothing but the new database that it is told to make.
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
from allma_server.storage.archive.importer import Taken, fill, recognised
from allma_server.storage.archive.page_reader import table_rows
from allma_server.storage.archive.reader import read_archive, refusing

MEMORY = 2 << 30
"""Bytes that reading one file may take beyond what the process has when it starts."""

LEAST_SECONDS = 120.0
SECONDS_FOR_A_MEGABYTE = 2.0


async def convert(file: Path, draft: Path) -> Taken:
    """Makes `draft` a database of what the archive `file` holds.

    Raises:
        InvalidArgument: it is no archive, or holds what Allma never writes.
        DataDirectoryTooNew: a newer Allma wrote it.
        DiskFull, StorageError: the draft cannot be written.
    """
    try:
        return await _call("convert", file, draft)
    except ChildFailed as exc:
        raise InvalidArgument(
            f"{file} cannot be read: {exc}.", "Choose a file that `allma export` wrote."
        ) from exc


async def rescue(damaged: Path, draft: Path) -> Taken:
    """Makes `draft` a database of what the damaged one still holds.

    Raises:
        DiskFull, StorageError: it cannot be read at all, or the draft cannot be written.
    """
    try:
        return await _call("rescue", damaged, draft)
    except ChildFailed as exc:
        raise StorageError(f"{damaged} cannot be repaired: {exc}.", "Move it away.") from exc


async def _call(method: str, file: Path, draft: Path) -> Taken:
    size = (await asyncio.to_thread(file.stat)).st_size / 1e6
    limit = LEAST_SECONDS + SECONDS_FOR_A_MEGABYTE * size
    async with Child(__name__, environment=child_environment()) as child:
        taken, _ = await child.call(method, {"file": str(file), "draft": str(draft)}, limit=limit)
    return Taken(**taken)


def _convert(params: Any, _: list[bytes]) -> Reply:
    taken = asyncio.run(take_over(Path(params["file"]), Path(params["draft"])))
    return dataclasses.asdict(taken), ()


async def take_over(file: Path, draft: Path) -> Taken:
    """`convert`, in this process."""
    # A refused archive is closed here and now, not by whoever collects garbage.
    with refusing(file), contextlib.closing(read_archive(file)) as batches:
        return await fill(draft, batches, mend=False)


def _rescue(params: Any, _: list[bytes]) -> Reply:
    taken = asyncio.run(save(Path(params["file"]), Path(params["draft"])))
    return dataclasses.asdict(taken), ()


async def save(damaged: Path, draft: Path) -> Taken:
    """`rescue`, in this process."""
    return await fill(draft, recognised(table_rows(damaged)), mend=True)


def _limit_memory() -> None:
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    _limit_memory()
    serve({"convert": _convert, "rescue": _rescue})
