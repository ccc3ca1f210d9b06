"""Embed with a model server: batches, prefixes, texts that are too long, busy servers.

The servers differ only in their API, `EmbeddingApi`, which ollama.py and openai.py implement.
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

BATCH_SIZE = 16
RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses between the requests to a busy server."""

QUERY_SECONDS = 10.0
"""How long a query may take; a search finds passages by their words without its vector."""

UNANSWERED_SECONDS = 1.0
"""The same, while the server has not answered an earlier request after a query."""

_OTHER_MODEL = "See the log of its server, or use another embedding model."

# Characters. A text is not split into shorter parts to make it fit.
_MIN_LENGTH = 200

_UNRELATED_TO_TEXT = (
    ApiKeyRefused,
    ModelNotFound,
    ModelUnsuitable,
    ProviderBusy,
    ProviderUnreachable,
)
"""Failures that occur with any text."""


class EmbeddingApi(Protocol):
    """The API of a server for one model. Its methods raise ProviderError or a subclass.

    `dimensions` returns None if the server does not report them. `embed` raises InputTooLong if one
    of the texts does not fit, rather than truncating it silently.
    """

    async def dimensions(self) -> int | None: ...
    async def embed(self, texts: Sequence[str]) -> list[list[float]]: ...


class ServedEmbedder:
    """Embeds with a server; `dimensions` is 0 until it has answered once.

    `max_tokens` comes from the model's card and not from the server, because chunks are cut to it:
    they must not change when the server is unavailable at the start.
    """

    tokenizer_file: Path | None = None

    def __init__(
        self, provider: str, model: str, api: EmbeddingApi, tasks: asyncio.TaskGroup
    ) -> None:
        self._api = api
        self._tasks = tasks
        self._loading: asyncio.Task[None] | None = None
        self._card = card_of(model)
        self._is_loaded = False
        self._embedded_dimensions = 0
        self.dimensions = 0
        self.max_tokens = self._card.max_tokens
        has_prefixes = self._card.document or self._card.query
        self.identity = f"{provider}/{model}" + ("+prefixes" if has_prefixes else "")

    async def load_dimensions(self) -> None:
        """Ask the server about the model, once.

        Raises:
            ModelUnsuitable: the model cannot embed.
        """
        if not self._is_loaded:
            self.dimensions = await self._api.dimensions() or self.dimensions
            self._is_loaded = True

    async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        """Return one row per text, in order."""
        del urgent  # the server schedules its own work
        await self.load_dimensions()
        rows: list[Vector] = []
        for start in range(0, len(texts), BATCH_SIZE):
            rows += await self._embed(self._card.document, texts[start : start + BATCH_SIZE])
        return np.stack(rows) if rows else np.empty((0, self.dimensions), np.float32)

    async def embed_query(self, text: str) -> Vector:
        """Return the vector of a query.

        Raises:
            ProviderUnreachable: it took longer than QUERY_SECONDS, or less while the server does
                not answer anyway.
            ProviderError: the server failed, or refused the query.
        """
        is_waiting = self._loading is not None and not self._loading.done()
        seconds = min(QUERY_SECONDS, UNANSWERED_SECONDS) if is_waiting else QUERY_SECONDS
        try:
            async with asyncio.timeout(seconds):
                await self.load_dimensions()
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
            await self._api.embed(["ok"])

    async def _embed(self, prefix: str, texts: Sequence[str]) -> list[Vector]:
        """Return the vectors of one batch, which is halved to isolate a text that is refused.

        Raises:
            InputRefused: the server refuses one of the texts but accepts others.
        """
        try:
            raw = await self._with_retries([prefix + _non_empty(text) for text in texts])
        except InputTooLong:
            if len(texts) == 1:
                return [await self._embed_halves(prefix, texts[0])]
        except _UNRELATED_TO_TEXT:
            raise
        except ProviderError as exc:
            await self._check_text(prefix, texts, exc)
        else:
            self._check_shape(raw, len(texts))
            try:
                return self._normalize(raw)
            except ProviderError as exc:
                await self._check_text(prefix, texts, exc)
        middle = len(texts) // 2
        return await self._embed(prefix, texts[:middle]) + await self._embed(prefix, texts[middle:])

    async def _embed_halves(self, prefix: str, text: str) -> Vector:
        """Return the normalised sum of the vectors of both halves of a text."""
        if len(text) < _MIN_LENGTH:
            raise InputRefused(f"The model refuses a text of {len(text)} characters as too long.")
        middle = len(text) // 2
        space = text.find(" ", middle, middle + _MIN_LENGTH // 2)
        cut = middle if space < 0 else space
        head, tail = await self._embed(prefix, [text[:cut], text[cut:]])
        return _unit(head + tail)

    async def _check_text(self, prefix: str, texts: Sequence[str], failure: ProviderError) -> None:
        """Return if one of several texts may have caused a failure.

        Servers report this in many ways or not at all, so another text is tried.

        Raises:
            InputRefused: the only text caused it.
            ProviderError: `failure` itself, because the other text failed too.
        """
        try:
            raw = await self._with_retries([f"{prefix}ok"])
            self._check_shape(raw, 1)
            self._normalize(raw)
        except ProviderError:
            raise failure from None
        if len(texts) == 1:
            raise InputRefused(
                f"The server refuses a text. {failure.message}", failure.hint
            ) from failure

    async def _with_retries(self, texts: list[str]) -> list[list[float]]:
        for seconds in RETRY_SECONDS:
            try:
                return await self._api.embed(texts)
            except ProviderBusy:
                await asyncio.sleep(seconds)
        return await self._api.embed(texts)

    def _check_shape(self, raw: list[list[float]], count: int) -> None:
        """Raise ProviderError for vectors of a wrong count or length."""
        if len(raw) != count:
            raise ProviderError(
                f"{self.identity} returned {_counted(len(raw), 'vector')} for "
                f"{_counted(count, 'text')}.",
                _OTHER_MODEL,
            )
        found = len(raw[0])
        if not found or any(len(row) != found for row in raw):
            raise ProviderError(
                f"{self.identity} returned vectors of different lengths.", _OTHER_MODEL
            )
        if self._embedded_dimensions not in (0, found):
            raise ProviderError(
                f"{self.identity} now returns {found} dimensions instead of "
                f"{self._embedded_dimensions}.",
                "The model was replaced: restore the former one, or give the new one another name.",
            )

    def _normalize(self, raw: list[list[float]]) -> list[Vector]:
        # Numbers that are too large for float32 become infinite, which `_unit` refuses.
        with np.errstate(over="ignore"):
            rows = [_unit(np.asarray(row, np.float32)) for row in raw]
        self.dimensions = self._embedded_dimensions = len(raw[0])
        return rows


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _non_empty(text: str) -> str:
    """Replace a blank text, for which some servers return no vector."""
    return text if text.strip() else "."


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(length):
        raise ProviderError(
            "The model returned a vector with numbers that are not finite.", _OTHER_MODEL
        )
    if length == 0:
        raise ProviderError("The model returned a vector of zeros.", _OTHER_MODEL)
    return (vector / length).astype(np.float32)
