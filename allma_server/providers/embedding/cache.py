"""Cache the vectors of recent queries, because users and clients repeat their queries."""

from collections import OrderedDict

from allma_server.ports import Embedder, Vector
from allma_server.providers.embedding.forwarding import ForwardingEmbedder

CACHE_SIZE = 1000
"""Query vectors; 1.5 MB at 384 dimensions."""


class QueryCache(ForwardingEmbedder):
    """Caches query vectors, least recently used first out; the index stores those of documents."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(embedder)
        self._vectors: OrderedDict[str, Vector] = OrderedDict()

    async def embed_query(self, text: str) -> Vector:
        if (vector := self._vectors.get(text)) is None:
            vector = await self._embedder.embed_query(text)
            vector.setflags(write=False)  # callers share it
            self._vectors[text] = vector
        self._vectors.move_to_end(text)
        if len(self._vectors) > CACHE_SIZE:
            self._vectors.popitem(last=False)
        return vector
