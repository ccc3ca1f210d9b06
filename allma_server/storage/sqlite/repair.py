"""Repair the database: delete contradictory rows, or have their files read again."""

import asyncio
import logging

from allma_server.errors import AllmaError, DataDamaged
from allma_server.storage.sqlite.database import Repository
from allma_server.storage.sqlite.embeddings import WITHOUT_VECTOR
from allma_server.storage.sqlite.failures import damaged
from allma_server.storage.sqlite.ledger import remove_documents

_ORPHANS = (
    "DELETE FROM chunks WHERE document_id NOT IN (SELECT id FROM documents)",
    "DELETE FROM messages WHERE conversation_id NOT IN (SELECT id FROM conversations)",
    "DELETE FROM message_sources WHERE message_id NOT IN (SELECT id FROM messages)",
    "DELETE FROM embeddings WHERE embedder_id NOT IN (SELECT id FROM embedders)",
)

_CONTRADICTIONS = {
    "documents without a workspace": (
        "SELECT count(*) FROM documents WHERE workspace_id NOT IN (SELECT id FROM workspaces)"
    ),
    "chunks without a document": (
        "SELECT count(*) FROM chunks WHERE document_id NOT IN (SELECT id FROM documents)"
    ),
    "messages without a conversation": (
        "SELECT count(*) FROM messages WHERE conversation_id NOT IN (SELECT id FROM conversations)"
    ),
}

_INCOMPLETE = f"""
    content_hash <> '' AND (
      chunks <> (SELECT count(*) FROM chunks c WHERE c.document_id = d.id)
      OR EXISTS (
        SELECT 1 FROM chunks c WHERE c.document_id = d.id AND {WITHOUT_VECTOR}))
"""

_MARK_FOR_READING = f"UPDATE documents AS d SET content_hash = '', mtime_ns = 0 WHERE {_INCOMPLETE}"

CHECK_SECONDS = 10.0
"""How long the database is checked before a failure counts as a bug."""

log = logging.getLogger(__name__)


class Repair(Repository):
    """Checks and repairs of the whole database."""

    async def damage(self) -> list[str]:
        """Return what a full check finds wrong with the database's file."""
        found = await self._db.rows("PRAGMA integrity_check(5)")
        return [row[0] for row in found if row[0] != "ok"]

    async def quick_damage(self) -> str | None:
        """Return what a quick check finds wrong with the database's file; None if nothing.

        Raises:
            DataDamaged: it cannot be checked.
        """
        found = await self._db.rows("PRAGMA quick_check(1)")
        return None if found and found[0][0] == "ok" else str(found[0][0] if found else "unread")

    async def contradictions(self, embedder: str | None) -> list[str]:
        """Return what contradicts itself in the index, a phrase each."""
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
                found.append(f"{row[0]:,} documents with missing chunks or vectors")
        return found

    async def damage_behind(self, failure: Exception) -> DataDamaged | None:
        """Return the damage of the database that caused an unexpected exception, if any."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
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
        """Delete rows that belong to nothing, and return how many."""
        async with self._db.transaction() as tx:
            lost = await tx.rows(
                "SELECT id FROM documents WHERE workspace_id NOT IN (SELECT id FROM workspaces)"
            )
            await remove_documents(tx, [row["id"] for row in lost])
            dropped = [await tx.execute(statement) for statement in _ORPHANS]
        self._db.note_change()
        return len(lost) + sum(dropped)

    async def mark_incomplete(self, embedder: str) -> int:
        """Mark documents with missing chunks or vectors to be read again; return how many."""
        async with self._db.transaction() as tx:
            return await tx.execute(_MARK_FOR_READING, (embedder,))
