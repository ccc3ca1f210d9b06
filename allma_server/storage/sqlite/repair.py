"""Putting the database right: what contradicts itself goes, or is read again."""

import asyncio
import logging

from allma_server.errors import AllmaError, DataDamaged
from allma_server.storage.sqlite.database import Stored
from allma_server.storage.sqlite.failures import damaged
from allma_server.storage.sqlite.ledger import remove_documents
from allma_server.storage.sqlite.schema import fill_full_text

_ORPHANS = (
    "DELETE FROM chunks WHERE document_id NOT IN (SELECT id FROM documents)",
    "DELETE FROM messages WHERE conversation_id NOT IN (SELECT id FROM conversations)",
    "DELETE FROM message_sources WHERE message_id NOT IN (SELECT id FROM messages)",
    "DELETE FROM embeddings WHERE embedder_id NOT IN (SELECT id FROM embedders)",
)

_CONTRADICTIONS = {
    "documents of no folder": (
        "SELECT count(*) FROM documents WHERE workspace_id NOT IN (SELECT id FROM workspaces)"
    ),
    "chunks of no document": (
        "SELECT count(*) FROM chunks WHERE document_id NOT IN (SELECT id FROM documents)"
    ),
    "messages of no conversation": (
        "SELECT count(*) FROM messages WHERE conversation_id NOT IN (SELECT id FROM conversations)"
    ),
    "chunks that are not in full-text search": (
        "SELECT count(*) FROM chunks WHERE id NOT IN (SELECT id FROM chunks_fts_docsize)"
    ),
}

_INCOMPLETE = """
    content_hash <> '' AND (
      chunks <> (SELECT count(*) FROM chunks c WHERE c.document_id = d.id)
      OR EXISTS (
        SELECT 1 FROM chunks c WHERE c.document_id = d.id AND NOT EXISTS (
          SELECT 1 FROM embeddings e JOIN embedders m ON m.id = e.embedder_id
          WHERE m.identity = ? AND e.text_hash = c.text_hash)))
"""

_DOUBTFUL = f"UPDATE documents AS d SET content_hash = '', mtime_ns = 0 WHERE {_INCOMPLETE}"

LOOK_SECONDS = 10.0
"""How long the database is looked at before a failure counts as a bug."""

log = logging.getLogger(__name__)


class Repair(Stored):
    """The database, looked at as a whole."""

    async def damage(self) -> list[str]:
        """What SQLite finds wrong with its file; only a copy of better days helps then."""
        found = await self._db.rows("PRAGMA integrity_check(5)")
        return [row[0] for row in found if row[0] != "ok"]

    async def quick_damage(self) -> str | None:
        """What a quick look finds wrong with the database's file; None when it finds nothing.

        Raises:
            DataDamaged: it cannot be looked at.
        """
        found = await self._db.rows("PRAGMA quick_check(1)")
        return None if found and found[0][0] == "ok" else str(found[0][0] if found else "unread")

    async def check_full_text(self) -> None:
        """Compares full-text search's index with itself.

        Raises:
            DataDamaged: it contradicts itself.
        """
        async with self._db.transaction() as tx:
            await tx.execute("INSERT INTO chunks_fts (chunks_fts) VALUES ('integrity-check')")

    async def contradictions(self, embedder: str | None) -> list[str]:
        """What in the index does not fit together, a sentence each."""
        found: list[str] = []
        for sentence, query in _CONTRADICTIONS.items():
            [row] = await self._db.rows(query)
            if row[0]:
                found.append(f"{row[0]:,} {sentence}")
        if embedder is not None:
            [row] = await self._db.rows(
                f"SELECT count(*) FROM documents d WHERE {_INCOMPLETE}", (embedder,)
            )
            if row[0]:
                found.append(f"{row[0]:,} documents whose chunks or vectors are not all there")
        return found

    async def damage_behind(self, failure: Exception) -> DataDamaged | None:
        """The damage of the database that an unforeseen failure comes from, if there is any."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                found = await self.quick_damage()
        except TimeoutError:
            return None
        except AllmaError as exc:
            return exc if isinstance(exc, DataDamaged) else None
        if found is None:
            return None
        log.warning("%s: %s", found, failure)
        return damaged(self._db.path, found)

    async def drop_orphans(self) -> int:
        """Removes rows that belong to nothing; how many."""
        async with self._db.transaction() as tx:
            lost = await tx.rows(
                "SELECT id FROM documents WHERE workspace_id NOT IN (SELECT id FROM workspaces)"
            )
            await remove_documents(tx, [row["id"] for row in lost])
            dropped = [await tx.execute(statement) for statement in _ORPHANS]
        self._db.note_change()
        return len(lost) + sum(dropped)

    async def doubt(self, embedder: str) -> int:
        """Has documents read again whose chunks or vectors are not all there; how many."""
        async with self._db.transaction() as tx:
            return await tx.execute(_DOUBTFUL, (embedder,))

    async def refill_full_text(self) -> int:
        """Builds full-text search anew from the chunks; how many they are."""
        async with self._db.transaction() as tx:
            await fill_full_text(tx)
            row = await tx.row("SELECT count(*) AS chunks FROM chunks")
        self._db.note_change()
        assert row is not None
        return row["chunks"]
