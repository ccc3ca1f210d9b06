"""Choose the documents that a search covers."""

import asyncio
import os
from dataclasses import replace
from typing import Annotated, TypeAlias

from pydantic import Field

from allma_server._internal.paths import is_inside, real
from allma_server.answering.prompt_injection import mark_suspicious
from allma_server.errors import DocumentNotFound
from allma_server.operations.call import Call
from allma_server.operations.notices import notice_of
from allma_server.operations.paths import EVERYTHING, ClientPath
from allma_server.search.search import Scope, Sources, find_passages
from allma_server.search.shared import SharedFinds, SharedPassages, SharedVectors, SharedWords
from allma_server.storage.unsaved import (
    UnsavedPassages,
    UnsavedVectors,
    UnsavedView,
    UnsavedWords,
    view_unsaved,
)
from allma_server.types import SHARED, Passage, SearchResult, SharedScope

WorkspaceFolder: TypeAlias = Annotated[
    str | None,
    Field(description="Only this workspace folder; `all` for every one."),
    ClientPath.WORKSPACE,
]
FileGlob: TypeAlias = Annotated[
    str | None,
    Field(description="Only files that match this glob: src/**/*.py, or *.md, !docs/**."),
    ClientPath.GLOB,
]
MaxPassages: TypeAlias = Annotated[
    int | None, Field(ge=1, le=50, description="Maximum number of passages (default 5).")
]


async def scope_of(call: Call, workspace: str | None, path: str | None) -> Scope:
    """Return the named workspace, else the client's folders, else everything; `all` is everything.

    If the client wants it, the index is brought up to date with the disk first.

    Raises:
        DocumentNotFound: the folder neither is, contains, nor is inside an indexed workspace.
    """
    folders = await _folders(call, workspace)
    if call.look_seconds:
        await call.engine.ingestion.look(folders, call.look_seconds)
    return Scope(folders, path)


async def _folders(call: Call, workspace: str | None) -> tuple[str, ...]:
    granted = call.principal.workspaces or ()
    if workspace == EVERYTHING:
        return granted
    if workspace:
        return (await indexed_folder(call, workspace),)
    return tuple([await real(folder) for folder in call.workspaces]) or granted


async def indexed_folder(call: Call, workspace: str) -> str:
    """Return the path of a folder, given as a path or as the name of a workspace.

    Raises:
        DocumentNotFound: the folder is not indexed; the message lists the workspaces.
    """
    if workspace.startswith(SHARED.strip()):
        return await _shared_folder(call, workspace)
    folder = await real(workspace)
    workspaces = await call.engine.catalog.workspaces(proposed=True)
    paths = [each.path for each in workspaces]
    if any(is_inside(path, folder) for path in paths):
        return folder
    within = any(is_inside(folder, path) for path in paths)
    if within and await _is_known(call, folder):
        return folder
    name = os.path.basename(folder).casefold()
    named = [path for path in paths if os.path.basename(path).casefold() == name]
    if len(named) == 1:
        return named[0]
    known = ", ".join(named or paths)
    why = "is not on the disk, nor in the index" if within else "is not inside an indexed workspace"
    raise DocumentNotFound(
        f"{workspace} {why}.",
        f"Indexed: {known}." if known else "No documents indexed. Run `allma index DIR`.",
    )


async def _shared_folder(call: Call, named: str) -> str:
    """Return what the paths of a shared folder begin with, given as `shared:NAME`."""
    name = named.removeprefix(SHARED.strip()).strip()
    listed = await call.engine.sharing.list()
    others = [each.name for each in listed.shares if each.path is None]
    if name not in others:
        known = ", ".join(others) or "none"
        raise DocumentNotFound(f"No engine shares {name}.", listed.notice or f"Shared: {known}.")
    return f"{SHARED}{name}"


async def _is_known(call: Call, folder: str) -> bool:
    """Return whether a folder of a workspace is on the disk or has documents in the index."""
    if await asyncio.to_thread(os.path.lexists, folder):
        return True
    return len(await call.engine.catalog.select_documents([folder])) > 0


def sources_of(call: Call) -> Sources:
    """Return the stores and models of this engine."""
    engine = call.engine
    return Sources(
        engine.catalog,
        engine.full_text,
        engine.vectors,
        engine.embedder.current,
        engine.embedder.separation,
        engine.scripts,
        lambda: engine.ingestion.missing_vectors_reason is not None,
        engine.reranker,
        engine.config.rerank_seconds,
    )


async def all_sources_of(call: Call, scope: Scope) -> tuple[Sources, SharedFinds | None]:
    """Return what a search uses: passages that are not in the index join its stores here.

    They are of unsaved texts, and of what others share; the second value has the notices of these.
    """
    return _with_shared(call, scope, await _local_sources(call))


async def _local_sources(call: Call) -> Sources:
    """Return the stores with the unsaved texts of open editors."""
    sources = sources_of(call)
    if (unsaved := await unsaved_of(call)) is None:
        return sources
    return replace(
        sources,
        passages=UnsavedPassages(call.engine.catalog, unsaved),
        full_text=UnsavedWords(call.engine.full_text, unsaved),
        vectors=UnsavedVectors(call.engine.vectors, unsaved, call.engine.embedder.current),
    )


def _with_shared(call: Call, scope: Scope, sources: Sources) -> tuple[Sources, SharedFinds | None]:
    """Return the sources with what others share, where the scope has some of it."""
    names = tuple(f.removeprefix(SHARED) for f in scope.folders if f.startswith(SHARED))
    index = call.engine.sharing.search
    if index is None or (scope.folders and not names):
        return sources, None
    wanted = SharedScope(names or None, scope.globs)
    finds = SharedFinds(index, wanted, call.engine.embedder.current)
    joined = replace(
        sources,
        passages=SharedPassages(sources.passages, finds),
        full_text=SharedWords(sources.full_text, call.engine.full_text, finds),
        vectors=SharedVectors(sources.vectors, finds),
    )
    return joined, finds


async def unsaved_of(call: Call) -> UnsavedView | None:
    """Return the documents that the principal has open and changed; None without any."""
    documents = call.engine.ingestion.unsaved.seen_by(call.principal)
    return await view_unsaved(call.engine.catalog, documents) if documents else None


async def find(call: Call, query: str, top_k: int | None, scope: Scope) -> SearchResult:
    """Return the passages that best match a query, here and in what others share."""
    sources, finds = await all_sources_of(call, scope)
    found = await find_passages(query, top_k or call.engine.config.top_k, scope, sources)
    return found if finds is None else replace(found, notice=finds.notice(found.notice))


async def find_by_words(call: Call, query: str, top_k: int, scope: Scope) -> list[Passage]:
    """Return passages that have the words of a query; its meaning is not looked at."""

    async def no_embedder() -> None:
        return None

    sources = replace(await _local_sources(call), embedder=no_embedder, reranker=None)
    found = await find_passages(query, top_k, scope, sources)
    return mark_suspicious(found.passages)


async def with_notice(call: Call, scope: Scope, found: SearchResult) -> SearchResult:
    """Return the result with possible prompt injections marked, and why it may be incomplete."""
    notice, code = await notice_of(call, scope, found)
    return replace(found, passages=mark_suspicious(found.passages), notice=notice, notice_code=code)
