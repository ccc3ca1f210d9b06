"""Vector search: which store serves, and how its answer is made complete.

Chroma serves once it holds what SQLite holds; until then, and whenever it is far behind, damaged
or silent, the vectors in SQLite are compared one by one. The answers are the same: a chunk whose
change Chroma has not acknowledged is left out of its hits and compared exactly instead.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from allma_server._internal.tasks import background_tasks
from allma_server.errors import VectorStoreDown
from allma_server.ports import Vector
from allma_server.storage.sqlite.database import Database
from allma_server.storage.sqlite.outbox import Outbox, VectorRecord
from allma_server.storage.sqlite.settings import Settings
from allma_server.storage.vectors.cache import VectorCache, put_stored
from allma_server.storage.vectors.chroma import ChromaStore, delete_collections
from allma_server.storage.vectors.config import RebuildableStore, VectorStoreConfig
from allma_server.storage.vectors.exact import ExactStore
from allma_server.storage.vectors.indexer import ActiveIndex, VectorIndexer
from allma_server.types import Hit, VectorStatus

__all__ = ["VECTOR_STORES", "VectorIndex", "VectorOptions", "VectorRecord", "open_vectors"]

VECTOR_STORES: dict[str, Callable[[VectorStoreConfig], RebuildableStore]] = {
    "chroma": ChromaStore,
    "exact": ExactStore,
}

FEW_WAITING = 500
"""With more changes waiting, exact search is quicker than the store and those changes together."""

DIRECT = 2_000
"""Rows of a filter that are read from SQLite for one query, rather than held in memory."""

MOST_FETCHED = 2_000
"""Hits asked of the store where many of them may be dropped."""


@dataclass(frozen=True, slots=True)
class VectorOptions:
    """How the vector index is kept.

    `settle`: seconds before the store is started, so that a process which answers one search and
    ends never does. `pauses`: seconds before each further try after a failure; the last repeats.
    """

    store: str = "chroma"
    payload: Literal["full", "ids"] = "full"
    url: str | None = None
    settle: float = 5.0
    pauses: tuple[float, ...] = (0.0, 1.0, 5.0, 30.0, 120.0, 600.0)


@contextlib.asynccontextmanager
async def open_vectors(
    database: Database,
    directory: Path,
    tasks: asyncio.TaskGroup,
    options: VectorOptions | None = None,
) -> AsyncGenerator["VectorIndex"]:
    """Vector search over the catalogue; `tasks` owns the task that keeps its store up to date.

    `directory` is the store's own. Nothing is found before `VectorIndex.use` named an embedder.
    """
    options = options or VectorOptions()
    outbox = Outbox(database)
    upkeep = VectorIndexer(database, outbox, settle=options.settle, pauses=options.pauses)
    async with _calls() as calls:
        running = tasks.create_task(upkeep.run())
        try:
            yield VectorIndex(database, outbox, upkeep, calls, directory, options)
        finally:
            upkeep.end()
            await asyncio.wait([running])
            await upkeep.close()


@contextlib.asynccontextmanager
async def _calls() -> AsyncGenerator[asyncio.TaskGroup]:
    """A task group that is waited for, not cancelled, whatever its body raises."""
    failure: BaseException | None = None
    async with asyncio.TaskGroup() as tasks:
        try:
            yield tasks
        # Only kept from the group, which would cancel a write to the index.
        except BaseException as exc:
            failure = exc
    if failure is not None:
        raise failure


class VectorIndex:
    """Searches vectors; implements `ports.VectorSearch`. Made by `open_vectors`."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        upkeep: VectorIndexer,
        calls: asyncio.TaskGroup,
        directory: Path,
        options: VectorOptions,
    ) -> None:
        self._database = database
        self._settings = Settings(database)
        self._outbox = outbox
        self._upkeep = upkeep
        self._calls = calls
        self._directory = directory
        self._options = options

    async def use(self, embedder: str) -> None:
        """Searches vectors of this embedder from now on.

        Another embedder, or another payload, is another collection. It is filled from SQLite; the
        former one is removed once it is complete.
        """
        kept = self._upkeep.kept
        if kept is not None and kept.embedder == embedder:
            return
        collection = await self._collection(embedder)
        place = VectorStoreConfig(
            self._calls,
            self._directory / collection,
            collection,
            self._options.payload == "full",
            self._options.url,
        )
        store = VECTOR_STORES[self._options.store](place)
        known = await self._settings.get_setting("vector_collection")
        # What cannot be noted now, the store is compared with once it can be.
        anew = known != collection and self._database.unwritable is None
        await self._upkeep.keep(
            ActiveIndex(embedder, store, VectorCache(self._outbox, embedder)), anew=anew
        )
        if anew:
            await self._settings.set_setting("vector_collection", collection)

    async def nearest(
        self, vector: Vector, k: int, documents: Collection[int] | None = None
    ) -> list[Hit]:
        """The `k` chunks nearest to `vector`, of all documents or of these; never out of date."""
        self._upkeep.searched()
        kept = self._upkeep.kept
        if kept is None or k <= 0 or (documents is not None and not documents):
            return []
        if documents is not None and not kept.cache.loaded:
            if await self._outbox.chunks_in(documents) <= DIRECT:
                found = await self._outbox.vectors_in(kept.embedder, documents)
                return await asyncio.to_thread(_best, found, vector, k)
        if self._upkeep.ready:
            try:
                hits = await self._from_store(kept, vector, k, documents)
            except VectorStoreDown:
                self._upkeep.lost()
            else:
                if hits is not None:
                    return hits
        return await kept.cache.nearest(vector, k, documents)

    async def vectors_of(self, chunk_ids: Collection[int]) -> dict[int, Vector]:
        """The vectors of those of these chunks that the serving embedder has made one for."""
        kept = self._upkeep.kept
        return await self._outbox.vectors_of(kept.embedder, chunk_ids) if kept else {}

    async def status(self) -> VectorStatus:
        """Who serves, and how many changes wait for the store."""
        upkeep, waiting = self._upkeep, await self._outbox.size()
        state, reason = "ready", None
        if upkeep.trouble is not None:
            state, reason = "down", upkeep.trouble
        elif not upkeep.started or upkeep.kept is None:
            state = "idle"
        elif not upkeep.ready or waiting > FEW_WAITING:
            total = max(upkeep.total, waiting)
            state, reason = "rebuilding", f"{total - waiting:,} of {total:,} vectors are written."
        return VectorStatus(self._options.store, state, waiting, reason)

    async def settled(self) -> None:
        """Returns once the store holds all that SQLite holds; waits out its failures."""
        await self._upkeep.settled()

    async def empty(self) -> None:
        """Leaves nothing of the store on the disk; it is built anew from SQLite, in the background.

        Raises:
            VectorStoreDown: it cannot be emptied.
        """
        if not await self._upkeep.empty():
            await asyncio.to_thread(delete_collections, self._directory)

    async def erase_deleted(self) -> None:
        """Leaves nothing of deleted chunks on the disk, without building the store anew if it can.

        Raises:
            VectorStoreDown: they cannot be erased.
        """
        if not await self._upkeep.erase_deleted():
            await asyncio.to_thread(delete_collections, self._directory)

    async def rebuilt(self) -> str | None:
        """Waits for the store to hold all that SQLite holds; what is wrong when it cannot."""
        async with background_tasks() as tasks:
            settled = tasks.create_task(self._upkeep.settled())
            failed = tasks.create_task(self._upkeep.failed())
            await asyncio.wait({settled, failed}, return_when=asyncio.FIRST_COMPLETED)
            return None if settled.done() else failed.result()

    def rebuild(self) -> None:
        """Has the store built anew from SQLite, in the background."""
        self._upkeep.rebuild()

    async def _from_store(
        self, kept: ActiveIndex, vector: Vector, k: int, documents: Collection[int] | None
    ) -> list[Hit] | None:
        """The store's answer, put right by what it does not know yet; None if it gives too few."""
        waiting = set(await self._outbox.waiting(FEW_WAITING + 1))
        if len(waiting) > FEW_WAITING:
            return None
        wanted = k + min(k, len(waiting)) if documents is None else 4 * k
        while True:
            hits = await kept.store.query(vector, wanted)
            exhausted = len(hits) < wanted
            hits = [hit for hit in hits if hit.chunk_id not in waiting]
            if documents is not None:
                mine = await self._outbox.among([hit.chunk_id for hit in hits], documents)
                hits = [hit for hit in hits if hit.chunk_id in mine]
            if len(hits) >= k or exhausted:
                break
            if wanted >= MOST_FETCHED:
                return None
            wanted = min(4 * wanted, MOST_FETCHED)
        hits += await self._among_waiting(kept, waiting, vector, k, documents)
        return sorted(hits, key=lambda hit: -hit.score)[:k]

    async def _among_waiting(
        self,
        kept: ActiveIndex,
        waiting: Collection[int],
        vector: Vector,
        k: int,
        documents: Collection[int] | None,
    ) -> list[Hit]:
        if not waiting:
            return []
        rows = ExactStore()
        await rows.upsert(await self._outbox.records(kept.embedder, waiting))
        return rows.best(vector, k, documents)

    async def _collection(self, embedder: str) -> str:
        """A name no other data directory, embedder or payload has; servers may be shared."""
        key = "vector_index_id"
        if (index_id := await self._settings.get_setting(key)) is None:
            index_id = secrets.token_hex(4)
            if self._database.unwritable is None:
                await self._settings.set_setting(key, index_id)
        content = f"{embedder}\n{self._options.payload}".encode()
        return f"allma-{index_id}-{blake2b(content, digest_size=6).hexdigest()}"


def _best(found: list[tuple[int, int, bytes]], vector: Vector, k: int) -> list[Hit]:
    rows = ExactStore()
    put_stored(rows, found)
    return rows.best(vector, k)
