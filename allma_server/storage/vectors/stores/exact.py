"""Exact search: compare every vector.

Always right, and fast enough while another store cannot answer: 16 ms for 100,000 vectors of 384
dimensions on one core.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allma_server.ports import Vector, VectorRecord, Vectors
from allma_server.storage.vectors.config import VectorStoreConfig
from allma_server.types import Hit, VectorStoreHealth


class ExactStore:
    """A matrix in memory; implements `ports.VectorStore`."""

    damage: str | None = None
    filters_documents = True

    def __init__(self, config: VectorStoreConfig | None = None) -> None:
        del config
        self._clear()

    def __len__(self) -> int:
        return len(self._slots)

    async def open(self) -> None:
        """Do nothing: memory is always open."""

    async def upsert(self, records: Sequence[VectorRecord]) -> None:
        if records:
            self.put(
                np.array([r.chunk_id for r in records], np.int64),
                np.array([r.document_id for r in records], np.int64),
                np.stack([r.vector for r in records]),
            )

    async def delete(self, chunk_ids: Sequence[int]) -> None:
        for chunk_id in chunk_ids:
            if (slot := self._slots.pop(chunk_id, None)) is None:
                continue
            # The last row fills the gap.
            last = len(self._slots)
            if slot != last:
                self._ids[slot] = self._ids[last]
                self._documents[slot] = self._documents[last]
                self._vectors[slot] = self._vectors[last]
                self._slots[int(self._ids[slot])] = slot

    async def query(
        self, vector: Vector, k: int, documents: Sequence[range] | None = None
    ) -> list[Hit]:
        return self.nearest(vector, k, documents)

    async def health(self) -> VectorStoreHealth:
        return VectorStoreHealth(len(self), len(self), len(self))

    async def reset(self) -> None:
        self._clear()

    async def exists(self) -> bool:
        return True

    async def erase_deleted(self) -> None:
        """Do nothing: deleted rows are overwritten, and nothing is on the disk."""

    async def remove_others(self) -> None:
        """Do nothing: there is no server."""

    async def close(self) -> None:
        self._clear()

    def put(
        self,
        ids: NDArray[np.int64],
        documents: NDArray[np.int64],
        vectors: NDArray[np.floating[Any]],
    ) -> None:
        """Insert or replace rows; the ids are distinct."""
        used = len(self._slots)
        numbers: list[int] = ids.tolist()
        new = [chunk_id for chunk_id in numbers if chunk_id not in self._slots]
        self._reserve(used + len(new), vectors.shape[1])
        self._slots.update(zip(new, range(used, used + len(new)), strict=True))
        # Filling consecutive rows is many times faster than filling scattered ones.
        all_new = len(new) == len(numbers)
        rows = slice(used, used + len(new)) if all_new else [self._slots[i] for i in numbers]
        self._ids[rows] = ids
        self._documents[rows] = documents
        self._vectors[rows] = vectors

    def nearest(
        self, vector: Vector, k: int, documents: Sequence[range] | None = None
    ) -> list[Hit]:
        """Return the `k` rows most similar to `vector`, of all documents or of these ranges."""
        rows = len(self._slots)
        if not rows or k <= 0:
            return []
        ids, vectors = self._ids[:rows], self._vectors[:rows]
        if documents is not None:
            wanted = _in_ranges(self._documents[:rows], documents)
            ids, vectors = ids[wanted], vectors[wanted]
        return best(ids, vectors @ vector, k)

    def _clear(self) -> None:
        self._slots: dict[int, int] = {}
        self._ids: NDArray[np.int64] = np.empty(0, np.int64)
        self._documents: NDArray[np.int64] = np.empty(0, np.int64)
        self._vectors: Vectors = np.empty((0, 0), np.float32)

    def _reserve(self, rows: int, dimensions: int) -> None:
        if rows <= len(self._ids):
            return
        # Growing by half keeps the number of copies logarithmic.
        size = max(rows, len(self._ids) * 3 // 2)
        used = len(self._slots)
        ids, documents = np.empty(size, np.int64), np.empty(size, np.int64)
        vectors = np.empty((size, dimensions), np.float32)
        if used:
            ids[:used], documents[:used] = self._ids[:used], self._documents[:used]
            vectors[:used] = self._vectors[:used]
        self._ids, self._documents, self._vectors = ids, documents, vectors


def best(ids: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> list[Hit]:
    """Return the `k` ids with the highest scores, best first."""
    if len(ids) > k:
        top = np.argpartition(scores, -k)[-k:]
        ids, scores = ids[top], scores[top]
    order = np.argsort(-scores, kind="stable")
    return [Hit(int(ids[i]), float(scores[i])) for i in order]


def _in_ranges(values: NDArray[np.int64], ranges: Sequence[range]) -> NDArray[np.bool_]:
    """Return which values are in one of the ranges, which are ascending and disjoint."""
    if not ranges:
        return np.zeros(len(values), np.bool_)
    starts = np.array([r.start for r in ranges], np.int64)
    stops = np.array([r.stop for r in ranges], np.int64)
    nearest = np.searchsorted(starts, values, "right") - 1
    return (nearest >= 0) & (values < stops[nearest])
