"""Putting the database right: what contradicts itself goes, or is read again."""

from allma_server.stores.database import Stored, fill_full_text
from allma_server.stores.ledger import remove_documents

_ORPHANS = (
    "DELETE FROM chunks WHERE document_id NOT IN (SELECT id FROM documents)",
    "DELETE FROM messages WHERE conversation_id NOT IN (SELECT id FROM conversations)",
    "DELETE FROM message_sources WHERE message_id NOT IN (SELECT id FROM messages)",
    "DELETE FROM embeddings WHERE embedder_id NOT IN (SELECT id FROM embedders)",
)

_DOUBTFUL = """
    UPDATE documents AS d SET content_hash = '', mtime_ns = 0 WHERE content_hash <> '' AND (
      chunks <> (SELECT count(*) FROM chunks c WHERE c.document_id = d.id)
      OR EXISTS (
        SELECT 1 FROM chunks c WHERE c.document_id = d.id AND NOT EXISTS (
          SELECT 1 FROM embeddings e JOIN embedders m ON m.id = e.embedder_id
          WHERE m.identity = ? AND e.text_hash = c.text_hash)))
"""


class Repair(Stored):
    """The database, looked at as a whole."""

    async def damage(self) -> list[str]:
        """What SQLite finds wrong with its file; only a copy of better days helps then."""
        found = await self._db.rows("PRAGMA integrity_check(5)")
        return [row[0] for row in found if row[0] != "ok"]

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
