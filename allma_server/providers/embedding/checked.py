"""An embedder whose vectors are known to fit to those that the index already has.

A model can be replaced under its name, by one with longer or shorter vectors. Vectors of both do
not compare, and would break every search in which they meet.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from allma_server.errors import ProviderError
from allma_server.ports import Embedder, Vector, Vectors

StoredDimensions = Callable[[str], Awaitable[int | None]]
"""How many dimensions the stored vectors of an embedder's identity have; None without any."""


class CheckedDimensions:
    """Compares the first vectors of `embedder` with what is stored of it.

    Both embed methods raise ProviderError when they do not fit.
    """

    def __init__(self, embedder: Embedder, stored: StoredDimensions) -> None:
        self._embedder = embedder
        self._stored = stored
        self._fits = False

    @property
    def identity(self) -> str:
        return self._embedder.identity

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    @property
    def max_tokens(self) -> int:
        return self._embedder.max_tokens

    @property
    def tokenizer_file(self) -> Path | None:
        return self._embedder.tokenizer_file

    async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        vectors = await self._embedder.embed_documents(texts, urgent=urgent)
        if len(vectors):
            await self._check(vectors.shape[1])
        return vectors

    async def embed_query(self, text: str) -> Vector:
        vector = await self._embedder.embed_query(text)
        await self._check(len(vector))
        return vector

    async def _check(self, found: int) -> None:
        if self._fits:
            return
        stored = await self._stored(self.identity)
        if stored not in (None, found):
            raise ProviderError(
                f"{self.identity} gives vectors of {found} dimensions; the index has {stored}.",
                "The model was replaced. Put the former one back, or give the new one another name "
                "(`ollama cp`) and set embedder to that: everything is embedded again then.",
            )
        self._fits = True
