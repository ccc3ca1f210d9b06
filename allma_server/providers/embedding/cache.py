"""Remembers the vectors of recent queries: people ask the same thing again and again."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from allma_server.ports import Embedder, Vector, Vectors

SIZE = 1000


class QueryCache:
    """An embedder that keeps the vectors of the last thousand queries (1.5 MB at 384 dimensions).

    Documents are not kept here: their vectors are stored by the catalogue.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._recent: OrderedDict[str, Vector] = OrderedDict()

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
        if (known := self._recent.get(text)) is None:
            known = await self._embedder.embed_query(text)
            known.setflags(write=False)  # many callers share it
            self._recent[text] = known
        self._recent.move_to_end(text)
        if len(self._recent) > SIZE:
            self._recent.popitem(last=False)
        return known
