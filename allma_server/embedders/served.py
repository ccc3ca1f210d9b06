"""Embedding by a model server: batches, prefixes, texts that are too long, a server that is busy.

What differs between servers is one call, `Wire`; ollama.py and openai.py each make one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from allma_server.embedders.prefixes import prefixes_for
from allma_server.errors import InputTooLong, ProviderBusy, ProviderError
from allma_server.ports import Vector, Vectors

BATCH = 16
BUSY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses before a busy server is asked again."""

# What is assumed while a server has not told more: nearly all embedding models take this much.
CAUTIOUS_TOKENS = 512
# A text is not cut into smaller pieces than this to make it fit.
_SHORTEST = 200


@dataclass(frozen=True, slots=True)
class Described:
    """What a server tells of an embedding model; None what it doesn't tell."""

    dimensions: int | None = None
    max_tokens: int | None = None


class Wire(Protocol):
    """The calls to a server. Raises ProviderError or one of its kinds.

    `embed` refuses a batch with InputTooLong when one of its texts does not fit, rather than
    cutting it silently.
    """

    async def describe(self) -> Described: ...
    async def embed(self, texts: Sequence[str]) -> list[list[float]]: ...


class ServedEmbedder:
    """Embeds by calls to a server.

    `dimensions` is 0 and `max_tokens` a cautious guess until the server has answered once.
    """

    tokenizer_file: Path | None = None

    def __init__(self, provider: str, model: str, wire: Wire) -> None:
        self._wire = wire
        self._prefixes = prefixes_for(model)
        self._described: Described | None = None
        self._learning = asyncio.Lock()
        self.dimensions = 0
        self.identity = f"{provider}/{model}" + ("+prefixes" if any(self._prefixes) else "")

    @property
    def max_tokens(self) -> int:
        told = self._described.max_tokens if self._described else None
        return told or CAUTIOUS_TOKENS

    async def learn(self) -> None:
        """Asks the server once what the model is like."""
        async with self._learning:
            if self._described is None:
                self._described = await self._wire.describe()
                self.dimensions = self.dimensions or self._described.dimensions or 0

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """One row per text, in their order."""
        await self.learn()
        rows: list[Vector] = []
        for start in range(0, len(texts), BATCH):
            rows += await self._embed(self._prefixes.document, texts[start : start + BATCH])
        return np.stack(rows) if rows else np.empty((0, self.dimensions), np.float32)

    async def embed_query(self, text: str) -> Vector:
        await self.learn()
        return (await self._embed(self._prefixes.query, [text]))[0]

    async def _embed(self, prefix: str, texts: Sequence[str]) -> list[Vector]:
        """Vectors of one batch. It is halved to find the text that is too long."""
        try:
            raw = await self._patiently([prefix + _visible(text) for text in texts])
            return self._normalised(raw, len(texts))
        except InputTooLong:
            if len(texts) == 1:
                return [await self._embed_halves(prefix, texts[0])]
        middle = len(texts) // 2
        return await self._embed(prefix, texts[:middle]) + await self._embed(prefix, texts[middle:])

    async def _embed_halves(self, prefix: str, text: str) -> Vector:
        """The mean of the vectors of a too long text's halves."""
        if len(text) < _SHORTEST:
            raise ProviderError(f"The model refuses {len(text)} characters as too long.")
        middle = len(text) // 2
        space = text.find(" ", middle, middle + _SHORTEST // 2)
        cut = middle if space < 0 else space
        head, tail = await self._embed(prefix, [text[:cut], text[cut:]])
        return _unit(head + tail)

    async def _patiently(self, texts: list[str]) -> list[list[float]]:
        for seconds in BUSY_SECONDS:
            try:
                return await self._wire.embed(texts)
            except ProviderBusy:
                await asyncio.sleep(seconds)
        return await self._wire.embed(texts)

    def _normalised(self, raw: list[list[float]], count: int) -> list[Vector]:
        if len(raw) != count or any(len(row) != len(raw[0]) or not row for row in raw):
            raise ProviderError(f"The server gave {len(raw)} vectors for {count} texts.")
        self.dimensions = self.dimensions or len(raw[0])
        if len(raw[0]) != self.dimensions:
            raise ProviderError(
                f"The model {self.identity} now gives {len(raw[0])} dimensions instead of "
                f"{self.dimensions}.",
                "It seems to have been replaced: restart Allma with `allma daemon restart`.",
            )
        return [_unit(np.asarray(row, np.float32)) for row in raw]


def _visible(text: str) -> str:
    """Some servers give no vector for a text without a sign in it."""
    return text if text.strip() else "."


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    if not (length > 0 and np.isfinite(length)):
        raise ProviderError("The model gave a vector without a direction.")
    return vector / np.float32(length)
