"""The catalogue as it exists for a principal: their folders, and their conversations."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from allma_server._internal.paths import is_inside
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.workspaces import WorkspaceCounts
from allma_server.types import (
    Chunk,
    Document,
    DocumentPage,
    DocumentRow,
    DocumentSet,
    DocumentState,
    Hit,
    Message,
    Passage,
    Principal,
    Workspace,
)

_NOWHERE = "\0"
"""A folder that does not exist: without one, everything would be meant."""


class GrantedCatalog(Catalog):
    """A view of a catalogue, which shares everything with it.

    What is outside the grants is not found, with the same errors as what does not exist. A test
    compares its methods with those of `Catalog`.
    """

    def __init__(self, whole: Catalog, principal: Principal) -> None:
        self.__dict__.update(whole.__dict__)
        self.user = principal.user
        self._granted = principal.workspaces

    def grants(self, path: str) -> bool:
        """Return whether a path exists for the principal."""
        return self._granted is None or any(is_inside(path, each) for each in self._granted)

    # --- workspaces -------------------------------------------------------------------------

    async def workspaces(self, *, proposed: bool = False) -> list[Workspace]:
        """Return the workspaces in the grants, and the grants that are a part of a workspace."""
        return self._parts(await super().workspaces(proposed=proposed))

    async def workspace_counts(self) -> list[WorkspaceCounts]:
        counts = await super().workspace_counts()
        known = {each.workspace.path: each for each in counts}
        return [
            known.get(part.path) or await self._counted(part)
            for part in self._parts([each.workspace for each in counts])
        ]

    def _parts(self, workspaces: Sequence[Workspace]) -> list[Workspace]:
        if self._granted is None:
            return list(workspaces)
        parts = [each for each in workspaces if self.grants(each.path)]
        for granted in self._granted:
            around = [w for w in workspaces if is_inside(granted, w.path) and w not in parts]
            parts += [replace(each, path=granted) for each in around]
        return sorted(parts, key=lambda each: each.path)

    async def _counted(self, part: Workspace) -> WorkspaceCounts:
        found = await super().documents_inside(part.path)
        states = [document.state for document in found]
        return WorkspaceCounts(
            part,
            documents=states.count("indexed"),
            chunks=sum(document.chunks for document in found),
            failed=states.count("failed"),
            skipped=states.count("skipped"),
        )

    # --- documents --------------------------------------------------------------------------

    async def document(self, path: str) -> Document | None:
        return self._visible(await super().document(path))

    async def document_by_id(self, document_id: int) -> Document | None:
        return self._visible(await super().document_by_id(document_id))

    def _visible(self, document: Document | None) -> Document | None:
        return document if document is not None and self.grants(document.path) else None

    async def documents(self, workspace_id: int) -> list[Document]:
        return [each for each in await super().documents(workspace_id) if self.grants(each.path)]

    async def documents_inside(self, folder: str) -> list[Document]:
        return [each for each in await super().documents_inside(folder) if self.grants(each.path)]

    async def is_approved(self, document_id: int) -> bool:
        known = await self.document_by_id(document_id)
        return known is not None and await super().is_approved(document_id)

    async def document_page(
        self, folders: Collection[str], state: DocumentState | None, cursor: str | None, limit: int
    ) -> DocumentPage:
        page = await super().document_page(self._narrowed(folders), state, cursor, limit)
        rows = [replace(row, workspace=self._part(row)) for row in page.documents]
        return replace(page, documents=rows)

    async def select_documents(
        self,
        folders: Collection[str] = (),
        globs: Collection[str] = (),
        formats: Collection[str] | None = None,
    ) -> DocumentSet:
        return await super().select_documents(self._narrowed(folders), globs, formats)

    async def index_state(
        self, folders: Collection[str] = (), globs: Collection[str] = ()
    ) -> tuple[bytes, int]:
        return await super().index_state(self._narrowed(folders), globs)

    def _narrowed(self, folders: Collection[str]) -> Collection[str]:
        """Return the parts of folders that are in the grants; never empty if there are grants."""
        if self._granted is None:
            return folders
        if not folders:
            return self._granted
        parts = {each for each in folders if self.grants(each)}
        parts |= {each for each in self._granted if any(is_inside(each, f) for f in folders)}
        return sorted(parts) or [_NOWHERE]

    # --- passages ---------------------------------------------------------------------------

    async def candidates(self, hits: Sequence[Hit]) -> list[Passage]:
        return self._in_parts(await super().candidates(hits))

    async def passages_of(self, document_id: int) -> list[Passage]:
        return self._in_parts(await super().passages_of(document_id))

    async def chunk(self, chunk_id: int) -> Passage | None:
        found = await super().chunk(chunk_id)
        return next(iter(self._in_parts([found])), None) if found is not None else None

    async def chunks_of(self, document_id: int) -> list[Chunk]:
        known = await self.document_by_id(document_id)
        return await super().chunks_of(document_id) if known is not None else []

    async def sample_texts(self, count: int) -> list[str]:
        return await super().sample_texts(count) if self._granted is None else []

    def _in_parts(self, passages: Sequence[Passage]) -> list[Passage]:
        return [
            replace(each, workspace=self._part(each)) for each in passages if self.grants(each.path)
        ]

    def _part(self, found: Passage | DocumentRow) -> str:
        """Return the workspace of something, or the grant in it where that is a part."""
        if self.grants(found.workspace):
            return found.workspace
        return next(each for each in self._granted or () if is_inside(found.path, each))

    # --- conversations ----------------------------------------------------------------------

    async def messages(self, conversation_id: str) -> list[Message]:
        """Return messages without sources that are no longer granted."""
        return [
            replace(each, sources=[s for s in each.sources if self.grants(s.path)])
            for each in await super().messages(conversation_id)
        ]
