"""Erase removed text: nothing of it stays in free pages of the database or in its log.

SQLite itself overwrites pages that become free (`secure_delete`). Each method is one short
transaction, so that other writes can run in between.
"""

from collections.abc import Sequence

from allma_server.secrets import mask
from allma_server.storage.sqlite.database import Repository
from allma_server.storage.sqlite.documents import inside
from allma_server.storage.sqlite.ledger import remove_documents
from allma_server.storage.sqlite.rows import as_json


class Erasure(Repository):
    """Erase what was removed."""

    async def erase_documents(self, document_ids: Sequence[int]) -> None:
        """Remove documents with their chunks, and vectors of texts that no other document has."""
        async with self._db.transaction() as tx:
            hashes = await tx.rows(
                "SELECT DISTINCT text_hash FROM chunks "
                "WHERE document_id IN (SELECT value FROM json_each(?))",
                (as_json(document_ids),),
            )
            await remove_documents(tx, document_ids)
            await tx.many(
                "DELETE FROM embeddings WHERE text_hash = ?1 "
                "AND embedder_id IN (SELECT id FROM embedders) "
                "AND NOT EXISTS (SELECT 1 FROM chunks WHERE text_hash = ?1)",
                [(row["text_hash"],) for row in hashes],
            )
        self._db.note_change()

    async def erase_quotes(self, path: str) -> None:
        """Erase what conversations quote from files at or below a path; path and lines stay."""
        condition, values = inside(path)
        async with self._db.transaction() as tx:
            await tx.execute(
                f"UPDATE message_sources AS d SET text = '', heading = '[]' WHERE {condition}",
                values,
            )

    async def mask_quotes(self, path: str) -> None:
        """Mask secrets in what conversations quote from files at or below a path."""
        condition, values = inside(path)
        async with self._db.transaction() as tx:
            cited = await tx.rows(
                f"SELECT id, text FROM message_sources AS d WHERE {condition}", values
            )
            masked = [(mask(row["text"]).text, row["id"]) for row in cited]
            await tx.many("UPDATE message_sources SET text = ? WHERE id = ?", masked)

    async def unused_vectors(self) -> list[int]:
        """Return the rows of vectors of texts that are in no document.

        They include those of earlier versions of removed files. Takes 1 to 2 µs for each vector,
        beside other reads and writes.
        """
        found = await self._db.rows(
            "SELECT id FROM embeddings e "
            "WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.text_hash = e.text_hash)"
        )
        return [row["id"] for row in found]

    async def erase_unused_vectors(self, ids: Sequence[int]) -> None:
        """Erase those of these vectors whose texts are still in no document."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "DELETE FROM embeddings WHERE id IN (SELECT value FROM json_each(?)) AND "
                "NOT EXISTS (SELECT 1 FROM chunks c WHERE c.text_hash = embeddings.text_hash)",
                (as_json(ids),),
            )

    async def empty_log(self) -> None:
        """Overwrite the write-ahead log and delete the backups, which may hold removed text."""
        await self._db.empty_log()
        await self._db.delete_backups()
