"""The vectors, by embedder and text: nothing is embedded twice."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from allma_server.ports import Vector
from allma_server.stores import rows
from allma_server.stores.database import Database, Stored, Transaction

_AT_ONCE = 500
"""Hashes in one statement; SQLite bounds the number of its parameters."""


class Embeddings(Stored):
    """The vectors' side of the catalogue."""

    async def missing_vectors(self, embedder: str, limit: int) -> dict[bytes, str]:
        """Texts of chunks that have no vector of this embedder, by their hash."""
        found = await self._db.rows(
            """
            SELECT c.* FROM chunks c WHERE NOT EXISTS (
              SELECT 1 FROM embeddings e JOIN embedders m ON m.id = e.embedder_id
              WHERE m.identity = ? AND e.text_hash = c.text_hash)
            GROUP BY c.text_hash LIMIT ?
            """,
            (embedder, limit),
        )
        return {row["text_hash"]: rows.chunk(row).embedded_text for row in found}

    async def dimensions(self, embedder: str) -> int | None:
        """How many dimensions the vectors of this embedder have; None while there are none."""
        row = await self._db.row(
            "SELECT length(vector) / 2 AS dimensions FROM embeddings WHERE embedder_id = "
            "(SELECT id FROM embedders WHERE identity = ?) LIMIT 1",
            (embedder,),
        )
        return row["dimensions"] if row else None

    async def add_vectors(self, embedder: str, vectors: Mapping[bytes, Vector]) -> None:
        """Gives chunks that were published without them their vectors."""
        async with self._db.transaction() as tx:
            await insert_vectors(tx, embedder, vectors)
            await tx.many(
                "INSERT INTO vector_outbox (chunk_id) SELECT id FROM chunks WHERE text_hash = ?",
                ((text_hash,) for text_hash in vectors),
            )
        self._db.note_change()

    async def drop_unused_vectors(self, embedder: str, days: int = 30) -> int:
        """Drops vectors that no chunk needs and no ingestion asked for in `days`; how many.

        Those of other embedders than the serving one go as well when their time is over.
        """
        async with self._db.transaction() as tx:
            return await tx.execute(
                """
                DELETE FROM embeddings WHERE used_on < ? AND (
                  embedder_id NOT IN (SELECT id FROM embedders WHERE identity = ?)
                  OR NOT EXISTS (SELECT 1 FROM chunks c WHERE c.text_hash = embeddings.text_hash))
                """,
                (_today(-days), embedder),
            )


async def read_vectors(
    database: Database, embedder: str, hashes: Collection[bytes]
) -> dict[bytes, Vector]:
    """The known vectors of these texts; notes that they were asked for."""
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
    """Keeps vectors under their texts' hashes; those already known stay as they are."""
    if not vectors:
        return
    await tx.execute("INSERT OR IGNORE INTO embedders (identity) VALUES (?)", (embedder,))
    row = await tx.row("SELECT id FROM embedders WHERE identity = ?", (embedder,))
    assert row is not None
    today = _today()
    packed = await asyncio.to_thread(
        lambda: [(row["id"], text_hash, blob_of(v), today) for text_hash, v in vectors.items()]
    )
    await tx.many(
        "INSERT OR IGNORE INTO embeddings (embedder_id, text_hash, vector, used_on) "
        "VALUES (?, ?, ?, ?)",
        packed,
    )


def blob_of(vector: Vector) -> bytes:
    """A vector as it is stored: float16, little-endian; the rounding error is about 1e-4."""
    return vector.astype("<f2").tobytes()


def vector_of(blob: bytes) -> Vector:
    """The vector of `blob_of`."""
    return np.frombuffer(blob, "<f2").astype(np.float32)


def _today(days: int = 0) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


def _batches(hashes: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (hashes[i : i + _AT_ONCE] for i in range(0, len(hashes), _AT_ONCE))
