"""Unsaved texts in a search: views of the catalogue and both indexes in which they replace files.

While a document is open and changed, its stored chunks are hidden, and those of its text in the
editor are found in their place.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

import numpy as np

from allma_server._internal.lines import FileLines
from allma_server._internal.lines import lines_of as numbered_lines
from allma_server.ports import Embedder, Vector, VectorSearch
from allma_server.storage.full_text.entries import Entry, Replacement, make_entry
from allma_server.storage.full_text.index import FullText
from allma_server.storage.sqlite import rows
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.full_text_outbox import ChunkText
from allma_server.storage.sqlite.passages import joined, lines_of
from allma_server.types import (
    Chunk,
    Document,
    DocumentSet,
    Hit,
    Passage,
    UnsavedDocument,
    WordHits,
    common_heading,
    is_unsaved,
)


class UnsavedView:
    """The changed documents of one call. Made by `view_unsaved`.

    `hidden`: the stored chunks of these documents, each with its document.
    """

    def __init__(self, documents: Sequence[UnsavedDocument], hidden: dict[int, int]) -> None:
        self.documents = {each.document.id: each for each in documents}
        self.hidden = hidden

    def find(self, chunk_id: int) -> tuple[UnsavedDocument, Chunk] | None:
        """Return a chunk with its document; None if it is no longer there."""
        for each in self.documents.values():
            if chunk_id in each.ids:
                return each, each.chunks[chunk_id - each.first_id]
        return None

    def has(self, path: str) -> bool:
        """Return whether a document is open and changed."""
        return any(each.document.path == path for each in self.documents.values())

    def inside(self, documents: DocumentSet | None) -> list[UnsavedDocument]:
        """Return those that a search covers."""
        if documents is None:
            return list(self.documents.values())
        ids = np.array([*self.documents], np.int64)
        covered = documents.contains(ids)
        return [self.documents[int(id)] for id in ids[covered]]


async def view_unsaved(
    catalog: Catalog, documents: Sequence[UnsavedDocument]
) -> UnsavedView | None:
    """Return a view of those documents that are still indexed and approved; None without any."""
    current: list[UnsavedDocument] = []
    for each in documents:
        known = await catalog.document(each.document.path)
        if known is None or known.id != each.document.id or known.state != "indexed":
            continue
        if await catalog.is_approved(known.id):
            current.append(each)
    if not current:
        return None
    return UnsavedView(current, await catalog.chunk_ids([d.document.id for d in current]))


class UnsavedPassages:
    """Implements `ports.PassageStore` and the catalogue of `search/read.py`."""

    def __init__(self, catalog: Catalog, view: UnsavedView) -> None:
        self._catalog = catalog
        self._view = view
        self.select_documents = catalog.select_documents
        self.shown = catalog.shown
        self.document = catalog.document
        self.document_by_id = catalog.document_by_id
        self.is_approved = catalog.is_approved

    async def passages(self, hits: Sequence[Hit]) -> list[Passage]:
        return [self.shown(passage) for passage in await self.candidates(hits)]

    async def candidates(self, hits: Sequence[Hit]) -> list[Passage]:
        wanted = [hit for hit in hits if hit.chunk_id not in self._view.hidden]
        stored = await self._catalog.candidates([h for h in wanted if not is_unsaved(h.chunk_id)])
        found = {passage.chunk_id: passage for passage in stored}
        for hit in wanted:
            if is_unsaved(hit.chunk_id) and (place := self._view.find(hit.chunk_id)):
                found[hit.chunk_id] = _passage(*place, hit)
        return [found[hit.chunk_id] for hit in wanted if hit.chunk_id in found]

    async def first_chunks(self, document_ids: Collection[int], count: int) -> list[int]:
        firsts: list[int] = []
        for chunk_id in await self._catalog.first_chunks(document_ids, count):
            document = self._view.documents.get(self._view.hidden.get(chunk_id, 0))
            if document is None:
                firsts.append(chunk_id)
            elif document.chunks:
                firsts.append(document.first_id)
        return firsts

    async def joined(self, passage: Passage, neighbour: Passage) -> Passage:
        if not passage.unsaved:
            return await self._catalog.joined(passage, neighbour)
        first, second = sorted((passage, neighbour), key=lambda each: each.chunk_index)
        places = [self._view.find(each.chunk_id) for each in (first, second)]
        chunks = [place[1] for place in places if place is not None]
        start, end = first.start_line, max(first.end_line, second.end_line)
        both = replace(
            passage,
            text=joined(chunks, repeat=True),
            start_line=start,
            end_line=end,
            heading=common_heading(first.heading, second.heading),
            uri=rows.uri(passage.path, start, end, passage.page),
        )
        return self.shown(both)

    async def facts(self, passages: Sequence[Passage]) -> dict[int, tuple[int, int] | None]:
        # What is shown of these documents is not that of their files.
        known = await self._catalog.facts(passages)
        return known | dict.fromkeys(known.keys() & self._view.documents.keys())

    async def chunk(self, chunk_id: int) -> Passage | None:
        if not is_unsaved(chunk_id):
            return await self._catalog.chunk(chunk_id)
        place = self._view.find(chunk_id)
        return self.shown(_passage(*place, Hit(chunk_id, 0.0))) if place else None

    async def extracted_text(
        self, document_id: int, first_chunk: int | None = None, last_chunk: int | None = None
    ) -> tuple[str, list[int]]:
        document = self._view.documents.get(document_id)
        if document is None:
            return await self._catalog.extracted_text(document_id, first_chunk, last_chunk)
        last = len(document.chunks) if last_chunk is None else last_chunk + 1
        chunks = document.chunks[first_chunk or 0 : last]
        return joined(chunks), lines_of(chunks)


class Files(Protocol):
    """The files on the disk, as `search/read.py` reads them."""

    async def lines(
        self, document: Document, first: int, last: int | None, max_bytes: int, /
    ) -> FileLines | None: ...
    async def find_change(self, document: Document, /) -> str | None: ...


class UnsavedFiles:
    """Implements the port of `search/read.py`: the text in the editor in place of the file."""

    def __init__(self, files: Files, view: UnsavedView) -> None:
        self._files = files
        self._view = view

    async def lines(
        self, document: Document, first: int, last: int | None, max_bytes: int, /
    ) -> FileLines | None:
        opened = self._view.documents.get(document.id)
        if opened is None:
            return await self._files.lines(document, first, last, max_bytes)
        await self._files.find_change(document)  # it must still be one that may be read
        content = opened.text.encode("utf-8", "replace")
        return await asyncio.to_thread(numbered_lines, [content], first, last, max_bytes)

    async def find_change(self, document: Document, /) -> str | None:
        change = await self._files.find_change(document)
        return None if document.id in self._view.documents else change


class UnsavedWords:
    """Implements `ports.FullTextIndex`."""

    def __init__(self, full_text: FullText, view: UnsavedView) -> None:
        self._full_text = full_text
        self._view = view
        self.documents_named = full_text.documents_named

    async def search_text(
        self, query: str, k: int, documents: DocumentSet | None = None
    ) -> WordHits:
        covered = self._view.inside(documents)

        def entries() -> list[Entry]:
            return [entry for each in covered for entry in _entries(each)]

        replaced = Replacement(self._view.hidden.keys(), entries)
        return await self._full_text.search_text(query, k, documents, replaced)


class UnsavedVectors:
    """Implements `ports.VectorSearch`."""

    def __init__(
        self,
        vectors: VectorSearch,
        view: UnsavedView,
        embedder: Callable[[], Awaitable[Embedder | None]],
    ) -> None:
        self._vectors = vectors
        self._view = view
        self._embedder = embedder

    async def nearest(
        self, vector: Vector, k: int, documents: DocumentSet | None = None
    ) -> list[Hit]:
        hidden = self._view.hidden
        stored = await self._vectors.nearest(vector, k + len(hidden), documents)
        hits = [hit for hit in stored if hit.chunk_id not in hidden]
        current = await self._embedder()
        for each in self._view.inside(documents):
            if current is not None and current.identity == each.embedder:
                hits += [Hit(id, float(own @ vector)) for id, own in _vectors(each)]
        return sorted(hits, key=lambda hit: -hit.score)[:k]

    async def vectors_of(self, chunk_ids: Collection[int]) -> dict[int, Vector]:
        stored = await self._vectors.vectors_of([id for id in chunk_ids if not is_unsaved(id)])
        wanted = set(chunk_ids) - stored.keys()
        for each in self._view.documents.values():
            stored |= {id: own for id, own in _vectors(each) if id in wanted}
        return stored


def _vectors(document: UnsavedDocument) -> list[tuple[int, Vector]]:
    known = document.vectors
    return [
        (id, own)
        for id, chunk in document.numbered()
        if (own := known.get(chunk.text_hash)) is not None
    ]


def _passage(document: UnsavedDocument, chunk: Chunk, hit: Hit) -> Passage:
    path = document.document.path
    return Passage(
        path=path,
        workspace=document.workspace,
        document_id=document.document.id,
        chunk_id=hit.chunk_id,
        chunk_index=chunk.index,
        text=chunk.text,
        score=hit.score,
        start_line=chunk.start_line,
        end_line=chunk.end_line,
        page=chunk.page,
        heading=list(chunk.heading),
        uri=rows.uri(path, chunk.start_line, chunk.end_line, chunk.page),
        unsaved=True,
    )


# Each search asks for them; of few documents, because they are their texts.
@lru_cache(maxsize=16)
def _entries(document: UnsavedDocument) -> list[Entry]:
    path = document.document.path
    return [
        make_entry(
            ChunkText(
                id,
                document.document.id,
                rows.indexed_name(path),
                rows.stored_path(path),
                document.document.format,
                chunk.context or json.dumps(chunk.heading),
                chunk.text,
            )
        )
        for id, chunk in document.numbered()
    ]
