"""Embedding by a model server: batches, prefixes, texts that are too long, a server that is busy.

What differs between servers is one call, `Wire`; ollama.py and openai.py each make one.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np

from allma_server.errors import (
    ApiKeyRefused,
    InputRefused,
    InputTooLong,
    ModelNotFound,
    ModelUnsuitable,
    ProviderBusy,
    ProviderError,
    ProviderUnreachable,
)
from allma_server.ports import Vector, Vectors
from allma_server.providers.embedding.cards import card_of

BATCH = 16
BUSY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses before a busy server is asked again."""

QUERY_SECONDS = 10.0
"""How long a query may take; a search finds passages by their words without its vector."""

_OTHER_MODEL = "Its server's log may say why; another embedding model may do."

# A text is not cut into smaller pieces than this to make it fit.
_SHORTEST = 200


_NOT_THE_TEXT = (
    ApiKeyRefused,
    ModelNotFound,
    ModelUnsuitable,
    ProviderBusy,
    ProviderUnreachable,
)
"""Failures that any other text would meet as well."""


class Wire(Protocol):
    """The calls to a server. Raises ProviderError or one of its kinds.

    `dimensions` is None where the server does not tell. `embed` refuses a batch with InputTooLong
    when one of its texts does not fit, rather than cutting it silently.
    """

    async def dimensions(self) -> int | None: ...
    async def embed(self, texts: Sequence[str]) -> list[list[float]]: ...


class ServedEmbedder:
    """Embeds by calls to a server; `dimensions` is 0 until it has answered once.

    `max_tokens` comes from the model's card, not from the server: chunks are cut by it, and must
    not be cut anew because the server happened to be away when Allma started.
    """

    tokenizer_file: Path | None = None

    def __init__(self, provider: str, model: str, wire: Wire, tasks: asyncio.TaskGroup) -> None:
        self._wire = wire
        self._tasks = tasks
        self._loading: asyncio.Task[None] | None = None
        self._card = card_of(model)
        self._asked = False
        self._seen = 0
        self.dimensions = 0
        self.max_tokens = self._card.max_tokens
        prepared = self._card.document or self._card.query
        self.identity = f"{provider}/{model}" + ("+prefixes" if prepared else "")

    async def learn(self) -> None:
        """Asks the server once about the model.

        Raises:
            ModelUnsuitable: it is not made for embedding.
        """
        if not self._asked:
            self.dimensions = await self._wire.dimensions() or self.dimensions
            self._asked = True

    async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        """One row per text, in their order; its server decides how fast."""
        del urgent
        await self.learn()
        rows: list[Vector] = []
        for start in range(0, len(texts), BATCH):
            rows += await self._embed(self._card.document, texts[start : start + BATCH])
        return np.stack(rows) if rows else np.empty((0, self.dimensions), np.float32)

    async def embed_query(self, text: str) -> Vector:
        """Return the vector of a query.

        Raises:
            ProviderUnreachable: it took longer than QUERY_SECONDS.
            ProviderError: the server failed, or refused the query.
        """
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                await self.learn()
                return (await self._embed(self._card.query, [text]))[0]
        except TimeoutError as exc:
            # A server may stop loading its model when the request that needs it is cancelled.
            if self._loading is None or self._loading.done():
                self._loading = self._tasks.create_task(self._load())
            raise ProviderUnreachable(
                f"{self.identity} gave no vector within {QUERY_SECONDS:g} seconds.",
                "Its server may be loading it: search again in a moment.",
            ) from exc

    async def _load(self) -> None:
        with suppress(ProviderError):
            await self._wire.embed(["ok"])

    async def _embed(self, prefix: str, texts: Sequence[str]) -> list[Vector]:
        """Vectors of one batch. It is halved to find the text that is too long, or refused.

        Raises:
            InputRefused: the server does not take one of the texts, and takes others.
        """
        try:
            raw = await self._patiently([prefix + _visible(text) for text in texts])
        except InputTooLong:
            if len(texts) == 1:
                return [await self._embed_halves(prefix, texts[0])]
        except _NOT_THE_TEXT:
            raise
        except ProviderError as exc:
            await self._check_text(prefix, texts, exc)
        else:
            self._check_shape(raw, len(texts))
            try:
                return self._normalised(raw)
            except ProviderError as exc:
                await self._check_text(prefix, texts, exc)
        middle = len(texts) // 2
        return await self._embed(prefix, texts[:middle]) + await self._embed(prefix, texts[middle:])

    async def _embed_halves(self, prefix: str, text: str) -> Vector:
        """The mean of the vectors of a too long text's halves."""
        if len(text) < _SHORTEST:
            raise InputRefused(f"The model refuses {len(text)} characters as too long.")
        middle = len(text) // 2
        space = text.find(" ", middle, middle + _SHORTEST // 2)
        cut = middle if space < 0 else space
        head, tail = await self._embed(prefix, [text[:cut], text[cut:]])
        return _unit(head + tail)

    async def _check_text(self, prefix: str, texts: Sequence[str], failure: ProviderError) -> None:
        """Returns where one of several texts may have caused a failure.

        Servers tell that in many ways, or not at all; but then they take another text.

        Raises:
            InputRefused: the only text has.
            ProviderError: `failure` itself, which any text meets.
        """
        try:
            raw = await self._patiently([f"{prefix}ok"])
            self._check_shape(raw, 1)
            self._normalised(raw)
        except ProviderError:
            raise failure from None
        if len(texts) == 1:
            raise InputRefused(f"A text is refused. {failure.message}", failure.hint) from failure

    async def _patiently(self, texts: list[str]) -> list[list[float]]:
        for seconds in BUSY_SECONDS:
            try:
                return await self._wire.embed(texts)
            except ProviderBusy:
                await asyncio.sleep(seconds)
        return await self._wire.embed(texts)

    def _check_shape(self, raw: list[list[float]], count: int) -> None:
        """Raises ProviderError for vectors that cannot be those of so many texts."""
        if len(raw) != count:
            raise ProviderError(
                f"{self.identity} gave {_counted(len(raw), 'vector')} for "
                f"{_counted(count, 'text')}.",
                _OTHER_MODEL,
            )
        found = len(raw[0])
        if not found or any(len(row) != found for row in raw):
            raise ProviderError(f"{self.identity} gave vectors of unequal lengths.", _OTHER_MODEL)
        if self._seen not in (0, found):
            raise ProviderError(
                f"{self.identity} now gives {found} dimensions instead of {self._seen}.",
                "The model was replaced: put the former one back, or name the new one otherwise.",
            )

    def _normalised(self, raw: list[list[float]]) -> list[Vector]:
        # What is too large for a vector's numbers becomes infinite, and is refused as such.
        with np.errstate(over="ignore"):
            rows = [_unit(np.asarray(row, np.float32)) for row in raw]
        self.dimensions = self._seen = len(raw[0])
        return rows


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _visible(text: str) -> str:
    """Some servers give no vector for a text without a sign in it."""
    return text if text.strip() else "."


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    if not (length > 0 and np.isfinite(length)):
        raise ProviderError(
            "The model gave a vector that cannot be used: its numbers are zero, or none.",
            _OTHER_MODEL,
        )
    return vector / np.float32(length)
