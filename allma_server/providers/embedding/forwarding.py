"""Base class of embedders that forward to another one."""

from collections.abc import Sequence
from pathlib import Path

from allma_server.ports import Embedder, Vector, Vectors


class ForwardingEmbedder:
    """Passes everything on to `embedder`; subclasses override what they change."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

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
        return await self._embedder.embed_documents(texts, urgent=urgent)

    async def embed_query(self, text: str) -> Vector:
        return await self._embedder.embed_query(text)
