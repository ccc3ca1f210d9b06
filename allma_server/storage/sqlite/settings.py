"""Decisions stored in the data directory, such as the embedder."""

from allma_server.storage.sqlite.database import Repository
from allma_server.storage.sqlite.rows import shown_path, stored_path


class Settings(Repository):
    """Key-value settings stored in the database."""

    async def get_setting(self, key: str) -> str | None:
        row = await self._db.row("SELECT value FROM settings WHERE key = ?", (key,))
        return shown_path(row["value"]) if row else None

    async def set_setting(self, key: str, value: str | None) -> None:
        """Store a value; None deletes it."""
        async with self._db.transaction() as tx:
            if value is None:
                await tx.execute("DELETE FROM settings WHERE key = ?", (key,))
            else:
                await tx.execute("REPLACE INTO settings VALUES (?, ?)", (key, stored_path(value)))
