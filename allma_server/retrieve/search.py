"""Find passages: dense and lexical in parallel, fused, reranked, then as people want to see them.

The way of a candidate: both retrievers give their best hits; `fuse.py` makes one list of them; the
first of these are read and reranked (`rerank.py`); `choose.py` says which are shown. `explain.py`
tells the same way for every candidate.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

from allma_server.errors import InvalidArgument, ProviderError
from allma_server.model import Hit, Passage, SearchResult
from allma_server.ports import Embedder, Lexicon, Reranker, Shelf, VectorSearch
from allma_server.retrieve.choose import chosen
from allma_server.retrieve.fuse import Fused, fuse
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


@dataclass(frozen=True, slots=True)
class Sources:
    """What a search reads, and who helps it. `embedder` gives None before anything is indexed."""

    shelf: Shelf
    lexicon: Lexicon
    vectors: VectorSearch
    embedder: Callable[[], Awaitable[Embedder | None]]
    reranker: Reranker = WORDS


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a search found: all that the retrievers gave, and what was read of it in last order.

    `reranked` of the `passages`, the first ones, have the reranker's score.
    """

    query: str
    fused: list[Fused]
    passages: list[Passage]
    reranked: int
    notice: str | None


async def find_passages(query: str, k: int, scope: Scope, sources: Sources) -> SearchResult:
    """The `k` passages that match best, each from another place.

    When the embedder cannot be had, words alone are searched and the notice says so.

    Raises:
        InvalidArgument: the query is empty.
    """
    began = time.monotonic()
    ranking = await rank(query, k, scope, sources)
    passages = chosen(ranking.passages, k)
    facts = await sources.shelf.facts(passages)
    passages = await asyncio.to_thread(_mark_stale, passages, facts)
    return SearchResult(passages, ranking.notice, int((time.monotonic() - began) * 1000))


async def rank(query: str, k: int, scope: Scope, sources: Sources) -> Ranking:
    """Enough passages to choose `k` from, the best first.

    Raises:
        InvalidArgument: the query is empty.
    """
    query = query.strip()[:LONGEST_QUERY]
    if not query:
        raise InvalidArgument("The query is empty.", "Search for at least one word.")
    documents = await _documents(scope, sources.shelf)
    (dense, notice), lexical = await asyncio.gather(
        _dense(query, documents, sources),
        sources.lexicon.search_text(query, CANDIDATES, documents),
    )
    fused = fuse(dense, lexical, CANDIDATES)
    hits = [Hit(f.chunk_id, f.score) for f in fused[: max(RERANKED, k * 4 + 10)]]
    found = await sources.shelf.passages(hits)
    first = min(len(found), max(RERANKED, k))
    passages = [*await _reranked(query, found[:first], sources.reranker), *found[first:]]
    return Ranking(query, fused, passages, first, notice)


async def _documents(scope: Scope, shelf: Shelf) -> Collection[int] | None:
    if not scope.folders and not scope.glob:
        return None
    found: set[int] = set()
    for folder in scope.folders or (None,):
        found.update(await shelf.matching_documents(folder, scope.glob, None))
    return found


async def _dense(
    query: str, documents: Collection[int] | None, sources: Sources
) -> tuple[list[Hit], str | None]:
    try:
        serving = await sources.embedder()
        if serving is None:
            return [], None
        vector = await serving.embed_query(query)
    except ProviderError as exc:
        return [], f"Searched by words only: {exc}"
    return await sources.vectors.nearest(vector, CANDIDATES, documents), None


async def _reranked(query: str, passages: Sequence[Passage], reranker: Reranker) -> list[Passage]:
    """The passages in the reranker's order and with its scores."""
    scores = await reranker.rerank(query, passages)
    scored = [replace(p, score=s) for p, s in zip(passages, scores, strict=True)]
    return sorted(scored, key=lambda p: -p.score)


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
