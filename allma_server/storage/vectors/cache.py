"""SQLite's vectors in memory: whole, and brought up to date before every search."""

import asyncio
from collections.abc import Collection

import numpy as np

from allma_server.ports import Vector
from allma_server.storage.sqlite.outbox import Outbox
from allma_server.storage.vectors.exact import ExactStore
from allma_server.types import Hit

LOADED_AT_ONCE = 10_000
"""Rows read in one step, so that a query on another connection never waits long."""


class VectorCache:
    """Exact search over all vectors of one embedder; loaded by the first search."""

    def __init__(self, outbox: Outbox, embedder: str) -> None:
        self._outbox = outbox
        self._embedder = embedder
        self._rows: ExactStore | None = None
        self._seq = 0
        self._turn = asyncio.Lock()

    @property
    def loaded(self) -> bool:
        return self._rows is not None

    async def nearest(
        self, vector: Vector, k: int, documents: Collection[int] | None = None
    ) -> list[Hit]:
        """The `k` chunks most similar to `vector`, as SQLite has them now."""
        async with self._turn:
            rows = await self._fresh()
            return await asyncio.to_thread(rows.best, vector, k, documents)

    async def keep_up(self) -> None:
        """Takes in what waits in the outbox, before it is struck off there."""
        async with self._turn:
            if self._rows is not None:
                await self._fresh()

    async def clear(self) -> None:
        """Gives the memory back; the next search loads it again."""
        async with self._turn:
            self._rows = None

    async def _fresh(self) -> ExactStore:
        if self._rows is None:
            # Changes during the load are numbered later than this, and taken in below.
            self._seq = await self._outbox.last_seq()
            self._rows = await self._load()
        while changes := await self._outbox.changes(self._embedder, self._seq, LOADED_AT_ONCE):
            await self._rows.delete([c.chunk_id for c in changes if c.record is None])
            await self._rows.upsert([c.record for c in changes if c.record is not None])
            self._seq = changes[-1].seq
        return self._rows

    async def _load(self) -> ExactStore:
        rows, last = ExactStore(), 0
        while batch := await self._outbox.vectors(self._embedder, last, LOADED_AT_ONCE):
            await asyncio.to_thread(put_stored, rows, batch)
            last = batch[-1][0]
        return rows


def put_stored(rows: ExactStore, batch: list[tuple[int, int, bytes]]) -> None:
    """Adds chunk ids, document ids and stored vectors to a store."""
    if batch:
        ids, documents, blobs = zip(*batch, strict=True)
        vectors = np.frombuffer(b"".join(blobs), "<f2").reshape(len(blobs), -1)
        rows.put(np.array(ids, np.int64), np.array(documents, np.int64), vectors)
