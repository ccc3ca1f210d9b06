"""Vectors by embedder and text hash: no text is embedded twice."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from allma_server.ports import Vector
from allma_server.storage.sqlite import rows
from allma_server.storage.sqlite.connection import Transaction
from allma_server.storage.sqlite.database import Database, Repository
from allma_server.storage.sqlite.share_outbox import ENQUEUE_TEXT

_HASHES_PER_QUERY = 500
"""Hashes in one statement; SQLite limits the number of parameters."""

ROWS_PER_STEP = 5_000
"""Rows of vectors that one deletion step examines."""

UNUSED_DAYS = 30
"""Days that vectors of removed texts are kept; a change of branches may bring the texts back."""

WITHOUT_VECTOR = """
    NOT coalesce(c.refused_by = (SELECT id FROM embedders WHERE identity = ?1), 0)
    AND NOT EXISTS (SELECT 1 FROM embeddings e WHERE e.text_hash = c.text_hash
      AND e.embedder_id = (SELECT id FROM embedders WHERE identity = ?1))
"""
"""Whether a chunk `c` still needs a vector of the embedder `?1`, which does not refuse its text."""


class Embeddings(Repository):
    """Read and write vectors, and find texts without one."""

    async def missing_vectors(
        self, embedder: str, after: int, limit: int
    ) -> tuple[dict[bytes, str], int | None]:
        """Return texts by their hash, of the next chunks above id `after` without a vector.

        The second value is the id to continue from; None at the end. Chunks that change meanwhile
        may be missed: check `count_missing_vectors` at the end.
        """
        found = await self._db.rows(
            f"SELECT c.* FROM chunks c WHERE c.id > ?2 AND {WITHOUT_VECTOR} ORDER BY c.id LIMIT ?3",
            (embedder, after, limit),
        )
        texts = {row["text_hash"]: self._shown(rows.chunk(row).embedded_text) for row in found}
        return texts, found[-1]["id"] if found else None

    async def count_missing_vectors(self, embedder: str) -> int:
        """Return how many texts have no vector of this embedder."""
        [row] = await self._db.rows(
            f"SELECT count(DISTINCT c.text_hash) FROM chunks c WHERE {WITHOUT_VECTOR}", (embedder,)
        )
        return row[0]

    async def keep_vectors(self, embedder: str, vectors: Mapping[bytes, Vector]) -> None:
        """Store vectors of an embedder that is not in use yet."""
        async with self._db.transaction() as tx:
            await insert_vectors(tx, embedder, vectors)

    async def texts_without_vector(
        self, embedder: str, chunk_ids: Collection[int]
    ) -> dict[bytes, str]:
        """Return those texts of these chunks that have no vector of an embedder, by their hash."""
        found = await self._db.rows(
            "SELECT c.* FROM json_each(?2) j CROSS JOIN chunks c ON c.id = j.value "
            f"WHERE {WITHOUT_VECTOR}",
            (embedder, rows.as_json(chunk_ids)),
        )
        return {row["text_hash"]: self._shown(rows.chunk(row).embedded_text) for row in found}

    async def share_embedders(self) -> list[str]:
        """Return `provider/model` of the embedders that shares name."""
        found = await self._db.rows(
            "SELECT DISTINCT embedder FROM shares WHERE embedder IS NOT NULL AND NOT removed"
        )
        return [row["embedder"] for row in found]

    async def dimensions(self, embedder: str) -> int | None:
        """Return the number of dimensions of this embedder's vectors; None while it has none."""
        row = await self._db.row(
            "SELECT length(vector) / 2 AS dimensions FROM embeddings WHERE embedder_id = "
            "(SELECT id FROM embedders WHERE identity = ?) LIMIT 1",
            (embedder,),
        )
        return row["dimensions"] if row else None

    def note_switch(self) -> None:
        """Wake the publisher of shares, which follow to another embedder."""
        self._db.shares_changed.set()

    async def add_vectors(self, embedder: str, vectors: Mapping[bytes, Vector]) -> None:
        """Store the vectors of chunks that were published without them."""
        async with self._db.transaction() as tx:
            await insert_vectors(tx, embedder, vectors)
            await tx.many(
                "INSERT INTO vector_outbox (chunk_id) SELECT id FROM chunks WHERE text_hash = ?",
                ((text_hash,) for text_hash in vectors),
            )
            await tx.many(ENQUEUE_TEXT, ((text_hash,) for text_hash in vectors))
        self._db.note_change()

    async def drop_unused_vectors(
        self, embedders: Collection[str], after: int, days: int = UNUSED_DAYS
    ) -> int | None:
        """Delete vectors, from row `after` on, that have not been used for so many days.

        Used are those of `embedders` for texts in a document, and those that indexing asked for.
        Returns the row to continue from, None at the end.
        """
        until = after + ROWS_PER_STEP
        async with self._db.transaction() as tx:
            await tx.execute(
                """
                DELETE FROM embeddings WHERE id > ?1 AND id <= ?2 AND used_on < ?3 AND (
                  embedder_id NOT IN (SELECT id FROM embedders
                    WHERE identity IN (SELECT value FROM json_each(?4)))
                  OR NOT EXISTS (SELECT 1 FROM chunks c WHERE c.text_hash = embeddings.text_hash))
                """,
                (after, until, _today(-days), rows.as_json(embedders)),
            )
            last = await tx.row("SELECT max(id) AS id FROM embeddings")
        return until if last is not None and (last["id"] or 0) > until else None


