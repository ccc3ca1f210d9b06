"""The embedder of a data directory, what is known of it, and the one that replaces it."""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from allma_server.config import Config
from allma_server.errors import InvalidArgument, ModelUnsuitable, ProviderError, StorageError
from allma_server.indexing.batch_embedder import embed_accepted
from allma_server.ports import Embedder, Vector
from allma_server.providers.embedding import (
    current_name,
    open_embedder,
    replacement,
    resolve_embedder,
)
from allma_server.providers.embedding.away import AwayEmbedder, EmbedderFacts
from allma_server.providers.embedding.separation import measure_separation
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.embeddings import UNUSED_DAYS
from allma_server.storage.vectors.index import VectorIndex
from allma_server.types import Separation

EMBEDDER = "embedder"
FORMER = "former_embedders"
FACTS = "embedder_facts"
NAMED = "named_embedder_facts"
"""Names of stored settings."""

_NAMED_FACTS = TypeAdapter(dict[str, EmbedderFacts])

MEASURE_SECONDS = 3.0
"""How long a search waits for its embedder to be measured; the vectors so far are cached."""


class ActiveEmbedder:
    """The embedder of a data directory: resolved at the first ingestion, then fixed.

    A replacement becomes the current one when it has a vector for every chunk.
    """

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        vectors: VectorIndex,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._vectors = vectors
        self._stack = stack
        self._opening = asyncio.Lock()
        self._current: Embedder | None = None
        self._replacement: Embedder | None = None
        # Not `_opening`, for which searches wait: a large model is read for seconds.
        self._opening_named = asyncio.Lock()
        self._named: dict[str, Embedder] = {}
        self._measuring = asyncio.Lock()
        self._separation: Separation | None = None

    async def name(self) -> str | None:
        """Return `provider/model` of the current embedder; None before the first ingestion."""
        return await self._catalog.get_setting(EMBEDDER)

    async def current(self) -> Embedder | None:
        """Return the current embedder; None before the first ingestion.

        Raises:
            ProviderError: it cannot be opened.
        """
        return await self._opened(resolve=False)

    async def resolved(self) -> Embedder:
        """Return the current embedder; resolve the setting before the first ingestion.

        Raises:
            ProviderError: it cannot be opened.
            InvalidArgument: the setting names an unknown embedder.
        """
        embedder = await self._opened(resolve=True)
        assert embedder is not None
        return embedder

    async def named(self, name: str) -> Embedder:
        """Return the embedder `name` (`provider/model`), which need not be the current one.

        Raises:
            ProviderError: it cannot be opened, and never was.
            InvalidArgument: there is no such embedder.
        """
        if name == await self.name() and (current := await self.current()) is not None:
            return current
        async with self._opening_named:
            if name not in self._named:
                opened = open_embedder(name, self._config, self._catalog.dimensions)
                try:
                    embedder = await self._stack.enter_async_context(opened)
                except ProviderError as exc:
                    if (facts := (await self._named_facts()).get(name)) is None:
                        raise
                    return AwayEmbedder(facts, exc)  # the next call tries again
                await self._note_named(name, embedder)
                self._named[name] = embedder
            return self._named[name]

    async def separation(self) -> Separation | None:
        """Return how the current embedder separates texts; it is measured once and stored.

        None before the first ingestion, and while the embedder is unavailable or slow.
        """
        async with self._measuring:
            if self._separation is None:
                with contextlib.suppress(ProviderError, TimeoutError):
                    async with asyncio.timeout(MEASURE_SECONDS):
                        self._separation = await self._measured_separation()
            return self._separation

    async def _measured_separation(self) -> Separation | None:
        embedder, name = await self.current(), await self.name()
        if embedder is None or name is None:
            return None
        facts = await self._facts(name) or EmbedderFacts.of(name, embedder)
        if facts.separation is None:
            measured = await measure_separation(embedder)
            facts = facts.model_copy(update={"separation": measured})
            with contextlib.suppress(StorageError):
                await self._catalog.set_setting(FACTS, facts.model_dump_json())
        return facts.separation

    async def replacement(self) -> Embedder | None:
        """Return the embedder that will replace the current one, if any.

        It is the one in the settings, or a newer build of the current one.

        Raises:
            InvalidArgument: the setting names an unknown embedder.
        """
        if (name := await self.replacement_name()) is None:
            return None
        async with self._opening:
            # Opened once: it may be unreachable for days, and every run asks for it.
            if self._replacement is None:
                opened = open_embedder(name, self._config, self._catalog.dimensions)
                self._replacement = await self._stack.enter_async_context(opened)
            return self._replacement

    async def replacement_name(self) -> str | None:
        """Return `provider/model` of the replacement, if any."""
        current = await self.name()
        return replacement(current, self._config.embedder) if current is not None else None

    async def switch_to(self, embedder: Embedder) -> None:
        """Make the replacement the current embedder; it has a vector for every chunk."""
        async with self._opening:
            former, name = self._current, await self.replacement_name()
            assert name is not None
            await self._vectors.use(embedder.identity)
            await self._catalog.set_setting(EMBEDDER, name)
            facts = EmbedderFacts.of(name, embedder)
            await self._catalog.set_setting(FACTS, facts.model_dump_json())
            self._current, self._replacement, self._separation = embedder, None, None
            self._catalog.note_switch()
            if former is not None:
                await self._note_former(former.identity)

    async def retained(self) -> list[str]:
        """Return the identities whose vectors are kept: current, replacement and recent ones.

        Those of the embedders that shares name are kept as well.

        Raises:
            ProviderError: the current one cannot be opened, so it is not known which are its.
        """
        current = await self.current()
        opened = [each.identity for each in (current, self._replacement) if each]
        oldest = (datetime.now(UTC) - timedelta(days=UNUSED_DAYS)).isoformat()
        former = json.loads(await self._catalog.get_setting(FORMER) or "{}")
        named: list[Embedder] = []
        for name in await self._catalog.share_embedders():
            # One that was never opened has made no vectors.
            with contextlib.suppress(ProviderError, InvalidArgument):
                named.append(await self.named(name))
        recent = [name for name, until in former.items() if until > oldest]
        return [*opened, *(each.identity for each in named), *recent]

    async def _note_former(self, identity: str) -> None:
        former = json.loads(await self._catalog.get_setting(FORMER) or "{}")
        former[identity] = datetime.now(UTC).isoformat()
        await self._catalog.set_setting(FORMER, json.dumps(former))

    async def empty_vectors(self) -> None:
        """Delete the vector index from the disk; it is rebuilt from SQLite.

        Raises:
            VectorStoreDown: it cannot be deleted.
        """
        # If the embedder cannot be opened, no index is open, and its files can be deleted.
        with contextlib.suppress(ProviderError):
            await self.current()
        await self._vectors.empty()

    async def erase_deleted_vectors(self) -> None:
        """Erase the vectors of deleted chunks from the files of the vector index.

        Raises:
            VectorStoreDown: they cannot be erased.
        """
        with contextlib.suppress(ProviderError):
            await self.current()
        await self._vectors.erase_deleted()

    async def _opened(self, *, resolve: bool) -> Embedder | None:
        async with self._opening:
            if self._current is not None:
                return self._current
            name = await self.name()
            if name is None:
                if not resolve:
                    return None
                name = await resolve_embedder(self._config)
            facts = await self._facts(name)
            try:
                opened = await self._stack.enter_async_context(
                    open_embedder(name, self._config, self._catalog.dimensions)
                )
            except ProviderError as exc:
                if facts is None:
                    raise
                await self._vectors.use(facts.identity)
                return AwayEmbedder(facts, exc)  # the next call tries again
            await self._vectors.use(opened.identity)
            await self._note_current(name, opened, facts)
            self._current = opened
            return opened

    async def _facts(self, name: str) -> EmbedderFacts | None:
        """What was stored of the embedder `name` when it was last opened."""
        with contextlib.suppress(ValidationError):
            facts = EmbedderFacts.model_validate_json(await self._catalog.get_setting(FACTS) or "")
            return facts if facts.name == name else None
        return None

    async def _named_facts(self) -> dict[str, EmbedderFacts]:
        """What was stored of the embedders that shares name, by their names."""
        with contextlib.suppress(ValidationError):
            return _NAMED_FACTS.validate_json(await self._catalog.get_setting(NAMED) or "{}")
        return {}

    async def _note_named(self, name: str, opened: Embedder) -> None:
        known, facts = await self._named_facts(), EmbedderFacts.of(name, opened)
        if known.get(name) != facts:
            stored = _NAMED_FACTS.dump_json({**known, name: facts}).decode()
            with contextlib.suppress(StorageError):
                await self._catalog.set_setting(NAMED, stored)

    async def _note_current(self, name: str, opened: Embedder, known: EmbedderFacts | None) -> None:
        # Only what is new, because writing fails on a full disk.
        if await self.name() != name:
            await self._catalog.set_setting(EMBEDDER, name)
        facts = EmbedderFacts.of(name, opened)
        if known is not None and known.identity == facts.identity:
            facts = facts.model_copy(update={"separation": known.separation})
        if facts != known:
            with contextlib.suppress(StorageError):
                await self._catalog.set_setting(FACTS, facts.model_dump_json())
                if known is not None and known.identity != opened.identity:
                    await self._note_former(known.identity)


