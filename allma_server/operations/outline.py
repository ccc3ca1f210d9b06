"""Choose passages by the structure of documents, to summarise a file, a folder or all."""

import os
from collections.abc import Sequence
from pathlib import PurePath

from allma_server.operations.call import Call
from allma_server.operations.scope import with_notice
from allma_server.search.search import Scope
from allma_server.search.summary_request import summary_request
from allma_server.types import Document, Passage, SearchResult

MAX_DOCUMENTS = 16
MAX_PASSAGES = 48
"""Of one summary: a model reads so many in a few minutes."""
README_PASSAGES = 6
_FIRST = ("readme", "overview", "introduction", "index", "about")
_PROSE = {"md", "markdown", "txt", "text", "rst", "html", "pdf", "docx", "ipynb"}


async def outline(call: Call, question: str, scope: Scope) -> SearchResult | None:
    """Return the passages for a summary; None if the question asks for something else.

    Of a file, these are all its passages, or the first one under each heading if there are many. Of
    a folder, these are the beginning of its README and the first passage of each document near the
    top.
    """
    request = summary_request(question)
    if request is None:
        return None
    if request.target is None:
        documents = await _in_scope(call, scope)
    else:
        documents = await _named(call, request.target, scope)
    if len(documents) == 1:
        passages = _thinned(await call.engine.catalog.passages_of(documents[0].id))
    else:
        passages = await _beginnings(call, documents)
    if not passages:
        return None
    return await with_notice(call, scope, SearchResult(passages))


async def _in_scope(call: Call, scope: Scope) -> list[Document]:
    catalog = call.engine.catalog
    if scope.glob:
        return []
    folders = scope.folders or [workspace.path for workspace in await catalog.workspaces()]
    found = [d for folder in folders for d in await catalog.documents_inside(folder)]
    return [document for document in found if document.state == "indexed"]


async def _named(call: Call, target: str, scope: Scope) -> list[Document]:
    """Return the document of this name or path, or the documents of this folder."""
    parts = [part.casefold() for part in PurePath(target).parts]
    known = await _in_scope(call, scope)
    files = [d for d in known if _ends(d.path, parts)]
    if files:
        return files[:1]
    inside = [d for d in known if _folder_ends(d.path, parts)]
    return [d for d in inside if _folder(d.path, parts) == _folder(inside[0].path, parts)]


def _ends(path: str, parts: Sequence[str]) -> bool:
    return [part.casefold() for part in PurePath(path).parts[-len(parts) :]] == list(parts)


def _folder_ends(path: str, parts: Sequence[str]) -> bool:
    return any(_ends(str(folder), parts) for folder in PurePath(path).parents)


def _folder(path: str, parts: Sequence[str]) -> str:
    """Return the outermost folder of a path that ends in these parts."""
    return str([f for f in PurePath(path).parents if _ends(str(f), parts)][-1])


async def _beginnings(call: Call, documents: Sequence[Document]) -> list[Passage]:
    """Return the beginnings of the documents that tell what a folder is about."""
    chosen = sorted(documents, key=_importance)[:MAX_DOCUMENTS]
    passages: list[Passage] = []
    for number, document in enumerate(chosen):
        of_document = await call.engine.catalog.passages_of(document.id)
        is_main = number == 0 and _is_first(document)
        passages += of_document[: README_PASSAGES if is_main else 1]
    return passages


def _importance(document: Document) -> tuple[int, bool, bool, str]:
    suffix = PurePath(document.path).suffix.lstrip(".").casefold()
    is_prose = suffix in _PROSE
    return document.path.count(os.sep), not _is_first(document), not is_prose, document.path


def _is_first(document: Document) -> bool:
    return PurePath(document.path).stem.casefold().startswith(_FIRST)


def _thinned(passages: list[Passage]) -> list[Passage]:
    """Return at most MAX_PASSAGES: the first under each heading, then evenly over the document."""
    if len(passages) <= MAX_PASSAGES:
        return passages
    first: dict[tuple[str, ...], Passage] = {}
    for passage in passages:
        first.setdefault(tuple(passage.heading), passage)
    kept = list(first.values()) if len(first) >= MAX_PASSAGES // 2 else passages
    step = max(1.0, len(kept) / MAX_PASSAGES)
    return [kept[int(n * step)] for n in range(min(MAX_PASSAGES, len(kept)))]
