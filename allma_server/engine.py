"""The engine: the one place that connects storage, vectors, models and ingestion.

    async with open_engine(config) as engine:
        ...

The embedding model, the vector store and the parsers are opened by the first call that needs them.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from allma_server._internal.credential_uses import CredentialUses
from allma_server._internal.tasks import background_tasks
from allma_server.active_embedder import ActiveEmbedder, ShareEmbedders
from allma_server.answering.answer_model import find_answer_model
from allma_server.answering.background import BackgroundRequests
from allma_server.answering.cache import AnswerCache
from allma_server.answering.ongoing import OngoingConversations
from allma_server.config import Config, LiveSettings
from allma_server.documents.ocr.client import open_recogniser
from allma_server.documents.parsers import Parsers
from allma_server.errors import InvalidArgument
from allma_server.indexing.granted import GrantedIngestion
from allma_server.indexing.ingestion import Ingestion
from allma_server.indexing.scope import refusal_reason
from allma_server.ports import ChatModels, Reranker, TextRecogniser
from allma_server.providers.api_keys import ApiKey
from allma_server.providers.chat import open_chat_models
from allma_server.providers.embedding import EMBEDDERS
from allma_server.providers.reranking import open_reranker
from allma_server.providers.reranking.listwise import Complete
from allma_server.search.script_knowledge import ScriptKnowledge
from allma_server.secrets import masked
from allma_server.storage.archive.archive import import_archive
from allma_server.storage.archive.importer import ImportedData
from allma_server.storage.archive.salvage import rescue_database
from allma_server.storage.full_text.index import FullText, open_full_text
from allma_server.storage.lock import data_directory_owned
from allma_server.storage.shared.folders import Sharing, open_sharing
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.database import Database, open_database
from allma_server.storage.sqlite.database_file import refuse_emptied
from allma_server.storage.sqlite.granted import GrantedCatalog
from allma_server.storage.vectors.config import vector_options
from allma_server.storage.vectors.folders import delete_collections
from allma_server.storage.vectors.index import VectorIndex, open_vectors
from allma_server.types import (
    FORMATS,
    PICTURE_FORMAT,
    ChatMessage,
    ImportReport,
    Principal,
    Rescue,
)

DATABASE = "allma.sqlite3"
VECTORS = "vectors"
FULL_TEXT = "full_text"
UPDATE_FIRST = "Update Allma first, or choose a file that `allma export` wrote."


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts that operations use. There is one engine per data directory.

    `settings` returns those last read, from `live` if given. `clients`: how many are connected.
    `tasks` owns work that outlives its call, and must not raise. `questions`: one object for each
    in progress. `scripts`: known to the embedder. `sharing`: with other engines. `urls`,
    `credential_uses`: of its HTTP server. `answers`: to give again. `background`: requests.
    `ongoing`: state of conversations.
    """

    settings: Callable[[], Config]
    catalog: Catalog
    full_text: FullText
    vectors: VectorIndex
    embedder: ActiveEmbedder
    chat: ChatModels
    reranker: Reranker | None
    ingestion: Ingestion
    tasks: asyncio.TaskGroup
    clients: Callable[[], int]
    scripts: ScriptKnowledge
    sharing: Sharing
    live: LiveSettings | None = None
    questions: set[object] = field(default_factory=set[object])
    urls: list[str] = field(default_factory=list[str])
    answers: AnswerCache = field(default_factory=AnswerCache)
    background: BackgroundRequests = field(default_factory=BackgroundRequests)
    ongoing: OngoingConversations = field(default_factory=OngoingConversations)
    credential_uses: CredentialUses = field(default_factory=CredentialUses)

    @property
    def config(self) -> Config:
        """The settings in effect, as last read."""
        return self.settings()

    def seen_by(self, principal: Principal) -> "Engine":
        """Return the same engine without what does not exist for a principal."""
        if not principal.is_limited:
            return self
        catalog = GrantedCatalog(self.catalog, principal)
        ingestion = GrantedIngestion(self.ingestion, catalog, principal)
        sharing = self.sharing.seen_by(principal.workspaces)
        return replace(self, catalog=catalog, ingestion=ingestion, sharing=sharing)

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
    """Open the engine of `config.data_dir`, and own that directory until the block ends.

    With a read-only directory it answers from the existing index; changes raise DataReadOnly.
    `clients`: how many are connected. `live`: the settings file, followed as it changes.

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
        # Resources that the first call opens must outlive the tasks that use them.
        later = await stack.enter_async_context(contextlib.AsyncExitStack())
        full_text = await _open_full_text(stack, config, database)
        vectors = await _open_vectors(stack, config, database)
        embedder = ActiveEmbedder(config, catalog, vectors, later)
        sharing = await _open_sharing(stack, config, database, embedder)
        tasks = await stack.enter_async_context(background_tasks())
        parsers = Parsers(config, embedder.resolved, later)
        recogniser = await stack.enter_async_context(open_recogniser(config))
        ingestion = _ingestion(config, catalog, embedder, parsers, recogniser, full_text, tasks)
        yield Engine(
            settings,
            catalog,
            full_text,
            vectors,
            embedder,
            chat,
            reranker,
            ingestion,
            tasks,
            clients,
            ScriptKnowledge(tasks),
            sharing,
            live,
        )


def _ingestion(
    config: Config,
    catalog: Catalog,
    embedder: ActiveEmbedder,
    parsers: Parsers,
    recogniser: TextRecogniser | None,
    full_text: FullText,
    tasks: asyncio.TaskGroup,
) -> Ingestion:
    return Ingestion(
        config,
        catalog,
        parser=parsers.opened,
        embedders=embedder,
        recogniser=recogniser,
        chunking_fingerprint=parsers.chunking_fingerprint,
        erase_words=full_text.erase_deleted,
        erase_vectors=embedder.erase_deleted_vectors,
        tasks=tasks,
    )


async def _open_data(stack: contextlib.AsyncExitStack, data_dir: Path) -> Database:
    """Lock the data directory for this process and open its database."""
    owned = await stack.enter_async_context(data_directory_owned(data_dir, reading=True))
    path = data_dir / DATABASE
    await asyncio.to_thread(refuse_emptied, path, data_dir / VECTORS)
    return await stack.enter_async_context(open_database(path, claim=owned.claim))


async def _open_full_text(
    stack: contextlib.AsyncExitStack, config: Config, database: Database
) -> FullText:
    tasks = await stack.enter_async_context(background_tasks())
    opened = open_full_text(database, config.data_dir / FULL_TEXT, tasks)
    return await stack.enter_async_context(opened)


async def _open_vectors(
    stack: contextlib.AsyncExitStack, config: Config, database: Database
) -> VectorIndex:
    tasks = await stack.enter_async_context(background_tasks())
    options = vector_options(config, ApiKey("vector_store").get)
    opened = open_vectors(database, config.data_dir / VECTORS, tasks, options)
    return await stack.enter_async_context(opened)


async def _open_sharing(
    stack: contextlib.AsyncExitStack, config: Config, database: Database, embedder: ActiveEmbedder
) -> Sharing:
    url = config.shared_url
    if url is None and config.vector_store == "weaviate":
        url = config.vector_store_url
    opened = open_sharing(database, url, ApiKey("vector_store").get, ShareEmbedders(embedder))
    return await stack.enter_async_context(opened)


def _completion(settings: Callable[[], Config], catalog: Catalog, chat: ChatModels) -> Complete:
    """Let a reranker ask the model that also answers, so that no second model is loaded."""

    async def complete(
        requested: str | None, messages: Sequence[ChatMessage], max_tokens: int
    ) -> str:
        model = await find_answer_model(requested, settings(), catalog, chat)
        return await model.with_shortest_context().complete(messages, max_tokens)

    return complete


async def import_data(
    file: str, data_dir: Path, *, replace: bool, mask: bool = True
) -> ImportReport:
    """Import an exported file into a data directory.

    Its workspaces are proposals: their imported text is searched, but no file in them is read
    until the user indexes them.

    `replace` lets existing data be replaced; `mask` masks secrets in what is imported.

    Raises:
        InvalidArgument: the file is not an export, or existing data would be lost.
        DataDirectoryTooNew, DataDirectoryBusy, DiskFull, StorageError: the import failed.
    """
    refuse = partial(_refuse_import, data_dir=data_dir)
    taken = await import_archive(
        Path(file), data_dir, DATABASE, VECTORS, replace=replace, mask=mask, refuse=refuse
    )
    return ImportReport(file, str(data_dir), taken.documents, taken.conversations, taken.workspaces)


async def rescue_data(data_dir: Path) -> Rescue:
    """Replace a damaged database by a new one with all rows that can be read.

    The damaged file is kept beside it. Incomplete documents are read again by the next run.

    Raises:
        DataDirectoryBusy: an engine uses the directory.
        DiskFull, StorageError: the repair failed; the damaged database is unchanged.
    """
    database = data_dir / DATABASE
    async with data_directory_owned(data_dir):
        kept, taken = await rescue_database(database)
        await asyncio.to_thread(delete_collections, data_dir / VECTORS)
    return Rescue(str(kept), taken.documents, taken.conversations, taken.messages)


def _refuse_import(taken: ImportedData, data_dir: Path) -> None:
    """Raise InvalidArgument for refused folders, and for unknown formats and embedders."""
    for path in taken.workspaces:
        if (why := refusal_reason(Path(path), data_dir)) is not None:
            raise InvalidArgument(
                f"The folder {path} cannot be imported: it is {why}.",
                "Run `allma forget` on it where the file was exported, and export again.",
            )
    if unknown := set(taken.formats) - {*FORMATS, PICTURE_FORMAT, ""}:
        raise InvalidArgument(f"The format {min(unknown)!r} is unknown.", UPDATE_FIRST)
    if taken.embedder is not None and taken.embedder.partition("/")[0] not in EMBEDDERS:
        raise InvalidArgument(f"The embedder {taken.embedder[:80]!r} is unknown.", UPDATE_FIRST)
