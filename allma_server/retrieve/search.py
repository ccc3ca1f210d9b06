"""Find passages: dense and lexical in parallel, fused, then as people want to see them."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

from allma_server.errors import InvalidArgument, ProviderError
from allma_server.model import Hit, Passage, SearchResult
from allma_server.ports import Embedder, Lexicon, Reranker, Shelf, VectorSearch
from allma_server.retrieve.fuse import fuse
from allma_server.retrieve.rerank import WordReranker

CANDIDATES = 100
"""Hits taken from each retriever."""

RERANKED = 30
"""Passages that are read to be ordered anew; more cost time and gain nothing."""

LONGEST_QUERY = 4000
"""Characters of a query that are searched for; no retriever gains from more."""


WORDS = WordReranker()
"""The reranker that is used unless another is given."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to look: folders (empty: everywhere indexed) and a glob for paths inside them."""

    folders: tuple[str, ...] = ()
    glob: str | None = None


async def find_passages(
    query: str,
    k: int,
    scope: Scope,
    *,
    shelf: Shelf,
    lexicon: Lexicon,
    vectors: VectorSearch,
    embedder: Callable[[], Awaitable[Embedder | None]],
    reranker: Reranker = WORDS,
) -> SearchResult:
    """The `k` passages that match best, each from another place.

    When the embedder cannot be had, words alone are searched and the notice says so.

    Raises:
        InvalidArgument: the query is empty.
    """
    query = query.strip()[:LONGEST_QUERY]
    if not query:
        raise InvalidArgument("The query is empty.", "Search for at least one word.")
    began = time.monotonic()
    documents = await _documents(scope, shelf)
    (dense, notice), lexical = await asyncio.gather(
        _dense(query, documents, vectors, embedder),
        lexicon.search_text(query, CANDIDATES, documents),
    )
    ranked = [Hit(f.chunk_id, f.score) for f in fuse(dense, lexical, CANDIDATES)]
    found = await shelf.passages(ranked[: max(RERANKED, k * 4 + 10)])
    passages = distinct(await _reranked(query, found, max(RERANKED, k), reranker), k)
    passages = await asyncio.to_thread(_mark_stale, passages, await shelf.facts(passages))
    return SearchResult(passages, notice, int((time.monotonic() - began) * 1000))


async def _documents(scope: Scope, shelf: Shelf) -> Collection[int] | None:
    if not scope.folders and not scope.glob:
        return None
    found: set[int] = set()
    for folder in scope.folders or (None,):
        found.update(await shelf.matching_documents(folder, scope.glob, None))
    return found


async def _dense(
    query: str,
    documents: Collection[int] | None,
    vectors: VectorSearch,
    embedder: Callable[[], Awaitable[Embedder | None]],
) -> tuple[list[Hit], str | None]:
    try:
        serving = await embedder()
        if serving is None:
            return [], None
        vector = await serving.embed_query(query)
    except ProviderError as exc:
        return [], f"Searched by words only: {exc}"
    return await vectors.nearest(vector, CANDIDATES, documents), None


async def _reranked(
    query: str, passages: Sequence[Passage], first: int, reranker: Reranker
) -> list[Passage]:
    """The passages with the `first` of them in the reranker's order and with its scores."""
    scores = await reranker.rerank(query, passages[:first])
    scored = [replace(p, score=s) for p, s in zip(passages[:first], scores, strict=True)]
    return [*sorted(scored, key=lambda p: -p.score), *passages[first:]]


def distinct(passages: Sequence[Passage], k: int) -> list[Passage]:
    """The first `k` passages that do not repeat one before them.

    A repetition is the same text elsewhere (a copied licence, a vendored file), or a chunk that
    overlaps a better one of the same document.
    """
    kept: list[Passage] = []
    texts: set[str] = set()
    for passage in passages:
        text = " ".join(passage.text.split())
        if text in texts or any(_overlaps(passage, other) for other in kept):
            continue
        texts.add(text)
        kept.append(passage)
        if len(kept) == k:
            break
    return kept


def _overlaps(a: Passage, b: Passage) -> bool:
    if a.document_id != b.document_id or abs(a.chunk_index - b.chunk_index) > 1:
        return False
    shared = min(a.end_line, b.end_line) - max(a.start_line, b.start_line) + 1
    return shared > 0.5 * min(a.end_line - a.start_line + 1, b.end_line - b.start_line + 1)


def _mark_stale(passages: list[Passage], facts: dict[int, tuple[int, int]]) -> list[Passage]:
    return [
        replace(passage, stale=_changed(passage.path, facts.get(passage.document_id)))
        for passage in passages
    ]


def _changed(path: str, known: tuple[int, int] | None) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return True
    return known != (status.st_size, status.st_mtime_ns)
