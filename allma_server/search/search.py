"""Search: dense and lexical retrieval in parallel, fusion, rescoring, reranking, selection.

The stages, each in its own module:

1. Both retrievers return their best CANDIDATES hits; `fusion.py` merges them into one list.
2. The first RESCORE_DEPTH passages are read and rescored by their words (`rescoring.py`) and by
   their similarity to the best ones (`feedback.py`), and raised where the query asks for a place
   (`places.py`).
3. If the settings name a reranker, it reorders the first RERANK_DEPTH of them.
4. `select.py` decides which passages are shown.

`explain.py` reports the same stages for every candidate.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from allma_server.errors import AllmaError, InvalidArgument, ProviderError
from allma_server.ports import Embedder, FullTextIndex, PassageStore, Reranker, VectorSearch
from allma_server.search.definitions import is_of_code
from allma_server.search.feedback import QUESTION_FEEDBACK, TOPIC_FEEDBACK, centroid_similarity
from allma_server.search.fusion import (
    Fused,
    dense_weight,
    fuse,
    lexical_evidence,
    similarity_unit,
)
from allma_server.search.headings import lower_inherited
from allma_server.search.places import raise_places, sought_names
from allma_server.search.query_type import code_share, is_question
from allma_server.search.rescoring import rescore
from allma_server.search.script_knowledge import ScriptKnowledge
from allma_server.search.select import (
    SCORE_THRESHOLD,
    Selection,
    prefer_originals,
    select_passages,
)
from allma_server.search.staleness import mark_stale
from allma_server.types import DocumentSet, Hit, NoticeCode, Passage, SearchResult, Separation

CANDIDATES = 100
"""Hits requested from each retriever."""

RESCORE_DEPTH = 30
"""Passages that are read and rescored; 50 take longer and rank no better."""

RERANK_DEPTH = 20
"""Passages given to the configured reranker, whose model needs time for each of them."""

MAX_SOUGHT = 10
"""Beginnings of files that are read because of their names, the nearest to the top."""

MAX_QUERY_LENGTH = 4000
"""Characters of a query that are used; neither retriever benefits from more."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to search: folders (empty: everything indexed) and a glob for the paths in them."""

    folders: tuple[str, ...] = ()
    glob: str | None = None

    @property
    def globs(self) -> tuple[str, ...]:
        return (self.glob,) if self.glob else ()


@dataclass(frozen=True, slots=True)
class Sources:
    """The ports that a search uses.

    `embedder` and `separation` return None before anything is indexed. `scripts` remembers which
    scripts the embedder knows. `lacks_vectors` tells whether some are still to be made. `reranker`
    reorders the best passages and is given up after `rerank_seconds`; None if the settings name
    none.
    """

    passages: PassageStore
    full_text: FullTextIndex
    vectors: VectorSearch
    embedder: Callable[[], Awaitable[Embedder | None]]
    separation: Callable[[], Awaitable[Separation | None]]
    scripts: ScriptKnowledge
    lacks_vectors: Callable[[], bool]
    reranker: Reranker | None = None
    rerank_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class DenseHits:
    """The nearest chunks, best first, or why the embedder is unavailable.

    `knowledge`: how well the embedder knows the query's language, from 0 to 1. `unit`: that of its
    cosines (`fusion.similarity_unit`).
    """

    hits: list[Hit]
    knowledge: float = 1.0
    unit: float = 1.0
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """The candidates of a search after each stage.

    `fused` has all of them. `rescored` and then `remaining` are the passages that were read, the
    former sorted by their new score; secrets in them are not masked. `rerank_scores` has the
    reranker's score of each of the first rescored passages; None if there is no reranker or it was
    skipped. `knowledge` says how well the embedder knows the query's language, from 0 to 1: the
    dense scores count as much. `similar`: terms of the query that nothing contains, for which
    similar words were searched. `found`: what retrieval found in each candidate.
    """

    query: str
    fused: list[Fused]
    rescored: list[Passage]
    remaining: list[Passage]
    rerank_scores: list[float] | None
    notice: str | None
    notice_code: NoticeCode | None
    knowledge: float = 1.0
    similar: tuple[str, ...] = ()
    found: Mapping[int, float] = field(default_factory=dict[int, float])

    def select(self, k: int) -> list[Selection]:
        """Return at most `k` passages to show."""
        return select_passages(self.passages, k, threshold=self.threshold, found=self.found)

    @property
    def threshold(self) -> float:
        """The share of the best score that a passage must reach to be shown."""
        return SCORE_THRESHOLD if len(self.fused) >= CANDIDATES else 0.0

    @property
    def passages(self) -> list[Passage]:
        """All passages that were read, in their final order.

        A reranker's scores have a unit of their own, so it only changes the order: the passage at
        each rank takes over the score of the passage that had this rank before.
        """
        rerank_scores = self.rerank_scores or []
        order = sorted(range(len(rerank_scores)), key=lambda index: -rerank_scores[index])
        first = [
            replace(self.rescored[index], score=former.score)
            for index, former in zip(order, self.rescored, strict=False)
        ]
        return [*first, *self.rescored[len(rerank_scores) :], *self.remaining]


