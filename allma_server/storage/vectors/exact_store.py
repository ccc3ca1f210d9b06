"""The choice of no vector store: exact search answers all searches, and follows SQLite itself."""

from collections.abc import Awaitable, Callable, Sequence

from allma_server.errors import VectorStoreDown
from allma_server.ports import Vector, VectorRecord
from allma_server.types import Hit, VectorStoreHealth

EXACT = "exact"
"""The name of this choice in the settings."""


class ExactStore:
    """Keeps nothing of its own; implements `ports.VectorStore`.

    `count` returns how many vectors exact search finds.
    """

    damage: str | None = None
    filters_documents = False

    def __init__(self, count: Callable[[], Awaitable[int]]) -> None:
        self._count = count

    async def open(self) -> None:
        """Do nothing: exact search opens its file itself."""

    async def upsert(self, records: Sequence[VectorRecord]) -> None:
        """Do nothing: exact search reads the changes in SQLite."""

    async def delete(self, chunk_ids: Sequence[int]) -> None:
        """Do nothing: exact search reads the changes in SQLite."""

    async def query(
        self, vector: Vector, k: int, documents: Sequence[range] | None = None
    ) -> list[Hit]:
        """Raise VectorStoreDown, so that exact search answers."""
        raise VectorStoreDown("There is no vector store.")

    async def health(self) -> VectorStoreHealth:
        rows = await self._count()
        return VectorStoreHealth(rows, rows, rows)

    async def reset(self) -> None:
        """Do nothing: exact search has a reset of its own."""

    async def exists(self) -> bool:
        return False

    async def erase_deleted(self) -> None:
        """Do nothing: exact search overwrites deleted rows."""

    async def remove_others(self) -> None:
        """Do nothing: there is no server."""

    async def close(self) -> None:
        """Do nothing: exact search is closed by its owner."""
