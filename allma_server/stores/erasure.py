"""Nothing is left of what was removed: neither in the database's free room nor in its log."""

from allma_server.secrets import mask
from allma_server.stores.database import Stored
from allma_server.stores.documents import inside


class Erasure(Stored):
    """Makes a removal final; room that becomes free is overwritten by SQLite itself."""

    async def erase_removed(self, path: str) -> None:
        """Erases what removed documents left: vectors, words, and passages cited from `path`.

        Vectors kept for texts that are in no document now go as well, for among them are those of
        earlier versions. Conversations keep the places they cited.
        """
        condition, values = inside(path)
        async with self._db.transaction() as tx:
            await tx.execute(
                "DELETE FROM embeddings WHERE text_hash NOT IN (SELECT text_hash FROM chunks)"
            )
            await tx.execute(
                f"UPDATE message_sources AS d SET text = '', heading = '[]' WHERE {condition}",
                values,
            )
        await self._erase_words()

    async def erase_replaced(self, path: str) -> None:
        """Erases what documents in `path` held before they were read again with secrets masked.

        In the passages that conversations cite, they are masked as well.
        """
        condition, values = inside(path)
        async with self._db.transaction() as tx:
            await tx.execute(
                "DELETE FROM embeddings WHERE text_hash NOT IN (SELECT text_hash FROM chunks)"
            )
            cited = await tx.rows(
                f"SELECT id, text FROM message_sources AS d WHERE {condition}", values
            )
            masked = [(mask(row["text"]).text, row["id"]) for row in cited]
            await tx.many("UPDATE message_sources SET text = ? WHERE id = ?", masked)
        await self._erase_words()

    async def _erase_words(self) -> None:
        async with self._db.transaction() as tx:
            # Until its parts are merged, full-text search has the words and a note that they go.
            await tx.execute("INSERT INTO chunks_fts (chunks_fts) VALUES ('optimize')")
        self._db.note_change()
        await self._db.empty_log()
        await self._db.delete_backups()
