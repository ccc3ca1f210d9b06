"""Nothing is left of what was removed: neither in the database's free room nor in its log.

Room that becomes free is overwritten by SQLite itself (`secure_delete`). Each method is one short
transaction, so that others can write between two of them.
"""

from collections.abc import Sequence

from allma_server.secrets import mask
from allma_server.storage.sqlite.database import Stored
from allma_server.storage.sqlite.documents import inside
from allma_server.storage.sqlite.embeddings import LOOKED_AT_ONCE
from allma_server.storage.sqlite.ledger import remove_documents
from allma_server.storage.sqlite.rows import as_json

MERGED_AT_ONCE = 200
"""Pages of full-text search that are written in one step, some 10 ms."""


class Erasure(Stored):
    """Makes a removal final."""

    async def erase_documents(self, document_ids: Sequence[int]) -> None:
        """Removes documents with their chunks, and the vectors of texts that nobody else has."""
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
        """Erases what conversations quote from files at or below a path; its place stays."""
        condition, values = inside(path)
        async with self._db.transaction() as tx:
            await tx.execute(
                f"UPDATE message_sources AS d SET text = '', heading = '[]' WHERE {condition}",
                values,
            )

    async def mask_quotes(self, path: str) -> None:
        """Masks secrets in what conversations quote from files at or below a path."""
        condition, values = inside(path)
        async with self._db.transaction() as tx:
            cited = await tx.rows(
                f"SELECT id, text FROM message_sources AS d WHERE {condition}", values
            )
            masked = [(mask(row["text"]).text, row["id"]) for row in cited]
            await tx.many("UPDATE message_sources SET text = ? WHERE id = ?", masked)

    async def erase_unused_vectors(self, after: int) -> int | None:
        """Erases vectors of texts that are in no document, from row `after` on.

        Among them are those of earlier versions of what was removed. Returns the row to go on
        from, None at the end.
        """
        async with self._db.transaction() as tx:
            await tx.execute(
                "DELETE FROM embeddings WHERE id > ?1 AND id <= ?2 AND "
                "NOT EXISTS (SELECT 1 FROM chunks c WHERE c.text_hash = embeddings.text_hash)",
                (after, after + LOOKED_AT_ONCE),
            )
            last = await tx.row("SELECT max(id) AS id FROM embeddings")
        until = after + LOOKED_AT_ONCE
        return until if last is not None and (last["id"] or 0) > until else None

    async def merge_words(self, *, begin: bool) -> bool:
        """Takes a step in merging the parts of full-text search into one; whether more is left.

        Until they are merged, it has the words of removed chunks and a note that they go.
        """
        pages = -MERGED_AT_ONCE if begin else MERGED_AT_ONCE
        async with self._db.transaction() as tx:
            before = await tx.row("SELECT total_changes() AS n")
            await tx.execute(
                "INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('merge', ?)", (pages,)
            )
            after = await tx.row("SELECT total_changes() AS n")
        assert before is not None and after is not None
        # The statement itself counts as one.
        return after["n"] - before["n"] >= 2

    async def empty_log(self) -> None:
        """Overwrites the write-ahead log, in which removed text may still stand."""
        await self._db.empty_log()
        await self._db.delete_backups()
