"""Check that an embedder's vectors have the dimensions of those in the index.

A server may replace a model under the same name by one with other dimensions. Vectors of both are
not comparable, and would break every search.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from allma_server.errors import ProviderError
from allma_server.ports import Embedder, Vector, Vectors
from allma_server.providers.embedding.forwarding import ForwardingEmbedder

StoredDimensions: TypeAlias = Callable[[str], Awaitable[int | None]]
"""Returns the dimensions of the vectors stored for an embedder's identity; None without any."""


class CheckedEmbedder(ForwardingEmbedder):
    """Compares the first vectors with the stored ones; both embed methods raise ProviderError."""

    def __init__(self, embedder: Embedder, stored: StoredDimensions) -> None:
        super().__init__(embedder)
        self._stored = stored
        self._is_checked = False

    async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        vectors = await self._embedder.embed_documents(texts, urgent=urgent)
        if len(vectors):
            await self._check(vectors.shape[1])
        return vectors

    async def embed_query(self, text: str) -> Vector:
        vector = await self._embedder.embed_query(text)
        await self._check(len(vector))
        return vector

    async def _check(self, dimensions: int) -> None:
        if self._is_checked:
            return
        stored = await self._stored(self.identity)
        if stored not in (None, dimensions):
            raise ProviderError(
                f"{self.identity} returns vectors of {dimensions} dimensions; the index has "
                f"{stored}.",
                "The model was replaced. Restore the former one, or give the new one another name "
                "(`ollama cp`) and set embedder to that; all documents are then embedded again.",
            )
        self._is_checked = True
