"""Full-text search: in the index, and in SQLite for what the index does not hold yet."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from allma_server._internal.tokens import query_terms
from allma_server.errors import FullTextDown, StorageError
from allma_server.storage.full_text.entries import (
    TEXT,
    Replacement,
    entry_of,
    terms_of,
    use_of,
)
from allma_server.storage.full_text.indexer import FullTextIndexer
from allma_server.storage.full_text.scan import scan, words_in
from allma_server.storage.path_terms import path_terms
from allma_server.storage.sqlite.database import Database
from allma_server.storage.sqlite.full_text_outbox import ChunkText, FullTextOutbox, PendingText
from allma_server.storage.sqlite.rows import storable
from allma_server.types import (
    DocumentSet,
    FullTextStatus,
    Hit,
    Run,
    WordHits,
    WordStatistics,
    WordUse,
)

if TYPE_CHECKING:
    from allma_server.storage.full_text.store import WordStore

log = logging.getLogger(__name__)

MAX_SCORED = 100
"""Pending changes that a search scores itself: faster than a commit of the index, see `scoring`."""

MAX_SCORED_SHARE = 0.1
"""Of all chunks; with more, scores of the index and of pending changes are hardly comparable."""

MAX_WRITTEN = 1_000
"""Pending changes that a search has written before it begins; more take too long."""

MAX_SCANNED = 500
"""Texts that a search without the index scores, about .3 ms each."""

SCAN_SECONDS = 1.5
"""How long a search looks for words in texts that the index does not hold."""

NOTHING_REPLACED = Replacement()

MAX_QUERY = 100_000
"""Characters of a query that are read."""


@contextlib.asynccontextmanager
async def open_full_text(
    database: Database, directory: Path, tasks: asyncio.TaskGroup
) -> AsyncGenerator["FullText"]:
    """Open full-text search over the catalogue.

    Args:
        database: the catalogue.
        directory: a folder for the index alone.
        tasks: owns the task that keeps the index current.
    """
    outbox = FullTextOutbox(database)
    indexer = FullTextIndexer(database, outbox, directory, await outbox.last_seq())
    running = tasks.create_task(indexer.run())
    try:
        yield FullText(outbox, indexer)
    finally:
        indexer.stop()
        await asyncio.wait([running])
        await indexer.close()


class FullText:
    """Searches words; implements `ports.FullTextIndex`. Made by `open_full_text`."""

    def __init__(self, outbox: FullTextOutbox, indexer: FullTextIndexer) -> None:
        self._outbox = outbox
        self._indexer = indexer

    async def search_text(
        self,
        query: str,
        k: int,
        documents: DocumentSet | None = None,
        replaced: Replacement = NOTHING_REPLACED,
    ) -> WordHits:
        """Return the `k` chunks that match best, of all documents or of these.

        What was saved before is found. While the index is rebuilt or cannot be written, texts that
        it does not hold are searched one by one, and a notice says so. `replaced`: chunks that this
        search has in place of stored ones.
        """
        query = storable(query[:MAX_QUERY])
        if k <= 0 or (documents is not None and not len(documents)):
            return WordHits([])
        # A damaged index is replaced, and then all is pending. Changes are read before the index:
        # what is written meanwhile is found twice, and never missed.
        store = await self._indexer.opened()
        changes = await self._outbox.pending(MAX_SCORED + 1)
        if store is not None and len(changes) <= min(MAX_SCORED, MAX_SCORED_SHARE * store.entries):
            found = await self._in_index(store, query, k, documents, replaced, changes)
            if found is not None:
                return found
        pending = await self._written()
        current = await self._indexer.opened()
        found = await self._in_index(current, query, k, documents, replaced)
        if found is not None and not pending:
            if current is store:
                return found
            # One that replaced another meanwhile may not have held everything yet.
            return await self.search_text(query, k, documents, replaced)
        notice = self._notice()
        if found is None:
            return WordHits(await self._in_texts(query, k, documents, replaced), notice=notice)
        changed = await self._outbox.pending_ids()
        hits = [hit for hit in found.hits if hit.chunk_id not in changed]
        stored_only = replace(NOTHING_REPLACED, hidden=replaced.hidden)
        hits += await self._in_texts(query, k, documents, stored_only, pending=True)
        return WordHits(sorted(hits, key=lambda hit: -hit.score)[:k], found.similar, notice)

    async def documents_named(
        self, names: Sequence[str], documents: DocumentSet | None = None
    ) -> set[int]:
        """Return the ids of documents with these file names, some if they are very many.

        Empty while the index cannot be used: words still find some of them.
        """
        store = await self._indexer.opened()
        if store is None or (documents is not None and not len(documents)):
            return set()
        changes = await self._outbox.pending(MAX_SCORED)
        try:
            found = await asyncio.to_thread(store.documents_named, names, documents)
        except FullTextDown as exc:
            await self._indexer.note_damage(store, exc)
            return set()
        texts = [change.text for change in changes if change.text is not None]
        saved = {text.document_id for text in texts if _is_named(text, names)}
        if documents is not None:
            saved &= set(documents.documents.tolist())
        return found - {text.document_id for text in texts} | saved

    async def status(self) -> FullTextStatus:
        """Return the state of the index, and how many changes are pending for it."""
        indexer, pending = self._indexer, await self._outbox.size()
        if indexer.failure is not None:
            return FullTextStatus("down", pending, indexer.failure)
        if indexer.total and pending:
            done = f"{indexer.total - min(pending, indexer.total):,} of {indexer.total:,}"
            return FullTextStatus("rebuilding", pending, f"{done} texts are written.")
        return FullTextStatus("ready" if indexer.store is not None else "idle", pending, None)

    async def check(self) -> None:
        """Open the index, and bring it up to date.

        Raises:
            FullTextDown, DiskFull, DataReadOnly: it cannot be used or written.
        """
        if await self._indexer.opened() is None or await self._outbox.size(1):
            await self._indexer.write_pending()

    async def rebuild(self) -> int:
        """Rebuild the index from SQLite, and return how many chunks it holds.

        Raises:
            FullTextDown, DiskFull, DataReadOnly: it cannot be written.
        """
        await self._indexer.rebuild()
        await self._indexer.write_pending()
        return await self._outbox.chunks()

    async def erase_deleted(self) -> None:
        """Leave nothing of removed chunks on the disk.

        Raises:
            FullTextDown, DiskFull, DataReadOnly: they cannot be erased now.
        """
        await self._indexer.erase_deleted()

    async def wait_until_current(self) -> None:
        """Return once the index holds all that SQLite holds, or cannot be written."""
        await self._indexer.wait_until_current()

    async def statistics(self, terms: Collection[str]) -> WordStatistics:
        """Return how many texts have these terms; implements `ports.WordFacts` with `uses`."""
        store = await self._indexer.opened()
        if store is None:
            return WordStatistics(0, 0.0, {})
        return await asyncio.to_thread(store.statistics, terms)

    async def uses(self, chunk_ids: Collection[int], runs: Collection[Run]) -> dict[int, WordUse]:
        """Return how these chunks use runs of terms."""
        texts = await self._outbox.texts(chunk_ids)
        return await asyncio.to_thread(
            lambda: {text.chunk_id: use_of(terms_of(text)[TEXT], runs) for text in texts}
        )

    async def _written(self) -> int:
        """Have few pending changes written now; return how many are left."""
        pending = await self._outbox.size(MAX_WRITTEN + 1)
        if 0 < pending <= MAX_WRITTEN:
            with contextlib.suppress(StorageError):
                await self._indexer.write_pending()
            pending = await self._outbox.size(MAX_WRITTEN + 1)
        return pending

    async def _in_index(
        self,
        store: "WordStore | None",
        query: str,
        k: int,
        documents: DocumentSet | None,
        replaced: Replacement,
        changes: Sequence[PendingText] = (),
    ) -> WordHits | None:
        """Return what an index and these changes contain; None if it is not the one in use."""
        if store is None:
            return None
        changed = {change.chunk_id for change in changes}.union(replaced.hidden)
        texts = [change.text for change in changes if change.chunk_id not in replaced.hidden]

        def search() -> WordHits:
            entries = [entry_of(text) for text in texts if text is not None]
            return store.search(query, k, documents, [*entries, *replaced.entries()], changed)

        try:
            found = await asyncio.to_thread(search)
        except FullTextDown as exc:
            await self._indexer.note_damage(store, exc)
            return None
        return found if store is self._indexer.store else None

    async def _in_texts(
        self,
        query: str,
        k: int,
        documents: DocumentSet | None,
        replaced: Replacement,
        *,
        pending: bool = False,
    ) -> list[Hit]:
        """Return what all texts contain, or only those that changed; nothing after a time."""
        terms = query_terms(query)
        if not (words := words_in(terms)):
            return []
        try:
            async with asyncio.timeout(SCAN_SECONDS):
                texts = await self._outbox.texts_with(
                    words, documents, MAX_SCANNED, pending=pending
                )
                texts = [text for text in texts if text.chunk_id not in replaced.hidden]
                total = await self._outbox.chunks()
                others = await asyncio.to_thread(replaced.entries)
                return await asyncio.to_thread(scan, terms, k, texts, total, others)
        except TimeoutError:
            return []

    def _notice(self) -> str:
        why = self._indexer.failure
        if why is None:
            return "Keyword search is being rebuilt, and does not find all words yet."
        return f"Keyword search is slower and may miss words: {why}"


def _is_named(text: ChunkText, names: Sequence[str]) -> bool:
    """Return whether a text's file has one of these names, without or with any suffix."""
    wanted = {f"name:{name}" for name in names}
    beginnings = tuple(f"{term}." for term in wanted)
    return any(
        term in wanted or term.startswith(beginnings) for term in path_terms(text.path, text.format)
    )
