"""The outbox of full-text search: chunks whose change it has not written yet, and their texts.

It works as that of the vectors: the transaction that changes a chunk adds its row, and rows are
deleted once the full-text index has written them. So the index can be behind, but misses nothing.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from allma_server.storage.sqlite.database import Repository
from allma_server.storage.sqlite.rows import as_json
from allma_server.types import DocumentSet

FILL_OUTBOX = "INSERT INTO full_text_outbox (chunk_id) SELECT id FROM chunks ORDER BY id"

_INDEX = "full_text_index"
"""The setting that names the index in use and what it has written."""

_TEXTS = (
    "SELECT c.id, c.document_id, d.name, d.path, d.format, c.text, "
    "CASE c.context WHEN '' THEN c.heading ELSE c.context END AS heading "
    "FROM {source} JOIN documents d ON d.id = c.document_id"
)


@dataclass(frozen=True, slots=True)
class ChunkText:
    """A chunk as full-text search sees it.

    `name`: the end of its document's path. `path`: the stored path. `heading`: the heading above
    the chunk, or what its chunker wrote in its place.
    """

    chunk_id: int
    document_id: int
    name: str
    path: str
    format: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class PendingText:
    """A changed chunk: its text, or None when it is no longer there."""

    seq: int
    chunk_id: int
    text: ChunkText | None


@dataclass(frozen=True, slots=True)
class IndexState:
    """Which index is in use, and the last commit that SQLite knows of.

    `name`: its folder. `commit`: the index's own number of that commit. `seq`: the last change that
    was in it.
    """

    name: str
    commit: int = 0
    seq: int = 0


class FullTextOutbox(Repository):
    """The changes of chunks that are pending for the full-text index."""

    async def size(self, limit: int = -1) -> int:
        """Return how many changes are pending, counted up to `limit`."""
        [row] = await self._db.rows(
            "SELECT count(*) FROM (SELECT 1 FROM full_text_outbox LIMIT ?)", (limit,)
        )
        return row[0]

    async def last_seq(self) -> int:
        """Return the number of the latest change, pending or not."""
        row = await self._db.row("SELECT seq FROM sqlite_sequence WHERE name = 'full_text_outbox'")
        return row["seq"] if row else 0

    async def chunks(self) -> int:
        """Return how many chunks there are."""
        [row] = await self._db.rows("SELECT count(*) FROM chunks")
        return row[0]

    async def pending(self, limit: int, after: int = 0) -> list[PendingText]:
        """Return pending changes with a number above `after`, oldest first."""
        found = await self._db.rows(
            "SELECT seq, chunk_id FROM full_text_outbox WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        )
        texts = await self.texts([row["chunk_id"] for row in found])
        by_id = {text.chunk_id: text for text in texts}
        return [PendingText(r["seq"], r["chunk_id"], by_id.get(r["chunk_id"])) for r in found]

    async def pending_ids(self) -> set[int]:
        """Return the ids of all chunks with a pending change."""
        found = await self._db.rows("SELECT chunk_id FROM full_text_outbox")
        return {row["chunk_id"] for row in found}

    async def texts(self, chunk_ids: Iterable[int]) -> list[ChunkText]:
        """Return those of these chunks that exist."""
        source = _TEXTS.format(source="json_each(?) j CROSS JOIN chunks c ON c.id = j.value")
        found = await self._db.rows(source, (as_json(chunk_ids),))
        return await asyncio.to_thread(lambda: [_text(row) for row in found])

    async def texts_with(
        self,
        words: Sequence[str],
        documents: DocumentSet | None,
        limit: int,
        *,
        pending: bool,
    ) -> list[ChunkText]:
        """Return chunks that contain some of these words, those with most of them first.

        Args:
            words: in lower case.
            documents: those to look in; None for all.
            limit: how many chunks to return.
            pending: whether only chunks with a pending change are looked at.
        """
        marks = ", ".join(["(?)"] * len(words))
        narrowed = ""
        values: list[object] = [*words]
        if documents is not None:
            narrowed = "WHERE c.document_id IN (SELECT value FROM json_each(?))"
            values.append(as_json(documents.documents.tolist()))
        among = "full_text_outbox o JOIN chunks c ON c.id = o.chunk_id" if pending else "chunks c"
        texts = _TEXTS.format(source=among)
        found = await self._db.rows(
            f"WITH words (word) AS (VALUES {marks}), texts AS ({texts} {narrowed}) "
            "SELECT t.*, (SELECT count(*) FROM words WHERE "
            "instr(lower(t.name || ' ' || t.heading || ' ' || t.text), word)) AS matches "
            "FROM texts t WHERE matches > 0 ORDER BY matches DESC LIMIT ?",
            (*values, limit),
        )
        return await asyncio.to_thread(lambda: [_text(row) for row in found])

    async def state(self) -> IndexState | None:
        """Return which index is in use; None before the first one, or if it is unreadable."""
        row = await self._db.row("SELECT value FROM settings WHERE key = ?", (_INDEX,))
        try:
            return None if row is None else IndexState(**json.loads(row["value"]))
        except (TypeError, ValueError):
            return None

    async def acknowledge(self, state: IndexState) -> None:
        """Remove the changes up to `state.seq`; a chunk that changed again stays pending."""
        async with self._db.transaction() as tx:
            await tx.execute("DELETE FROM full_text_outbox WHERE seq <= ?", (state.seq,))
            await tx.execute("REPLACE INTO settings VALUES (?, ?)", (_INDEX, _stored(state)))

    async def start_over(self, name: str) -> None:
        """Make every chunk pending for a new index with this name."""
        async with self._db.transaction() as tx:
            await tx.execute("DELETE FROM full_text_outbox")
            await tx.execute(FILL_OUTBOX)
            state = IndexState(name)
            await tx.execute("REPLACE INTO settings VALUES (?, ?)", (_INDEX, _stored(state)))


def _stored(state: IndexState) -> str:
    return json.dumps({"name": state.name, "commit": state.commit, "seq": state.seq})


def _text(row: sqlite3.Row) -> ChunkText:
    return ChunkText(
        chunk_id=row["id"],
        document_id=row["document_id"],
        name=row["name"],
        path=row["path"],
        format=row["format"],
        heading=row["heading"],
        text=row["text"],
    )
