"""The engine: the one place that wires catalogue, vectors, models and ingestion together.

    async with open_engine(config) as engine:
        ...

An engine that exists is ready. Whatever is heavy (the model, the vector store, the parsers) is
opened by the first call that needs it.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from allma_server._internal.tasks import background_tasks
from allma_server.answering.answer_model import find_answer_model
from allma_server.config import Config, LiveSettings
from allma_server.documents.chunking import CHUNKER_VERSION
from allma_server.documents.pool import open_parser_pool
from allma_server.errors import InvalidArgument, ProviderError
from allma_server.indexing.ingestion import Ingestion
from allma_server.indexing.scope import refusal_reason
from allma_server.ports import ChatModels, Embedder, Parser, Reranker
from allma_server.providers.chat import open_chat_models
from allma_server.providers.embedding import (
    EMBEDDERS,
    open_embedder,
    replacement,
    resolve_embedder,
)
from allma_server.providers.reranking import open_reranker
from allma_server.providers.reranking.listwise import Complete
from allma_server.secrets import MASKED, masked
from allma_server.storage.archive.archive import import_archive
from allma_server.storage.archive.importer import ImportedData
from allma_server.storage.archive.salvage import rescue_database
from allma_server.storage.lock import data_directory_owned
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.database import Database, open_database
from allma_server.storage.sqlite.database_file import refuse_emptied
from allma_server.storage.sqlite.embeddings import UNUSED_DAYS
from allma_server.storage.vectors.config import vector_options
from allma_server.storage.vectors.folders import delete_collections
from allma_server.storage.vectors.index import VectorIndex, open_vectors
from allma_server.types import FORMATS, ChatMessage, ImportReport, Rescue

DATABASE = "allma.sqlite3"
VECTORS = "vectors"
EMBEDDER = "embedder"
UPDATE_FIRST = "Update Allma first, or choose a file that `allma export` wrote."
FORMER = "former_embedders"


class ChosenEmbedder:
    """The embedder of a data directory: chosen at the first ingestion, then kept."""

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
        self._open: Embedder | None = None
        self._wanted: Embedder | None = None

    async def name(self) -> str | None:
        """`provider/model`, or None while nothing has been chosen."""
        return await self._catalog.get_setting(EMBEDDER)

    async def serving(self) -> Embedder | None:
        """The chosen embedder; None before the first ingestion.

        Raises:
            ProviderError: it cannot be had now.
        """
        return await self._opened(decide=False)

    async def chosen(self) -> Embedder:
        """The chosen embedder; it is chosen now if it was not.

        Raises:
            ProviderError: it cannot be had now.
            InvalidArgument: the settings name one that does not exist.
        """
        embedder = await self._opened(decide=True)
        assert embedder is not None
        return embedder

    async def wanted(self) -> Embedder | None:
        """The embedder that is to take over, because the settings name it or it is a newer build.

        Raises:
            InvalidArgument: the settings name one that does not exist.
        """
        if (name := await self.wanted_name()) is None:
            return None
        async with self._opening:
            # Once: it may be away for days, and is asked for again and again.
            if self._wanted is None:
                opened = open_embedder(name, self._config, self._catalog.dimensions)
                self._wanted = await self._stack.enter_async_context(opened)
            return self._wanted

    async def wanted_name(self) -> str | None:
        """`provider/model` of the embedder that is to take over, if any."""
        serving = await self.name()
        return replacement(serving, self._config.embedder) if serving is not None else None

    async def adopt(self, embedder: Embedder) -> None:
        """Has the wanted embedder serve from now on; it has a vector for every chunk."""
        async with self._opening:
            former, name = self._open, await self.wanted_name()
            assert name is not None
            await self._vectors.use(embedder.identity)
            await self._catalog.set_setting(EMBEDDER, name)
            self._open, self._wanted = embedder, None
            if former is not None:
                await self._note_former(former.identity)

    async def in_use(self) -> list[str]:
        """Embedders whose vectors are kept: who serves, who is wanted, and who served of late."""
        open_now = [embedder.identity for embedder in (self._open, self._wanted) if embedder]
        oldest = (datetime.now(UTC) - timedelta(days=UNUSED_DAYS)).isoformat()
        former = json.loads(await self._catalog.get_setting(FORMER) or "{}")
        return [*open_now, *(name for name, until in former.items() if until > oldest)]

    async def _note_former(self, identity: str) -> None:
        former = json.loads(await self._catalog.get_setting(FORMER) or "{}")
        former[identity] = datetime.now(UTC).isoformat()
        await self._catalog.set_setting(FORMER, json.dumps(former))

    async def empty_vectors(self) -> None:
        """Leaves nothing of the vector index on the disk; it is built anew from SQLite.

        Raises:
            VectorStoreDown: it cannot be emptied.
        """
        # An embedder that is away has no index open, whose files can then be deleted.
        with contextlib.suppress(ProviderError):
            await self.serving()
        await self._vectors.empty()

    async def erase_deleted_vectors(self) -> None:
        """Leaves nothing of deleted chunks in the vector index.

        Raises:
            VectorStoreDown: they cannot be erased.
        """
        with contextlib.suppress(ProviderError):
            await self.serving()
        await self._vectors.erase_deleted()

    async def _opened(self, *, decide: bool) -> Embedder | None:
        async with self._opening:
            if self._open is not None:
                return self._open
            name = await self.name()
            if name is None:
                if not decide:
                    return None
                name = await resolve_embedder(self._config)
            opened = await self._stack.enter_async_context(
                open_embedder(name, self._config, self._catalog.dimensions)
            )
            await self._vectors.use(opened.identity)
            if await self.name() != name:  # a full disk must not keep a search from its embedder
                await self._catalog.set_setting(EMBEDDER, name)
            self._open = opened
            return opened


@dataclass(frozen=True, slots=True)
class Engine:
    """What operations are called with. One per data directory and process.

    `settings` returns the settings as they were last read, from `live` where it is given. `tasks`
    owns work that outlives the call that started it; a task in it must not raise. `questions`: the
    ones being answered.
    """

    settings: Callable[[], Config]
    catalog: Catalog
    vectors: VectorIndex
    embedder: ChosenEmbedder
    chat: ChatModels
    reranker: Reranker | None
    ingestion: Ingestion
    tasks: asyncio.TaskGroup
    clients: Callable[[], int]
    live: LiveSettings | None = None
    questions: set[object] = field(default_factory=set[object])

    @property
    def config(self) -> Config:
        """The settings in effect, as they were last read."""
        return self.settings()

    async def refresh_settings(self) -> None:
        """Read the settings file again if it changed; each operation starts with this."""
        if self.live is not None:
            await asyncio.to_thread(self.live.refresh)

    async def pending_settings(self) -> Mapping[str, object]:
        """Return the settings whose new value takes effect after a restart, with that value."""
        return await asyncio.to_thread(self.live.pending_restart) if self.live is not None else {}


@contextlib.asynccontextmanager
async def open_engine(
    config: Config,
    clients: Callable[[], int] = lambda: 1,
    live: LiveSettings | None = None,
) -> AsyncGenerator[Engine]:
    """The engine over `config.data_dir`, which it owns until the block ends.

    Of a directory that cannot be written it serves what is indexed; changes raise DataReadOnly.

    `clients` tells how many share it. `live`: where `config` is from, and what it has become.

    Raises:
        DataDirectoryBusy: another process owns the data directory.
        DataDirectoryTooNew, DiskFull, StorageError: its database cannot be used.
        InvalidArgument: the settings name a provider that does not exist.
    """
    settings = live.current if live is not None else lambda: config
    async with contextlib.AsyncExitStack() as stack:
        database = await _open_data(stack, config.data_dir)
        catalog = Catalog(database, shown=masked if config.mask_secrets else str)
        chat = await stack.enter_async_context(open_chat_models(config))
        reranker = await stack.enter_async_context(
            open_reranker(config.reranker, _completion(settings, catalog, chat))
        )
        # What is opened by the first call that needs it outlives the tasks that use it.
        later = await stack.enter_async_context(contextlib.AsyncExitStack())
        vectors = await _open_vectors(stack, config, database)
        embedder = ChosenEmbedder(config, catalog, vectors, later)
        parsers = _Parsers(config, embedder, later)
        tasks = await stack.enter_async_context(background_tasks())
        ingestion = Ingestion(
            config,
            catalog,
            parser=parsers.opened,
            embedders=embedder,
            chunking_fingerprint=parsers.chunking_fingerprint,
            erase_vectors=embedder.erase_deleted_vectors,
            tasks=tasks,
        )
        yield Engine(
            settings, catalog, vectors, embedder, chat, reranker, ingestion, tasks, clients, live
        )


async def _open_data(stack: contextlib.AsyncExitStack, data_dir: Path) -> Database:
    """The database of a data directory, which this process holds from now on."""
    owned = await stack.enter_async_context(data_directory_owned(data_dir, reading=True))
    path = data_dir / DATABASE
    await asyncio.to_thread(refuse_emptied, path, data_dir / VECTORS)
    return await stack.enter_async_context(open_database(path, claim=owned.claim))


async def _open_vectors(
    stack: contextlib.AsyncExitStack, config: Config, database: Database
) -> VectorIndex:
    tasks = await stack.enter_async_context(background_tasks())
    options = vector_options(config)
    opened = open_vectors(database, config.data_dir / VECTORS, tasks, options)
    return await stack.enter_async_context(opened)


def _completion(settings: Callable[[], Config], catalog: Catalog, chat: ChatModels) -> Complete:
    """Let a reranker ask the model that also answers, so that no second model is loaded."""

    async def complete(
        requested: str | None, messages: Sequence[ChatMessage], max_tokens: int
    ) -> str:
        model = await find_answer_model(requested, settings(), catalog, chat)
        return await model.complete(messages, max_tokens)

    return complete


async def import_data(file: str, data_dir: Path, *, replace: bool) -> ImportReport:
    """Makes an exported file the content of a data directory.

    Its workspaces are proposed: what was imported of them is found, but no file of theirs is read
    before their user indexes them.

    Raises:
        InvalidArgument: it is no such file, or there is something that would be lost.
        DataDirectoryTooNew, DataDirectoryBusy, DiskFull, StorageError: it cannot be done.
    """

    def refuse(taken: ImportedData) -> None:
        _refuse_import(taken, data_dir)

    taken = await import_archive(
        Path(file), data_dir, DATABASE, VECTORS, replace=replace, refuse=refuse
    )
    return ImportReport(file, str(data_dir), taken.documents, taken.conversations, taken.workspaces)


async def rescue_data(data_dir: Path) -> Rescue:
    """Puts a new database in the place of a damaged one, with what that still holds.

    The damaged one is kept beside it. Documents with gaps are read again by the next run.

    Raises:
        DataDirectoryBusy: an engine uses the directory.
        DiskFull, StorageError: it cannot be done; the damaged database is as it was.
    """
    database = data_dir / DATABASE
    async with data_directory_owned(data_dir):
        kept, taken = await rescue_database(database)
        await asyncio.to_thread(delete_collections, data_dir / VECTORS)
    return Rescue(str(kept), taken.documents, taken.conversations, taken.messages)


def _refuse_import(taken: ImportedData, data_dir: Path) -> None:
    """Raises InvalidArgument for folders, formats or an embedder that this Allma does not take."""
    for path in taken.workspaces:
        if (why := refusal_reason(Path(path), data_dir)) is not None:
            raise InvalidArgument(
                f"The folder {path} is not taken over: it is {why}.",
                "`allma forget` it where the file was exported, and export again.",
            )
    if unknown := set(taken.formats) - FORMATS.keys() - {""}:
        raise InvalidArgument(f"There are no files of the format {min(unknown)!r}.", UPDATE_FIRST)
    if taken.embedder is not None and taken.embedder.partition("/")[0] not in EMBEDDERS:
        raise InvalidArgument(f"There is no embedder {taken.embedder[:80]!r}.", UPDATE_FIRST)


class _Parsers:
    """The parser pool for the serving embedder, whose limit of tokens decides the chunk size."""

    def __init__(
        self, config: Config, embedder: ChosenEmbedder, stack: contextlib.AsyncExitStack
    ) -> None:
        self._config = config
        self._embedder = embedder
        self._stack = stack
        self._opening = asyncio.Lock()
        self._open: tuple[str, Parser] | None = None

    async def opened(self) -> Parser:
        """Return the pool for the serving embedder; processes of a former one end when idle."""
        async with self._opening:
            embedder = await self._embedder.chosen()
            if self._open is None or self._open[0] != embedder.identity:
                pool = await self._stack.enter_async_context(
                    open_parser_pool(self._config, embedder)
                )
                self._open = embedder.identity, pool
            return self._open[1]

    async def chunking_fingerprint(self) -> str:
        """Return what decides how files are chunked; another value makes all documents changed."""
        embedder = await self._embedder.chosen()
        config = self._config
        parts = (CHUNKER_VERSION, config.chunk_size, config.chunk_overlap, embedder.max_tokens)
        if config.mask_secrets:
            parts += (MASKED,)
        return ":".join(map(str, parts))
