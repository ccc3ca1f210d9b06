"""The outbox: changes that the vector index has not written yet, and what it should hold.

The transaction that changes a chunk also adds its row, and the row is deleted once the vector index
has written the change. So the index can be behind, but it cannot miss a change.
"""

import asyncio
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from allma_server.ports import Vector
from allma_server.storage.sqlite.database import Repository
from allma_server.storage.sqlite.embeddings import vector_of
from allma_server.storage.sqlite.rows import as_json, shown_path

_RECORD = """
    c.text, c.chunk_index, c.document_id, d.path, d.indexed_at, e.vector FROM {source}
    JOIN documents d ON d.id = c.document_id
    JOIN embeddings e ON e.text_hash = c.text_hash
      AND e.embedder_id = (SELECT id FROM embedders WHERE identity = ?1)
"""

_CHANGE = """
    c.document_id, e.vector FROM {source} LEFT JOIN chunks c ON c.id = {id}
    LEFT JOIN embeddings e ON e.text_hash = c.text_hash
      AND e.embedder_id = (SELECT id FROM embedders WHERE identity = ?1)
"""


@dataclass(frozen=True, slots=True)
class VectorRecord:
    """What a vector store gets of a chunk; `source` is the document's path."""

    chunk_id: int
    vector: Vector
    text: str
    source: str
    chunk_index: int
    document_id: int
    created_at: str


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A changed chunk: its record, or None when it has no vector, or no longer one."""

    seq: int
    chunk_id: int
    record: VectorRecord | None


@dataclass(frozen=True, slots=True)
class VectorChange:
    """A changed chunk: its document and its vector as stored, or None when it has none."""

    seq: int
    chunk_id: int
    document_id: int | None
    vector: bytes | None


class Outbox(Repository):
    """The changes of chunks that are pending for the vector index."""

    async def size(self) -> int:
        [row] = await self._db.rows("SELECT count(*) FROM vector_outbox")
        return row[0]

    async def last_seq(self) -> int:
        """Return the number of the latest change, pending or not."""
        row = await self._db.row("SELECT seq FROM sqlite_sequence WHERE name = 'vector_outbox'")
        return row["seq"] if row else 0

    async def pending_ids(self, limit: int) -> list[int]:
        """Return ids of chunks with a pending change, at most `limit`."""
        found = await self._db.rows("SELECT chunk_id FROM vector_outbox LIMIT ?", (limit,))
        return [row["chunk_id"] for row in found]

    async def pending_changes(self, embedder: str, after: int, limit: int) -> list[PendingChange]:
        """Return pending changes with a number above `after`, oldest first."""
        found = await self._db.rows(
            "SELECT seq, chunk_id FROM vector_outbox WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        )
        records = await self.records(embedder, [row["chunk_id"] for row in found])
        by_id = {record.chunk_id: record for record in records}
        return [PendingChange(r["seq"], r["chunk_id"], by_id.get(r["chunk_id"])) for r in found]

    async def changes_after(self, embedder: str, after: int, limit: int) -> list[VectorChange]:
        """Return pending changes with a number above `after`, oldest first, without texts."""
        found = await self._db.rows(
            f"SELECT o.seq, o.chunk_id, {_CHANGE.format(source='vector_outbox o', id='o.chunk_id')}"
            "WHERE o.seq > ?2 ORDER BY o.seq LIMIT ?3",
            (embedder, after, limit),
        )
        return [VectorChange(*row) for row in found]

    async def changes_of(self, embedder: str, chunk_ids: Iterable[int]) -> list[VectorChange]:
        """Return what these chunks are now, as changes without a number."""
        found = await self._db.rows(
            f"SELECT 0, j.value, {_CHANGE.format(source='json_each(?2) j', id='j.value')}",
            (embedder, as_json(chunk_ids)),
        )
        return [VectorChange(*row) for row in found]

    async def records(self, embedder: str, chunk_ids: Iterable[int]) -> list[VectorRecord]:
        """Return the records of those of these chunks that exist and have a vector."""
        source = _RECORD.format(source="json_each(?2) j CROSS JOIN chunks c ON c.id = j.value")
        found = await self._db.rows(f"SELECT c.id, {source}", (embedder, as_json(chunk_ids)))
        return await asyncio.to_thread(lambda: [_record(row) for row in found])

    async def acknowledge(self, changes: Sequence[PendingChange]) -> None:
        """Remove written changes; a chunk that changed again since stays pending."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "DELETE FROM vector_outbox WHERE seq IN (SELECT value FROM json_each(?))",
                (as_json(change.seq for change in changes),),
            )

    async def enqueue_all(self, embedder: str, after: int) -> tuple[list[int], int]:
        """Make every chunk with a vector pending: the vector index starts empty.

        Returns the chunks that were pending before with a number above `after`, and the number of
        the last change.
        """
        async with self._db.transaction() as tx:
            pending = await tx.rows("SELECT chunk_id FROM vector_outbox WHERE seq > ?", (after,))
            await tx.execute("DELETE FROM vector_outbox")
            await tx.execute(
                "INSERT INTO vector_outbox (chunk_id) SELECT c.id FROM chunks c "
                "JOIN embeddings e ON e.text_hash = c.text_hash AND e.embedder_id = "
                "(SELECT id FROM embedders WHERE identity = ?) ORDER BY c.id",
                (embedder,),
            )
            last = await tx.row("SELECT seq FROM sqlite_sequence WHERE name = 'vector_outbox'")
        return [row["chunk_id"] for row in pending], last["seq"] if last else 0

    async def count_acknowledged(self, embedder: str) -> int:
        """Return how many chunks the vector index must hold, without pending ones."""
        [row] = await self._db.rows(
            "SELECT count(*) FROM chunks c JOIN embeddings e ON e.text_hash = c.text_hash "
            "AND e.embedder_id = (SELECT id FROM embedders WHERE identity = ?) "
            "WHERE c.id NOT IN (SELECT chunk_id FROM vector_outbox)",
            (embedder,),
        )
        return row[0]

    async def vectors(self, embedder: str, after: int, limit: int) -> list[VectorChange]:
        """Return the chunks above id `after` that have a vector, by id, as changes."""
        found = await self._db.rows(
            "SELECT 0, c.id, c.document_id, e.vector FROM chunks c CROSS JOIN embeddings e "
            "ON e.text_hash = c.text_hash "
            "AND e.embedder_id = (SELECT id FROM embedders WHERE identity = ?) "
            "WHERE c.id > ? ORDER BY c.id LIMIT ?",
            (embedder, after, limit),
        )
        return [VectorChange(*row) for row in found]

    async def vectors_of(self, embedder: str, chunk_ids: Collection[int]) -> dict[int, Vector]:
        """Return the vectors of those of these chunks that have one, by chunk id."""
        found = await self._db.rows(
            "SELECT c.id, e.vector FROM json_each(?) j CROSS JOIN chunks c ON c.id = j.value "
            "CROSS JOIN embeddings e ON e.text_hash = c.text_hash "
            "AND e.embedder_id = (SELECT id FROM embedders WHERE identity = ?)",
            (as_json(chunk_ids), embedder),
        )
        return {row["id"]: vector_of(row["vector"]) for row in found}

    async def documents_of(self, chunk_ids: Iterable[int]) -> dict[int, int]:
        """Return the documents of those of these chunks that exist, by chunk."""
        found = await self._db.rows(
            "SELECT id, document_id FROM chunks WHERE id IN (SELECT value FROM json_each(?))",
            (as_json(chunk_ids),),
        )
        return {row["id"]: row["document_id"] for row in found}


def _record(row: sqlite3.Row) -> VectorRecord:
    return VectorRecord(
        chunk_id=row["id"],
        vector=vector_of(row["vector"]),
        text=row["text"],
        source=shown_path(row["path"]),
        chunk_index=row["chunk_index"],
        document_id=row["document_id"],
        created_at=row["indexed_at"],
    )
