"""Chroma in a worker process: this module holds the parent's end of the pipe.

In the worker a call may hang, crash or be killed without harm to the engine. A call in progress is
never cancelled, whatever happens to its caller: killed during a write, Chroma loses the index.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypedDict, TypeVar

import numpy as np

from allma_server._internal.child_process import Child, ChildFailed
from allma_server._internal.child_server import Blobs
from allma_server.config import child_environment
from allma_server.errors import AllmaError, VectorStoreDown
from allma_server.ports import Vector, VectorRecord
from allma_server.storage.vectors.config import VectorStoreConfig
from allma_server.storage.vectors.folders import (
    REBUILD_HINT,
    create_collection,
    delete_collection,
)
from allma_server.types import Hit, VectorStoreHealth

log = logging.getLogger(__name__)

OPEN_SECONDS = 60.0
WRITE_SECONDS = 30.0
QUERY_SECONDS = 5.0
SCRUB_SECONDS = 600.0

FLUSH_CHANGES, SYNC_CHANGES = 2, 1000
"""Changes after which Chroma writes its index: for a flush, and usually; each write is a risk."""

Reply = tuple[Any, list[bytes]]
T = TypeVar("T")


class WorkerOptions(TypedDict):
    """What the worker gets as JSON on its command line."""

    directory: str
    collection: str
    with_payload: bool
    url: str | None


class ChromaStore:
    """A Chroma collection in a worker process; implements `ports.VectorStore`.

    The first call starts the worker, and the next call after it died starts another.
    """

    # Chroma's own filters take 60 to 440 ms; asking for more hits is faster.
    filters_documents = False

    def __init__(self, config: VectorStoreConfig) -> None:
        self._config = config
        self._child = _worker(config)
        self._in_use = asyncio.Lock()
        self._opened_pid: int | None = None
        self._sync_changes = SYNC_CHANGES
        self.damage: str | None = None

    @property
    def pid(self) -> int | None:
        """The worker's process id; None while it is not running."""
        return self._child.pid

    async def open(self) -> None:
        await self._call("open", limit=OPEN_SECONDS)

    async def upsert(self, records: Sequence[VectorRecord]) -> None:
        if not records:
            return
        params: dict[str, list[Any]] = {"ids": [r.chunk_id for r in records]}
        if self._config.with_payload:
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
        await self._call("upsert", params, [matrix.tobytes()], limit=WRITE_SECONDS)

    async def delete(self, chunk_ids: Sequence[int]) -> None:
        if chunk_ids:
            await self._call("delete", {"ids": list(chunk_ids)}, limit=WRITE_SECONDS)

    async def query(
        self, vector: Vector, k: int, documents: Sequence[range] | None = None
    ) -> list[Hit]:
        assert documents is None, "filters_documents is False"
        if k <= 0:
            return []
        blob = vector.astype(np.float32).tobytes()
        found, _ = await self._call("query", {"k": k}, [blob], limit=QUERY_SECONDS)
        return [Hit(i, score) for i, score in zip(found["ids"], found["scores"], strict=True)]

    async def health(self) -> VectorStoreHealth:
        found, _ = await self._call("health", limit=WRITE_SECONDS)
        return VectorStoreHealth(found["rows"], found["used"], found["live"])

    async def reset(self) -> None:
        if self._config.url is not None:
            self.damage = None
            await self._call("drop", {"others": False}, limit=WRITE_SECONDS)
        else:
            async with self._in_use:
                await self.close()
                await asyncio.to_thread(delete_collection, self._config.directory)
        self._opened_pid = self.damage = None

    async def erase_deleted(self) -> None:
        """Leave nothing of deleted rows in Chroma's files; the collection must not be empty.

        On a server deletion is all that can be asked for: its files are out of reach.
        """
        if self._config.url is None:
            await self._uninterrupted(self._erase_deleted)

    async def _erase_deleted(self) -> None:
        # A search in between would open the files that are being overwritten, and one in progress
        # would be killed if it takes long.
        async with self._in_use:
            self._sync_changes, self._opened_pid = FLUSH_CHANGES, None
            try:
                await self._exchange("flush", limit=WRITE_SECONDS)
            finally:
                # The next open sets it back, even if this process is killed before it does.
                self._sync_changes, self._opened_pid = SYNC_CHANGES, None
                await self.close()
            # By a new process, which has nothing open; it may open the files afterwards.
            await self._exchange("scrub", limit=SCRUB_SECONDS)

    async def exists(self) -> bool:
        if self._config.url is not None:
            return True
        return await asyncio.to_thread((self._config.directory / "chroma.sqlite3").exists)

    async def remove_others(self) -> None:
        if self._config.url is not None:
            await self._call("drop", {"others": True}, limit=WRITE_SECONDS)

    async def close(self) -> None:
        await self._child.close(grace=WRITE_SECONDS)

    async def _call(
        self, method: str, params: Any = None, blobs: Blobs = (), *, limit: float
    ) -> Reply:
        if self.damage is not None:
            raise VectorStoreDown(f"The vector index is damaged: {self.damage}.", REBUILD_HINT)

        async def call() -> Reply:
            async with self._in_use:
                return await self._exchange(method, params, blobs, limit=limit)

        return await self._uninterrupted(call)

    async def _uninterrupted(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do work in a separate task, so that a cancelled caller does not interrupt it."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._config.tasks.create_task(_settle(future, work))
        return await future

    async def _exchange(
        self, method: str, params: Any = None, blobs: Blobs = (), *, limit: float
    ) -> Reply:
        try:
            if method == "open":
                return await self._open(), []
            # `scrub` works on the files while no process has them open.
            opened = self._opened_pid is not None and self._opened_pid == self._child.pid
            if method != "scrub" and not opened:
                await self._open()
            found, received = await self._child.call(method, params, blobs, limit=limit)
        except ChildFailed as exc:
            if exc.bug:
                log.error("the vector worker failed:\n%s", exc.bug)
            raise VectorStoreDown(
                f"The vector store does not answer: {exc}.", REBUILD_HINT
            ) from exc
        self._check(found)
        return found, received

    async def _open(self) -> dict[str, object]:
        if self._config.url is not None and self._child.pid is None:
            # What a local collection of this name left, before the server was set.
            await asyncio.to_thread(delete_collection, self._config.directory)
        await asyncio.to_thread(create_collection, self._config.directory)
        # Not on the command line of the worker, which every user of the machine can read.
        key = await self._config.api_key() if self._config.url and self._config.api_key else None
        params = {"changes": self._sync_changes, "api_key": key}
        found, _ = await self._child.call("open", params, limit=OPEN_SECONDS)
        self._check(found)
        self._opened_pid = self._child.pid
        return found

    def _check(self, found: dict[str, object]) -> None:
        if damage := found.get("damage"):
            self.damage = str(damage)
            raise VectorStoreDown(f"The vector index is damaged: {damage}.", REBUILD_HINT)


async def _settle(future: asyncio.Future[T], work: Callable[[], Awaitable[T]]) -> None:
    try:
        result = await work()
    except AllmaError as exc:
        if not future.done():
            future.set_exception(exc)
    else:
        if not future.done():
            future.set_result(result)


def _worker(config: VectorStoreConfig) -> Child:
    options = WorkerOptions(
        directory=str(config.directory),
        collection=config.collection,
        with_payload=config.with_payload,
        url=config.url,
    )
    return Child(
        "allma_server.storage.vectors.stores.chroma_worker",
        [json.dumps(options)],
        cwd=config.directory,
        environment=child_environment(),
    )


def _encodable(path: str) -> str:
    return path.encode("utf-8", "replace").decode("utf-8")
