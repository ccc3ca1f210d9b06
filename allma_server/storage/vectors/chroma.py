"""Chroma, from this side of the pipe: a worker process owns the collection, and can be replaced.

In the worker a call may hang, crash or be killed without harm to anyone else. A call in flight is
never cancelled, whatever becomes of its caller: killed while it writes, Chroma loses the index.
"""

import asyncio
import contextlib
import json
import logging
import shutil
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from allma_server._internal.child_process import Child, ChildFailed
from allma_server._internal.child_server import Blobs
from allma_server._internal.private import make_private_folder
from allma_server.config import child_environment
from allma_server.errors import AllmaError, VectorStoreDown
from allma_server.ports import Vector, VectorRecord
from allma_server.storage.vectors.config import Inspection, VectorStoreConfig
from allma_server.types import Hit

log = logging.getLogger(__name__)

OPEN_LIMIT = 60.0
WRITE_LIMIT = 30.0
QUERY_LIMIT = 5.0
SCRUB_LIMIT = 600.0

FLUSH_CHANGES, SYNC_CHANGES = 2, 1000
"""Changes after which Chroma writes its index: at once, and usually, for each time is a risk."""

_HINT = "Exact search serves meanwhile; `allma doctor --repair` builds the vector index anew."

Returned = tuple[Any, list[bytes]]


class ChromaStore:
    """A Chroma collection in a worker process; implements `ports.VectorStore`.

    The worker is started by the first call, and again by the next one after it died. `damage` is
    set when the index is torn or contradicts itself; `reset` is the way out.
    """

    def __init__(self, place: VectorStoreConfig) -> None:
        self._place = place
        self._child = _worker(place)
        self._opened: int | None = None
        self._changes = SYNC_CHANGES
        self.damage: str | None = None

    @property
    def pid(self) -> int | None:
        """The worker's process id, None while it does not run."""
        return self._child.pid

    async def upsert(self, records: Sequence[VectorRecord]) -> None:
        if not records:
            return
        params: dict[str, list[Any]] = {"ids": [r.chunk_id for r in records]}
        if self._place.with_payload:
            params["documents"] = [r.text for r in records]
            params["metadatas"] = [
                {
                    "source": _encodable(r.source),
                    "chunk_index": r.chunk_index,
                    "created_at": r.created_at,
                    "doc_id": str(r.document_id),
                }
                for r in records
            ]
        matrix = np.stack([r.vector for r in records]).astype(np.float32)
        await self._call("upsert", params, [matrix.tobytes()], limit=WRITE_LIMIT)

    async def delete(self, chunk_ids: Sequence[int]) -> None:
        if chunk_ids:
            await self._call("delete", {"ids": list(chunk_ids)}, limit=WRITE_LIMIT)

    async def query(self, vector: Vector, k: int) -> list[Hit]:
        if k <= 0:
            return []
        blob = vector.astype(np.float32).tobytes()
        found, _ = await self._call("query", {"k": k}, [blob], limit=QUERY_LIMIT)
        return [Hit(i, score) for i, score in zip(found["ids"], found["scores"], strict=True)]

    async def count(self) -> int:
        return (await self.inspect()).rows

    async def inspect(self) -> Inspection:
        """Rows and slots, after a look at the index's files."""
        found, _ = await self._call("inspect", limit=WRITE_LIMIT)
        return Inspection(found["rows"], found["used"], found["live"])

    async def reset(self) -> None:
        """Begins anew with an empty collection; also the way out of damage."""
        if self._place.url is not None:
            self.damage = None
            await self._call("drop", {"others": False}, limit=WRITE_LIMIT)
        else:
            await self.close()
            with _disk_failure_is_ours():
                await asyncio.to_thread(_delete, self._place.directory)
        self._opened = self.damage = None

    async def erase_deleted(self) -> None:
        """Leaves nothing in Chroma's files of rows that were deleted; some must be left in it.

        A server's files are its own: there, a deletion is all that can be asked for.
        """
        if self._place.url is not None:
            return
        await self.close()
        self._changes = FLUSH_CHANGES
        try:
            await self._call("flush", limit=WRITE_LIMIT)
        finally:
            # The next opening sets it back, also when this process does not live to see it.
            self._changes = SYNC_CHANGES
            await self.close()
        await self._call("scrub", limit=SCRUB_LIMIT)
        await self.close()

    async def exists(self) -> bool:
        """Whether anything was ever written to it."""
        if self._place.url is not None:
            return True
        return await asyncio.to_thread((self._place.directory / "chroma.sqlite3").exists)

    async def remove_others(self) -> None:
        """Removes the collections this one has taken the place of."""
        if self._place.url is not None:
            await self._call("drop", {"others": True}, limit=WRITE_LIMIT)
            return
        with _disk_failure_is_ours():
            for other in await asyncio.to_thread(_siblings, self._place.directory):
                await asyncio.to_thread(_delete, other)

    async def close(self) -> None:
        """Ends the worker once it has finished what it is at."""
        await self._child.close(grace=WRITE_LIMIT)

    async def _call(
        self, method: str, params: Any = None, blobs: Blobs = (), *, limit: float
    ) -> Returned:
        if self.damage is not None:
            raise VectorStoreDown(f"The vector index is damaged: {self.damage}.", _HINT)
        future: asyncio.Future[Returned] = asyncio.get_running_loop().create_future()
        self._place.tasks.create_task(self._settle(future, method, params, blobs, limit))
        return await future

    async def _settle(
        self, future: asyncio.Future[Returned], method: str, params: Any, blobs: Blobs, limit: float
    ) -> None:
        """Makes the call in a task of its own, so that a cancelled caller does not cut it off."""
        try:
            returned = await self._exchange(method, params, blobs, limit)
        except AllmaError as exc:
            if not future.done():
                future.set_exception(exc)
        else:
            if not future.done():
                future.set_result(returned)

    async def _exchange(self, method: str, params: Any, blobs: Blobs, limit: float) -> Returned:
        try:
            if method == "scrub":
                pass  # the files are worked on while nobody has them open
            elif self._opened is None or self._opened != self._child.pid:
                await self._open()
            found, received = await self._child.call(method, params, blobs, limit=limit)
        except ChildFailed as exc:
            if exc.bug:
                log.error("the vector worker failed:\n%s", exc.bug)
            raise VectorStoreDown(f"The vector store does not answer: {exc}.", _HINT) from exc
        self._check(found)
        return found, received

    async def _open(self) -> None:
        with _disk_failure_is_ours():
            await asyncio.to_thread(_make_directory, self._place.directory)
        params = {"changes": self._changes}
        found, _ = await self._child.call("open", params, limit=OPEN_LIMIT)
        self._check(found)
        self._opened = self._child.pid

    def _check(self, found: dict[str, Any]) -> None:
        if damage := found.get("damage"):
            self.damage = damage
            raise VectorStoreDown(f"The vector index is damaged: {damage}.", _HINT)