async def find_passages(query: str, k: int, scope: Scope, sources: Sources) -> SearchResult:
    """Return the passages that match best: at most `k`, distinct and above the score threshold.

    If the embedder is unavailable, only the full-text index is searched and the notice says so.

    Raises:
        InvalidArgument: the query is empty.
    """
    began = time.monotonic()
    ranking = await rank_passages(query, k, scope, sources)
    selected = ranking.select(k)
    facts, passages = await asyncio.gather(
        sources.passages.facts([each.passage for each in selected]),
        asyncio.gather(*(_with_neighbour(each, sources.passages) for each in selected)),
    )
    passages = await mark_stale(passages, facts)
    milliseconds = int((time.monotonic() - began) * 1000)
    return SearchResult(passages, ranking.notice, milliseconds, ranking.notice_code)


async def rank_passages(query: str, k: int, scope: Scope, sources: Sources) -> Ranking:
    """Return enough ranked passages to select `k` from.

    Raises:
        InvalidArgument: the query is empty.
    """
    query = query.strip()[:MAX_QUERY_LENGTH]
    if not query:
        raise InvalidArgument("The query is empty.", "Search for at least one word.")
    documents = await _documents_in(scope, sources.passages)
    dense, words, sought = await asyncio.gather(
        _search_dense(query, documents, sources),
        sources.full_text.search_text(query, CANDIDATES, documents),
        _sought_chunks(query, documents, sources),
    )
    without = await _without_vectors(words.hits, sources) if dense.hits else set[int]()
    fused = fuse(dense.hits, words.hits, CANDIDATES, dense.knowledge, dense.unit, without)
    # A definition may be far below its callers.
    depth = max(CANDIDATES if is_of_code(query) else RESCORE_DEPTH, k)
    fused, depth = _with_sought(fused, depth, sought)
    hits = [Hit(f.chunk_id, f.score) for f in fused[: max(depth, k * 4 + 10)]]
    read = await sources.passages.candidates(hits)
    rescored, found = await _rescore(query, read[:depth], fused, dense, sources)
    ordered = prefer_originals(query, [*rescored, *read[depth:]])
    rescored, remaining = ordered[: len(rescored)], ordered[len(rescored) :]
    rerank_scores, skipped = await _rerank(query, rescored[:RERANK_DEPTH], sources)
    code: NoticeCode | None = "full_text_down" if words.notice else None
    if dense.notice:
        code = "embedder_unavailable"
    notice = " ".join(filter(None, (dense.notice, words.notice, skipped))) or None
    return Ranking(
        query,
        fused,
        rescored,
        remaining,
        rerank_scores,
        notice,
        code,
        dense.knowledge,
        words.similar,
        found,
    )


async def _without_vectors(hits: Sequence[Hit], sources: Sources) -> set[int]:
    """Return which of these chunks have no vector yet."""
    if not sources.lacks_vectors():
        return set()
    ids = {hit.chunk_id for hit in hits}
    return ids - (await sources.vectors.vectors_of(ids)).keys()


async def _sought_chunks(query: str, documents: DocumentSet | None, sources: Sources) -> list[int]:
    """Return the beginnings of the files that the query asks for by their place."""
    names = sought_names(query)
    if not names:
        return []
    named = await sources.full_text.documents_named(names, documents)
    return await sources.passages.first_chunks(named, MAX_SOUGHT) if named else []