async def note_use(tx: Transaction, chunk_ids: str) -> None:
    """Record that the vectors of these chunks were used today; called before chunks are deleted."""
    await tx.execute(
        "UPDATE embeddings SET used_on = ?1 WHERE used_on < ?1 "
        "AND embedder_id IN (SELECT id FROM embedders) AND text_hash IN (SELECT text_hash "
        "FROM chunks WHERE id IN (SELECT value FROM json_each(?2)))",
        (_today(), chunk_ids),
    )


async def read_vectors(
    database: Database, embedder: str, hashes: Collection[bytes]
) -> dict[bytes, Vector]:
    """Return the known vectors of these texts, and record that they were used today."""
    today = _today()
    vectors: dict[bytes, Vector] = {}
    aged: list[bytes] = []
    for batch in _batches(list(hashes)):
        found = await database.rows(
            "SELECT text_hash, vector, used_on FROM embeddings e "
            "JOIN embedders m ON m.id = e.embedder_id "
            f"WHERE m.identity = ? AND text_hash IN (?{', ?' * (len(batch) - 1)})",
            (embedder, *batch),
        )
        vectors.update((row["text_hash"], vector_of(row["vector"])) for row in found)
        aged.extend(row["text_hash"] for row in found if row["used_on"] < today)
    if aged:
        async with database.transaction() as tx:
            await tx.many(
                "UPDATE embeddings SET used_on = ? WHERE text_hash = ? AND embedder_id = "
                "(SELECT id FROM embedders WHERE identity = ?)",
                ((today, text_hash, embedder) for text_hash in aged),
            )
    return vectors


async def insert_vectors(tx: Transaction, embedder: str, vectors: Mapping[bytes, Vector]) -> None:
    """Store vectors under their texts' hashes; known ones stay unchanged."""
    if not vectors:
        return
    id, today = await embedder_id(tx, embedder), _today()
    packed = await asyncio.to_thread(
        lambda: [(id, text_hash, blob_of(v), today) for text_hash, v in vectors.items()]
    )
    await tx.many(
        "INSERT OR IGNORE INTO embeddings (embedder_id, text_hash, vector, used_on) "
        "VALUES (?, ?, ?, ?)",
        packed,
    )


async def embedder_id(tx: Transaction, embedder: str) -> int:
    """Return the id of an embedder; it gets one if it is new."""
    await tx.execute("INSERT OR IGNORE INTO embedders (identity) VALUES (?)", (embedder,))
    row = await tx.row("SELECT id FROM embedders WHERE identity = ?", (embedder,))
    assert row is not None
    return row["id"]


def blob_of(vector: Vector) -> bytes:
    """Return a vector as stored: float16, little-endian; the rounding error is about 1e-4."""
    return vector.astype("<f2").tobytes()


def vector_of(blob: bytes) -> Vector:
    """Return the vector that `blob_of` stored."""
    return np.frombuffer(blob, "<f2").astype(np.float32)


def _today(days: int = 0) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


def _batches(hashes: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (hashes[i : i + _HASHES_PER_QUERY] for i in range(0, len(hashes), _HASHES_PER_QUERY))