@contextlib.contextmanager
def _disk_failure_is_ours() -> Generator[None]:
    try:
        yield
    except OSError as exc:
        raise VectorStoreDown(f"The vector index cannot be kept: {exc}.", _HINT) from exc


def _worker(place: VectorStoreConfig) -> Child:
    options = {
        "directory": str(place.directory),
        "collection": place.collection,
        "with_payload": place.with_payload,
        "url": place.url,
    }
    return Child(
        "allma_server.storage.vectors.chroma_worker",
        [json.dumps(options)],
        cwd=place.directory,
        environment=child_environment(),
    )


def _encodable(path: str) -> str:
    return path.encode("utf-8", "replace").decode("utf-8")


def _make_directory(directory: Path) -> None:
    make_private_folder(directory)
    for leftover in directory.parent.glob("*.old"):
        shutil.rmtree(leftover, ignore_errors=True)


def delete_collections(directory: Path) -> None:
    """Deletes every collection below the vector index's directory; nobody may have one open.

    Raises:
        VectorStoreDown: the disk does not let them go.
    """
    with _disk_failure_is_ours():
        for collection in list(directory.iterdir()) if directory.is_dir() else []:
            _delete(collection)


def _siblings(directory: Path) -> list[Path]:
    parent = directory.parent
    found = parent.iterdir() if parent.is_dir() else ()
    return [entry for entry in found if entry.is_dir() and entry != directory]


def _delete(directory: Path) -> None:
    """Moved first, so that a deletion that is cut short leaves nothing that looks like an index."""
    if directory.exists():
        old = directory.with_suffix(".old")
        shutil.rmtree(old, ignore_errors=True)
        directory.rename(old)
        shutil.rmtree(old, ignore_errors=True)
