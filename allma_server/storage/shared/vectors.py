"""The vectors that shares are published with, of this engine's embedder or of one that they name.

Those of the engine's own embedder are made by indexing. For another one, the texts of a share are
embedded a second time, before they are written to the cluster.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from allma_server.errors import AllmaError
from allma_server.ports import Vector
from allma_server.storage.sqlite.embeddings import Embeddings
from allma_server.storage.sqlite.shares import Share

EMBEDDED = 16
"""Chunks embedded at a time, so that publishing can be interrupted in between."""


class ShareEmbedders(Protocol):
    """The embedders of shares, by name (`provider/model`); None: the current one of the engine."""

    async def check(self, name: str) -> str:
        """Return the name of an embedder as it is stored; it need not be available.

        Raises:
            InvalidArgument: it does not name an embedder.
        """
        ...

    async def identity(self, name: str | None) -> str | None:
        """Return what its vectors are compared by; None before anything is indexed.

        Raises:
            ProviderError: the embedder cannot be opened.
        """
        ...

    async def embed(
        self, name: str, identity: str, texts: Mapping[bytes, str]
    ) -> Mapping[bytes, Vector]:
        """Return the vectors of those texts that the embedder accepts.

        Raises:
            ProviderError: the embedder failed, or has another identity now.
        """
        ...


class ShareVectors:
    """Makes and stores the vectors of shares that name an embedder."""

    def __init__(self, embeddings: Embeddings, embedders: ShareEmbedders) -> None:
        self._embeddings = embeddings
        self._embedders = embedders
        self._refused: set[tuple[str, bytes]] = set()

    async def identity(self, share: Share) -> str | None:
        """Return the identity of a share's embedder.

        Raises:
            ProviderError: the embedder cannot be opened.
        """
        return await self._embedders.identity(share.embedder)

    async def are_made_here(self, share: Share) -> bool:
        """Return whether indexing does not make the vectors of a share.

        Raises:
            ProviderError: its embedder cannot be opened.
        """
        if share.embedder is None:
            return False
        return await self.identity(share) != await self._embedders.identity(None)

    async def add(
        self, share: Share, identity: str, chunk_ids: Collection[int]
    ) -> AllmaError | None:
        """Embed those of these chunks that have no vector; return why this failed, if it did.

        What it refuses is published without a vector, and found by its words. It is tried again
        after the next start, when another version of the embedder may take it.
        """
        assert share.embedder is not None
        try:
            missing = await self._embeddings.texts_without_vector(identity, chunk_ids)
            texts = {t: text for t, text in missing.items() if (identity, t) not in self._refused}
            if not texts:
                return None
            vectors = await self._embedders.embed(share.embedder, identity, texts)
            self._refused.update((identity, t) for t in texts.keys() - vectors.keys())
            await self._embeddings.keep_vectors(identity, vectors)
        except AllmaError as exc:
            return exc
        return None
