"""Embed the texts of documents in batches, and reuse the vectors that exist."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from allma_server.errors import InputRefused, ProviderError
from allma_server.indexing.jobs import Run
from allma_server.indexing.schedule import Priority
from allma_server.ports import Embedder, Ledger, Vector

EMBED_BATCH = 64
"""Texts in one call of the embedder; between two calls, more urgent work gets its turn."""

ISOLATED_TEXTS = 8
"""When a text of so few is refused, each is embedded in its own call."""

WAIT_SECONDS = 8.0
"""How long documents wait for the vectors of a batch; then they are published without them."""

RETRY_SECONDS = 30.0
"""After a failure, the embedder is not called for so long; documents get no vectors meanwhile."""

ReportBatch = Callable[[str], Awaitable[None]]
"""Reports how far a long document is, such as `64 of 320 passages`."""


@dataclass(slots=True)
class Embedded:
    """Vectors by the hashes of their texts, and the reasons for which other texts are refused."""

    vectors: dict[bytes, Vector] = field(default_factory=dict[bytes, Vector])
    refused: dict[bytes, str] = field(default_factory=dict[bytes, str])

    def of(self, texts: Collection[bytes]) -> "Embedded":
        """Return the part that concerns texts with these hashes."""
        return Embedded(
            {digest: self.vectors[digest] for digest in texts if digest in self.vectors},
            {digest: self.refused[digest] for digest in texts if digest in self.refused},
        )

    def add(self, other: "Embedded") -> None:
        """Add the result of other texts."""
        self.vectors |= other.vectors
        self.refused |= other.refused


class BatchEmbedder:
    """Makes the vectors of one run. `notice` says why some passages have got none."""

    def __init__(self, ledger: Ledger, run: Run) -> None:
        self._ledger = ledger
        self._run = run
        self._unstored: dict[tuple[str, bytes], Vector] = {}
        self._paused_until = float("-inf")
        self.notice: str | None = None

    async def embed(
        self, embedder: Embedder, texts: Mapping[bytes, str], report: ReportBatch
    ) -> Embedded:
        """Return the vectors of texts; not of all if the embedder fails or takes too long."""
        name, unstored = embedder.identity, self._unstored
        # Look here first: a vector that is stored meanwhile is then found in the ledger.
        vectors = {text: unstored[name, text] for text in texts if (name, text) in unstored}
        vectors |= await self._ledger.cached_vectors(name, texts.keys() - vectors.keys())
        missing = [digest for digest in texts if digest not in vectors]
        result = Embedded(vectors)
        for begin in range(0, len(missing), EMBED_BATCH):
            await self._run.wait_until_idle()
            if time.monotonic() < self._paused_until:
                break
            batch = missing[begin : begin + EMBED_BATCH]
            if len(missing) > EMBED_BATCH:
                await report(f"{begin} of {len(missing)} passages")
            urgent = self._run.priority <= Priority.ASKED
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    new = await embed_accepted(
                        embedder, {digest: texts[digest] for digest in batch}, urgent=urgent
                    )
            except TimeoutError:
                self._pause(
                    f"{name} gave no vectors within {WAIT_SECONDS:g} seconds; they are made in "
                    "the background."
                )
                break
            except ProviderError as exc:
                self._pause(str(exc))
                break
            result.add(new)
            unstored.update({(name, text): vector for text, vector in new.vectors.items()})
            self._note_refused(new.refused)
        return result

    def _pause(self, why: str) -> None:
        self._paused_until = time.monotonic() + RETRY_SECONDS
        self.notice = f"Some documents are found by keywords only so far: {why}"

    def _note_refused(self, refused: Mapping[bytes, str]) -> None:
        if refused and self.notice is None:
            self.notice = (
                "The embedder refuses some passages, which are found by keywords only; "
                "`allma documents` tells which."
            )

    def mark_stored(self, embedder: str, hashes: Iterable[bytes]) -> None:
        """Release vectors that are in the ledger now."""
        for text in hashes:
            self._unstored.pop((embedder, text), None)


async def embed_accepted(
    embedder: Embedder, texts: Mapping[bytes, str], *, urgent: bool = False
) -> Embedded:
    """Embed the texts that the embedder accepts, and return why it refuses the others.

    Raises:
        ProviderError: the embedder failed for another reason than one of the texts.
    """
    try:
        vectors = await embedder.embed_documents(list(texts.values()), urgent=urgent)
    except InputRefused as exc:
        if len(texts) == 1:
            return Embedded(refused=dict.fromkeys(texts, exc.message))
    else:
        return Embedded(dict(zip(texts, vectors, strict=True)))
    # Few refused texts are found soonest by halves; in the end, singly.
    size = 1 if len(texts) <= ISOLATED_TEXTS else (len(texts) + 1) // 2
    items, result = list(texts.items()), Embedded()
    for begin in range(0, len(items), size):
        part = dict(items[begin : begin + size])
        result.add(await embed_accepted(embedder, part, urgent=urgent))
    return result
