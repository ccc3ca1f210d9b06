"""Vector search: choose between the store and exact search, and complete the store's answer.

Exact search compares all vectors in scope where they are few enough. Elsewhere the store answers
once it holds what SQLite holds; until then, and whenever it is far behind, damaged or silent, exact
search does. Both give the same result: a chunk whose change the store has not acknowledged is
removed from its hits and compared exactly instead.
"""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncGenerator, Collection
from hashlib import blake2b
from pathlib import Path

import numpy as np

from allma_server._internal.tasks import background_tasks
from allma_server.errors import VectorStoreDown
from allma_server.ports import Vector, VectorStore
from allma_server.storage.sqlite.database import Database
from allma_server.storage.sqlite.embeddings import vector_of
from allma_server.storage.sqlite.outbox import Outbox
from allma_server.storage.sqlite.settings import Settings
from allma_server.storage.vectors.config import (
    DEFAULT_STORE,
    VectorOptions,
    VectorStoreConfig,
)
from allma_server.storage.vectors.exact_store import EXACT, ExactStore
from allma_server.storage.vectors.exact_vectors import ExactVectors, best
from allma_server.storage.vectors.folders import ROWS_SUFFIX, delete_collections
from allma_server.storage.vectors.indexer import ActiveIndex, VectorIndexer
from allma_server.storage.vectors.stores import VECTOR_STORES, check_store_name
from allma_server.types import DocumentSet, Hit, VectorStatus

MAX_PENDING = 500
"""With more pending changes, exact search is faster than the store and those changes together."""

NARROW_CHUNKS, NARROW_SHARE = 1_500_000, 0.15
"""Below either, every vector in scope is compared.

A million take 10 to 20 ms on one core, 200,000 as long as a store's approximate search. That finds
96 to 98 % of the nearest chunks with vectors of a language model, but 29 to 85 % with others.
"""

MAX_FETCHED = 2_000
"""Hits requested from a store when many of them may be out of scope."""


@contextlib.asynccontextmanager
async def open_vectors(
    database: Database,
    directory: Path,
    tasks: asyncio.TaskGroup,
    options: VectorOptions | None = None,
) -> AsyncGenerator["VectorIndex"]:
    """Open vector search over the catalogue.

    Nothing is found before `VectorIndex.use` named an embedder.

    Args:
        database: the catalogue.
        directory: a folder for the store alone.
        tasks: owns the task that keeps the store current.
        options: which store, and how it is kept.

    Raises:
        InvalidArgument: there is no such store.
    """
    options = options or VectorOptions()
    check_store_name(options.store)
    outbox = Outbox(database)
    indexer = VectorIndexer(
        database,
        outbox,
        directory,
        start_delay=options.start_delay,
        retry_pauses=options.retry_pauses,
    )
    async with _awaited_tasks() as calls:
        running = tasks.create_task(indexer.run())
        try:
            yield VectorIndex(database, outbox, indexer, calls, directory, options)
        finally:
            indexer.stop()
            await asyncio.wait([running])
            await indexer.close()


