"""Exact search: every vector is compared. Always right, and fast enough while Chroma cannot serve.

Measured with 384 dimensions on one core: 16 ms for 100,000 vectors.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allma_server.ports import Vector, VectorRecord, Vectors
from allma_server.storage.vectors.config import Inspection, VectorStoreConfig
from allma_server.types import Hit


class ExactStore:
    """A matrix in memory; implements `ports.VectorStore`."""

    damage: str | None = None

    def __init__(self, place: VectorStoreConfig | None = None) -> None:
        del place
        self._empty()

    def __len__(self) -> int:
        return len(self._slots)

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

    async def query(self, vector: Vector, k: int) -> list[Hit]:
        return self.best(vector, k)

    async def count(self) -> int:
        return len(self)

    async def inspect(self) -> Inspection:
        return Inspection(len(self), len(self), len(self))

    async def reset(self) -> None:
        self._empty()

    async def exists(self) -> bool:
        return True

    async def erase_deleted(self) -> None:
        """What is deleted has been overwritten, and nothing is on the disk."""

    async def remove_others(self) -> None:
        """Nothing is kept elsewhere."""

    async def close(self) -> None:
        self._empty()

    def put(
        self,
        ids: NDArray[np.int64],
        documents: NDArray[np.int64],
        vectors: NDArray[np.floating[Any]],
    ) -> None:
        """Inserts or replaces rows; the ids are distinct."""
        used = len(self._slots)
        numbers: list[int] = ids.tolist()
        new = [chunk_id for chunk_id in numbers if chunk_id not in self._slots]
        self._make_room(used + len(new), vectors.shape[1])
        self._slots.update(zip(new, range(used, used + len(new)), strict=True))
        # A stretch of rows is filled many times faster than rows here and there.
        all_new = len(new) == len(numbers)
        rows = slice(used, used + len(new)) if all_new else [self._slots[i] for i in numbers]
        self._ids[rows] = ids
        self._documents[rows] = documents
        self._vectors[rows] = vectors

    def best(self, vector: Vector, k: int, documents: Collection[int] | None = None) -> list[Hit]:
        """The `k` rows most similar to `vector`, of all documents or of these."""
        rows = len(self._slots)
        if not rows or k <= 0:
            return []
        ids, vectors = self._ids[:rows], self._vectors[:rows]
        if documents is not None:
            wanted = np.isin(self._documents[:rows], np.fromiter(documents, np.int64))
            ids, vectors = ids[wanted], vectors[wanted]
        return best(ids, vectors @ vector, k)

    def _empty(self) -> None:
        self._slots: dict[int, int] = {}
        self._ids: NDArray[np.int64] = np.empty(0, np.int64)
        self._documents: NDArray[np.int64] = np.empty(0, np.int64)
        self._vectors: Vectors = np.empty((0, 0), np.float32)

    def _make_room(self, rows: int, dimensions: int) -> None:
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
    """The `k` ids with the highest scores, best first."""
    if len(ids) > k:
        top = np.argpartition(scores, -k)[-k:]
        ids, scores = ids[top], scores[top]
    order = np.argsort(-scores, kind="stable")
    return [Hit(int(ids[i]), float(scores[i])) for i in order]
