"""Texts of open editors that differ from what is indexed: read, chunked and embedded in memory.

The rules of the disk hold for them: only documents of approved workspaces that may still be read.
Nothing of them is written: neither texts nor vectors.
"""

import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from allma_server._internal.paths import is_inside, real
from allma_server.errors import NothingToIndex, ProviderError, UnreadableDocument
from allma_server.ports import Embedder, Parser, Vector
from allma_server.types import (
    FIRST_UNSAVED,
    Chunk,
    Document,
    Principal,
    UnsavedDocument,
    Workspace,
)

MAX_CHARACTERS = 1_000_000
"""Of a text; to read and embed a longer one at each pause of the user takes too long."""

MAX_DOCUMENTS = 200
"""Changed documents of all editors; of more, the oldest are dropped."""

_EMBED_BATCH = 32


class Catalogue(Protocol):
    """The part of the catalogue that is used here."""

    async def document(self, path: str) -> Document | None: ...
    async def is_approved(self, document_id: int) -> bool: ...
    async def workspaces(self) -> list[Workspace]: ...
    async def chunks_of(self, document_id: int) -> list[Chunk]: ...
    async def cached_vectors(
        self, embedder: str, hashes: Collection[bytes]
    ) -> Mapping[bytes, Vector]: ...


class Files(Protocol):
    """Says whether a document may be read now, or raises UnreadableDocument."""

    async def find_change(self, document: Document, /) -> str | None: ...


class UnsavedTexts:
    """The changed documents of all editors, each seen by the user of its editor only."""

    def __init__(
        self,
        catalogue: Catalogue,
        files: Files,
        parser: Callable[[], Awaitable[Parser]],
        embedder: Callable[[], Awaitable[Embedder]],
    ) -> None:
        self._catalogue = catalogue
        self._files = files
        self._parser = parser
        self._embedder = embedder
        self._next_id = FIRST_UNSAVED + time.time_ns() // 1000  # ids in old answers stay unused
        self._latest: dict[tuple[object, str], object] = {}
        self._documents: dict[tuple[object, str], tuple[str | None, UnsavedDocument]] = {}

    async def change(self, editor: object, user: str | None, path: str, text: str) -> str | None:
        """Take over the text of a file in an editor; return why it is not searched, if so."""
        key = editor, path
        mine = self._latest[key] = object()
        try:
            changed, why = await self._read(path, text), None
        except (NothingToIndex, UnreadableDocument) as exc:
            changed, why = None, exc.message
        if self._latest.get(key) is not mine:
            return None  # saved, closed or changed meanwhile
        former = self._documents.pop(key, None)
        if changed is None:
            return why
        vectors: dict[bytes, Vector] = {}
        if former is not None and former[1].embedder == changed.embedder:
            vectors |= former[1].vectors
        self._documents[key] = user, replace(changed, vectors=vectors)
        while len(self._documents) > MAX_DOCUMENTS:
            self._documents.pop(next(iter(self._documents)))
        # Words are found at once, meaning as soon as the vectors are there.
        await self._embed(changed, vectors, lambda: self._latest.get(key) is mine)
        return None

    def close(self, editor: object, path: str | None = None) -> None:
        """Drop the text of a file in an editor, or of all files in it."""
        for kept in (self._latest, self._documents):
            for key in [k for k in kept if k[0] is editor and path in (None, k[1])]:
                del kept[key]

    def seen_by(self, principal: Principal) -> list[UnsavedDocument]:
        """Return the changed documents of a principal; of several editors, the latest change."""
        found: dict[int, UnsavedDocument] = {}
        for user, each in self._documents.values():
            granted = principal.workspaces is None or any(
                is_inside(each.document.path, folder) for folder in principal.workspaces
            )
            if user == principal.user and granted:
                found[each.document.id] = each
        return list(found.values())

    async def _read(self, path: str, text: str) -> UnsavedDocument | None:
        """Return a text as a document; None if the index has the same, or does not have the file.

        Raises:
            NothingToIndex, UnreadableDocument: the text cannot be searched.
        """
        if len(text) > MAX_CHARACTERS:
            raise NothingToIndex(
                f"{Path(path).name} has more than {MAX_CHARACTERS:,} characters: it is searched as "
                "it was saved."
            )
        document = await self._known(path)
        if document is None:
            return None
        content = text.encode("utf-8", "replace")
        parser = await self._parser()
        try:
            parsed = await parser.parse(document.path, len(content), urgent=True, content=content)
            chunks = parsed.chunks
        except NothingToIndex:
            chunks = ()  # everything was deleted
        if list(chunks) == await self._catalogue.chunks_of(document.id):
            return None
        workspaces = await self._catalogue.workspaces()
        workspace = next((w.path for w in workspaces if w.id == document.workspace_id), "")
        embedder = (await self._embedder()).identity
        first, self._next_id = self._next_id, self._next_id + len(chunks)
        return UnsavedDocument(document, workspace, text, chunks, first, embedder, {})

    async def _known(self, path: str) -> Document | None:
        """Return the indexed document of a path, if it may be read.

        Raises:
            UnreadableDocument: it must not be read any more.
        """
        for name in (path, await real(path)):
            document = await self._catalogue.document(name)
            if document is not None and document.state == "indexed":
                if not await self._catalogue.is_approved(document.id):
                    return None
                await self._files.find_change(document)
                return document
        return None

    async def _embed(
        self,
        document: UnsavedDocument,
        vectors: dict[bytes, Vector],
        is_wanted: Callable[[], bool],
    ) -> None:
        """Add the missing vectors of a document, and remove those of former chunks."""
        texts = {chunk.text_hash: chunk.embedded_text for chunk in document.chunks}
        for digest in vectors.keys() - texts.keys():
            del vectors[digest]
        missing = texts.keys() - vectors.keys()
        vectors |= await self._catalogue.cached_vectors(document.embedder, missing)
        hashes = [digest for digest in texts if digest not in vectors]
        with contextlib.suppress(ProviderError):  # then only words are found
            embedder = await self._embedder()
            for start in range(0, len(hashes), _EMBED_BATCH):
                batch = hashes[start : start + _EMBED_BATCH]
                if not is_wanted() or embedder.identity != document.embedder:
                    return
                made = await embedder.embed_documents([texts[h] for h in batch], urgent=True)
                vectors |= zip(batch, made, strict=True)