def _with_sought(
    fused: Sequence[Fused], depth: int, sought: Collection[int]
) -> tuple[list[Fused], int]:
    """Return the candidates with the sought ones among those to rescore, and how many those are."""
    if not sought:
        return list(fused), depth
    found = {f.chunk_id for f in fused}
    raised = [f for f in fused[depth:] if f.chunk_id in sought]
    raised += [Fused(chunk_id, 0.0, 0.0) for chunk_id in sought if chunk_id not in found]
    others = [f for f in fused[depth:] if f.chunk_id not in sought]
    return [*fused[:depth], *raised, *others], len(fused[:depth]) + len(raised)


async def _with_neighbour(selected: Selection, passages: PassageStore) -> Passage:
    if selected.neighbour is None:
        return passages.shown(selected.passage)
    return await passages.joined(selected.passage, selected.neighbour)


async def _documents_in(scope: Scope, passages: PassageStore) -> DocumentSet | None:
    """Return the documents in a scope; None if it is everything."""
    if not scope.folders and not scope.glob:
        return None
    return await passages.select_documents(scope.folders, scope.globs)


async def _search_dense(query: str, documents: DocumentSet | None, sources: Sources) -> DenseHits:
    try:
        embedder = await sources.embedder()
        while embedder is not None:
            vector = await embedder.embed_query(query)
            # If another embedder took over meanwhile, this vector does not fit the index.
            former, embedder = embedder, await sources.embedder()
            if embedder is former:
                break
        else:
            return DenseHits([])
    except ProviderError as exc:
        return DenseHits([], notice=f"Keyword search only: {exc}")
    nearest, knowledge = await asyncio.gather(
        sources.vectors.nearest(vector, CANDIDATES, documents),
        sources.scripts.of_text(query, former),
    )
    return DenseHits(nearest, knowledge, similarity_unit(await sources.separation()))


async def _rescore(
    query: str,
    passages: Sequence[Passage],
    fused: Sequence[Fused],
    dense: DenseHits,
    sources: Sources,
) -> tuple[list[Passage], dict[int, float]]:
    """Return the passages with new scores, best first, and what retrieval found in each candidate.

    Their fused score, with the dense weight that fits the query and the texts, plus what their
    words and their similarity to the best passages add; lower where only headings have the words,
    and raised at the right place.
    """
    code = code_share(passages)
    best_bm25 = max((f.lexical or 0.0 for f in fused), default=0.0)
    weight, evidence = dense_weight(query, code, best_bm25), lexical_evidence(best_bm25)
    weighted = {f.chunk_id: f.score_with(weight) for f in fused}
    passages = [replace(passage, score=weighted[passage.chunk_id]) for passage in passages]
    scores, vectors = await asyncio.gather(
        asyncio.to_thread(rescore, query, passages, code, evidence),
        sources.vectors.vectors_of([passage.chunk_id for passage in passages]),
    )
    similarities = centroid_similarity(scores, [vectors.get(p.chunk_id) for p in passages])
    feedback = QUESTION_FEEDBACK if is_question(query) else TOPIC_FEEDBACK
    feedback *= evidence * (1 - code) * dense.knowledge / dense.unit
    rescored = [
        replace(passage, score=score + feedback * similarity)
        for passage, score, similarity in zip(passages, scores, similarities, strict=True)
    ]
    rescored = await asyncio.to_thread(lower_inherited, query, rescored)
    return sorted(raise_places(query, rescored), key=lambda p: -p.score), weighted


async def _rerank(
    query: str, passages: Sequence[Passage], sources: Sources
) -> tuple[list[float] | None, str | None]:
    """Return the reranker's scores, or None and, if there is a reranker, why it was skipped."""
    reranker = sources.reranker
    if reranker is None or not passages:
        return None, None
    try:
        async with asyncio.timeout(sources.rerank_seconds):
            shown = [sources.passages.shown(passage) for passage in passages]
            return await reranker.rerank(query, shown), None
    except TimeoutError:
        reason = f"it took longer than rerank_seconds ({sources.rerank_seconds:g})."
    except AllmaError as exc:
        reason = str(exc)
    return None, f"Reranking by {reranker.name} was skipped: {reason}"
