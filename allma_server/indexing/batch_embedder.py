"""Embed the texts of documents in batches, and reuse the vectors that exist."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

from allma_server.errors import InputRefused, ProviderError
from allma_server.indexing.jobs import Run
from allma_server.indexing.schedule import Priority
from allma_server.ports import Embedder, Ledger, Vector

EMBED_BATCH = 64
"""Texts in one call of the embedder; between two calls, more urgent work gets its turn."""

RETRY_SECONDS = 30.0
"""After a failure, the embedder is not called for so long; documents get no vectors meanwhile."""

ReportBatch = Callable[[str], Awaitable[None]]
"""Reports how far a long document is, such as `64 of 320 passages`."""


class BatchEmbedder:
    """Makes the vectors of one run. `notice` says why some documents have got none."""

    def __init__(self, ledger: Ledger, run: Run) -> None:
        self._ledger = ledger
        self._run = run
        self._unstored: dict[tuple[str, bytes], Vector] = {}
        self._paused_until = float("-inf")
        self.notice: str | None = None

    async def embed(
        self, embedder: Embedder, texts: Mapping[bytes, str], report: ReportBatch
    ) -> dict[bytes, Vector]:
        """Return vectors by the hashes of their texts; not of all texts if the embedder fails.

        Raises:
            InputRefused: the embedder does not accept one of the texts.
        """
        name, unstored = embedder.identity, self._unstored
        # Look here first: a vector that is stored meanwhile is then found in the ledger.
        vectors = {text: unstored[name, text] for text in texts if (name, text) in unstored}
        vectors |= await self._ledger.cached_vectors(name, texts.keys() - vectors.keys())
        missing = [digest for digest in texts if digest not in vectors]
        for begin in range(0, len(missing), EMBED_BATCH):
            await self._run.wait_until_idle()
            if time.monotonic() < self._paused_until:
                break
            batch = missing[begin : begin + EMBED_BATCH]
            if len(missing) > EMBED_BATCH:
                await report(f"{begin} of {len(missing)} passages")
            urgent = self._run.priority <= Priority.ASKED
            try:
                embedded = await embedder.embed_documents(
                    [texts[digest] for digest in batch], urgent=urgent
                )
            except InputRefused:
                raise
            except ProviderError as exc:
                self._paused_until = time.monotonic() + RETRY_SECONDS
                self.notice = f"Some documents are found by keywords only so far: {exc}"
                break
            new = dict(zip(batch, embedded, strict=True))
            vectors |= new
            unstored.update({(name, text): vector for text, vector in new.items()})
        return vectors

    def mark_stored(self, embedder: str, hashes: Iterable[bytes]) -> None:
        """Release vectors that are in the ledger now."""
        for text in hashes:
            self._unstored.pop((embedder, text), None)


def refusal_reason(exc: InputRefused) -> str:
    """Return the ledger's reason for a document with a text that the embedder does not accept."""
    return f"The embedder does not accept all of its text: {exc.message}"