class ShareEmbedders:
    """The current embedder and those that shares name, for `storage/shared/vectors.py`."""

    def __init__(self, active: ActiveEmbedder) -> None:
        self._active = active

    async def check(self, name: str) -> str:
        """Return the name of an embedder as it is stored; it need not be available.

        Raises:
            InvalidArgument: it does not name an embedder.
        """
        name = current_name(name)
        try:
            await self._active.named(name)
        except ModelUnsuitable as exc:
            raise InvalidArgument(exc.message, exc.hint) from exc
        except ProviderError:
            pass  # publishing says so, and tries again
        return name

    async def identity(self, name: str | None) -> str | None:
        """Return what its vectors are compared by; None before anything is indexed.

        Raises:
            ProviderError: the embedder cannot be opened.
        """
        opened = await (self._active.current() if name is None else self._active.named(name))
        return opened.identity if opened is not None else None

    async def embed(
        self, name: str, identity: str, texts: Mapping[bytes, str]
    ) -> Mapping[bytes, Vector]:
        """Return the vectors of those texts that the embedder accepts.

        Raises:
            ProviderError: the embedder failed, or has another identity now.
        """
        embedder = await self._active.named(name)
        if embedder.identity != identity:
            raise ProviderError(f"{name} is another model than before.")
        return (await embed_accepted(embedder, texts)).vectors
