"""SQLite's vectors in memory, updated before every search."""

import asyncio
from collections.abc import Sequence

import numpy as np

from allma_server.ports import Vector
from allma_server.storage.sqlite.outbox import Outbox
from allma_server.storage.vectors.stores.exact import ExactStore
from allma_server.types import Hit

LOAD_ROWS = 10_000
"""Rows read in one step, so that a query on another connection does not wait long."""


class VectorCache:
    """Exact search over all vectors of one embedder; the first search loads them."""

    def __init__(self, outbox: Outbox, embedder: str) -> None:
        self._outbox = outbox
        self._embedder = embedder
        self._rows: ExactStore | None = None
        self._seq = 0
        self._updating = asyncio.Lock()

    @property
    def loaded(self) -> bool:
        return self._rows is not None

    async def nearest(
        self, vector: Vector, k: int, documents: Sequence[range] | None = None
    ) -> list[Hit]:
        """Return the `k` chunks most similar to `vector`, as SQLite has them now."""
        async with self._updating:
            rows = await self._updated()
            return await asyncio.to_thread(rows.nearest, vector, k, documents)

    async def update(self) -> None:
        """Apply the changes in the outbox; called before they are acknowledged there."""
        async with self._updating:
            if self._rows is not None:
                await self._updated()

    async def clear(self) -> None:
        """Free the memory; the next search loads the vectors again."""
        async with self._updating:
            self._rows = None

    async def _updated(self) -> ExactStore:
        if self._rows is None:
            # Changes made during the load have later numbers, and are applied below.
            self._seq = await self._outbox.last_seq()
            self._rows = await self._load()
        while changes := await self._outbox.pending_changes(self._embedder, self._seq, LOAD_ROWS):
            await self._rows.delete([c.chunk_id for c in changes if c.record is None])
            await self._rows.upsert([c.record for c in changes if c.record is not None])
            self._seq = changes[-1].seq
        return self._rows

    async def _load(self) -> ExactStore:
        rows, last = ExactStore(), 0
        while batch := await self._outbox.vectors(self._embedder, last, LOAD_ROWS):
            await asyncio.to_thread(put_stored, rows, batch)
            last = batch[-1][0]
        return rows


def put_stored(rows: ExactStore, batch: list[tuple[int, int, bytes]]) -> None:
    """Add chunk ids, document ids and stored vectors to a store."""
    if batch:
        ids, documents, blobs = zip(*batch, strict=True)
        vectors = np.frombuffer(b"".join(blobs), "<f2").reshape(len(blobs), -1)
        rows.put(np.array(ids, np.int64), np.array(documents, np.int64), vectors)