@contextlib.asynccontextmanager
async def _awaited_tasks() -> AsyncGenerator[asyncio.TaskGroup]:
    """A task group that waits for its tasks instead of cancelling them, whatever its body raises.

    A cancelled write would destroy the index.
    """
    failure: BaseException | None = None
    async with asyncio.TaskGroup() as tasks:
        try:
            yield tasks
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
        indexer: VectorIndexer,
        calls: asyncio.TaskGroup,
        directory: Path,
        options: VectorOptions,
    ) -> None:
        self._database = database
        self._settings = Settings(database)
        self._outbox = outbox
        self._indexer = indexer
        self._calls = calls
        self._directory = directory
        self._options = options

    async def use(self, embedder: str) -> None:
        """Search the vectors of this embedder from now on.

        Another embedder, store or payload is another collection. It is filled from SQLite; the
        previous one is deleted once it is complete.
        """
        active = self._indexer.active
        if active is not None and active.embedder == embedder:
            return
        collection = await self._collection_name(embedder)
        config = VectorStoreConfig(
            tasks=self._calls,
            directory=self._directory / collection,
            collection=collection,
            with_payload=self._options.payload == "full",
            url=self._options.url,
            api_key=self._options.api_key,
        )
        exact = self._exact_vectors(embedder, collection)
        store = self._store(config, exact)
        known = await self._settings.get_setting("vector_collection")
        # On a disk that cannot be written, the indexer compares the store with SQLite instead.
        is_new = known != collection and self._database.write_error is None
        await self._indexer.activate(
            ActiveIndex(embedder, store, exact, config.directory), is_new=is_new
        )
        if is_new:
            await self._settings.set_setting("vector_collection", collection)

    async def nearest(
        self, vector: Vector, k: int, documents: DocumentSet | None = None
    ) -> list[Hit]:
        """Return the `k` chunks nearest to `vector`, of all documents or of these; never stale."""
        self._indexer.note_search()
        active = self._indexer.active
        if active is None or k <= 0 or (documents is not None and not len(documents)):
            return []
        chunks = active.exact.rows if documents is None else documents.chunks
        share = 1.0 if documents is None else documents.share
        narrow = share < NARROW_SHARE or (chunks is not None and chunks <= NARROW_CHUNKS)
        narrow = narrow or self._options.store == EXACT
        if self._indexer.ready and not narrow:
            self._indexer.note_store_search()
            try:
                hits = await self._nearest_in_store(active, vector, k, documents)
            except VectorStoreDown:
                self._indexer.note_store_failure()
            else:
                if hits is not None:
                    return hits
        return await active.exact.nearest(vector, k, documents)

    async def vectors_of(self, chunk_ids: Collection[int]) -> dict[int, Vector]:
        """Return the active embedder's vectors of those of these chunks that have one."""
        active = self._indexer.active
        return await self._outbox.vectors_of(active.embedder, chunk_ids) if active else {}

    async def status(self) -> VectorStatus:
        """Return which store is used, its state, and how many changes are pending for it."""
        indexer, pending = self._indexer, await self._outbox.size()
        state, reason = "ready", None
        if indexer.failure is not None:
            state, reason = "down", indexer.failure
        elif not indexer.started or indexer.active is None:
            state = "idle"
        elif not indexer.ready or pending > MAX_PENDING:
            total = max(indexer.total, pending)
            written = f"{total - pending:,} of {total:,} vectors are written."
            state, reason = "rebuilding", written if total else "It is starting."
        return VectorStatus(self._options.store, state, pending, reason)

    async def wait_until_current(self) -> None:
        """Return once the store holds all that SQLite holds; wait through its failures."""
        await self._indexer.wait_until_current()

    async def empty(self) -> None:
        """Empty the store now; it is rebuilt from SQLite in the background.

        Raises:
            VectorStoreDown: it cannot be emptied.
        """
        if not await self._indexer.empty():
            await asyncio.to_thread(delete_collections, self._directory)

    async def erase_deleted(self) -> None:
        """Leave nothing of deleted chunks on the disk, without a rebuild where possible.

        Raises:
            VectorStoreDown: they cannot be erased.
        """
        if not await self._indexer.erase_deleted():
            await asyncio.to_thread(delete_collections, self._directory)

    async def wait_for_rebuild(self) -> str | None:
        """Wait until the store holds all that SQLite holds; return why when it fails."""
        async with background_tasks() as tasks:
            current = tasks.create_task(self._indexer.wait_until_current())
            failed = tasks.create_task(self._indexer.wait_for_failure())
            await asyncio.wait({current, failed}, return_when=asyncio.FIRST_COMPLETED)
            return None if current.done() else failed.result()

    def rebuild(self) -> None:
        """Rebuild the store from SQLite, in the background."""
        self._indexer.rebuild()

    async def _nearest_in_store(
        self, active: ActiveIndex, vector: Vector, k: int, documents: DocumentSet | None
    ) -> list[Hit] | None:
        """Return the store's answer, corrected by pending changes; None if it gives too few."""
        pending = set(await self._outbox.pending_ids(MAX_PENDING + 1))
        if len(pending) > MAX_PENDING:
            return None
        in_store = documents is not None and active.store.filters_documents
        ranges = documents.ranges() if documents is not None and in_store else None
        share = documents.share if documents is not None and not in_store else 1.0
        wanted = k + min(k, len(pending))
        if share < 1:
            wanted = min(int(1.5 * wanted / share), MAX_FETCHED)
        hits = await active.store.query(vector, wanted, ranges)
        exhausted = len(hits) < wanted
        hits = [hit for hit in hits if hit.chunk_id not in pending]
        if documents is not None:
            # Also what the store filtered: its documents may be out of date.
            hits = await self._in_scope(hits, documents)
        if len(hits) < k and not exhausted:
            return None
        hits += await self._nearest_pending(active, pending, vector, k, documents)
        return sorted(hits, key=lambda hit: -hit.score)[:k]

    async def _in_scope(self, hits: list[Hit], documents: DocumentSet) -> list[Hit]:
        of_chunks = await self._outbox.documents_of([hit.chunk_id for hit in hits])
        found = [hit for hit in hits if hit.chunk_id in of_chunks]
        ids = np.array([of_chunks[hit.chunk_id] for hit in found], np.int64)
        return list(itertools.compress(found, documents.contains(ids).tolist()))

    async def _nearest_pending(
        self,
        active: ActiveIndex,
        pending: Collection[int],
        vector: Vector,
        k: int,
        documents: DocumentSet | None,
    ) -> list[Hit]:
        changes = await self._outbox.changes_of(active.embedder, pending)
        found = [change for change in changes if change.vector is not None]
        if documents is not None:
            ids = np.array([change.document_id for change in found], np.int64)
            found = list(itertools.compress(found, documents.contains(ids).tolist()))
        if not found:
            return []
        vectors = np.stack([vector_of(change.vector or b"") for change in found])
        return best(np.array([change.chunk_id for change in found]), vectors @ vector, k)

    def _store(self, config: VectorStoreConfig, exact: ExactVectors) -> VectorStore:
        name = self._options.store
        return ExactStore(exact.count) if name == EXACT else VECTOR_STORES[name](config)

    def _exact_vectors(self, embedder: str, collection: str) -> ExactVectors:
        index_id = collection.split("-")[1]
        name = blake2b(embedder.encode(), digest_size=6).hexdigest()
        path = self._directory / f"{name}{ROWS_SUFFIX}"
        return ExactVectors(self._outbox, embedder, path, f"{index_id} {embedder}")

    async def _collection_name(self, embedder: str) -> str:
        """Return a name unique to this data directory, embedder and options.

        Data directories may share a server. Version 0.1 had only the default store, so its names
        do not contain the store's.
        """
        key = "vector_index_id"
        if (index_id := await self._settings.get_setting(key)) is None:
            index_id = secrets.token_hex(4)
            if self._database.write_error is None:
                await self._settings.set_setting(key, index_id)
        parts = [embedder, self._options.payload]
        if self._options.store != DEFAULT_STORE:
            parts.append(self._options.store)
        digest = blake2b("\n".join(parts).encode(), digest_size=6).hexdigest()
        return f"allma-{index_id}-{digest}"
