"""Explain a search: the rank and score of every candidate after each stage."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from allma_server._internal.tokens import query_terms
from allma_server.ports import PassageStore
from allma_server.search.fusion import Fused
from allma_server.search.headings import only_inherits
from allma_server.search.places import place_of
from allma_server.search.query_type import code_share
from allma_server.search.search import Ranking, Scope, Sources, rank_passages
from allma_server.search.select import decide
from allma_server.types import Candidate, Explanation, Hit, Passage, RankedScore

SNIPPET_LENGTH = 160
"""Characters shown of a candidate's text: enough to recognise it."""


async def explain_passages(query: str, k: int, scope: Scope, sources: Sources) -> Explanation:
    """Return what `find_passages` does with this query, with every candidate's ranks and scores.

    Raises:
        InvalidArgument: the query is empty.
    """
    began = time.monotonic()
    ranking = await rank_passages(query, k, scope, sources)
    read = {passage.chunk_id for passage in ranking.passages}
    remaining = [Hit(f.chunk_id, f.score) for f in ranking.fused if f.chunk_id not in read]
    unread = await sources.passages.passages(remaining)
    terms = query_terms(ranking.query)
    return Explanation(
        query=ranking.query,
        terms=list(terms.terms or terms.stop_words),
        phrases=[" ".join(phrase) for phrase in terms.phrases],
        stop_words=list(terms.stop_words) if terms.terms else [],
        candidates=list(_candidates(ranking, unread, k, sources.passages)),
        reranker=sources.reranker.name if sources.reranker else None,
        notice=ranking.notice,
        notice_code=ranking.notice_code,
        knowledge=round(ranking.knowledge, 2),
        retrieval_ms=int((time.monotonic() - began) * 1000),
        prefixes=list(terms.prefixes),
        similar=list(ranking.similar),
        code=round(code_share(ranking.rescored), 2),
    )


def _candidates(
    ranking: Ranking, unread: Sequence[Passage], k: int, store: PassageStore
) -> Iterator[Candidate]:
    fused = {f.chunk_id: (rank, f) for rank, f in enumerate(ranking.fused, start=1)}
    rescored = {
        passage.chunk_id: RankedScore(rank, passage.score)
        for rank, passage in enumerate(ranking.rescored, start=1)
    }
    rerank_scores = dict(zip(rescored, ranking.rerank_scores or (), strict=False))
    decisions = decide(ranking.passages, k, threshold=ranking.threshold, found=ranking.found)
    for rank, decision in enumerate(decisions, start=1):
        chunk_id = decision.passage.chunk_id
        score = rerank_scores.get(chunk_id)
        yield Candidate(
            _shorten(store.shown(decision.passage)),
            *_retrieval_scores(*fused[chunk_id]),
            rescored.get(chunk_id),
            None if score is None else RankedScore(rank, score),
            decision.outcome,
            decision.other.chunk_id if decision.other else None,
            place_of(ranking.query, decision.passage)[1] if chunk_id in rescored else "",
            only_inherits(ranking.query, decision.passage),
        )
    for passage in unread:
        scores = _retrieval_scores(*fused[passage.chunk_id])
        yield Candidate(_shorten(passage), *scores, None, None, "not_rescored")


def _retrieval_scores(
    rank: int, fused: Fused
) -> tuple[RankedScore | None, RankedScore | None, RankedScore]:
    """Return the dense, the lexical and the fused rank and score."""
    return (
        _ranked_score(fused.dense_rank, fused.dense),
        _ranked_score(fused.lexical_rank, fused.lexical),
        RankedScore(rank, fused.score),
    )


def _ranked_score(rank: int | None, score: float | None) -> RankedScore | None:
    return None if rank is None or score is None else RankedScore(rank, score)


def _shorten(passage: Passage) -> Passage:
    text = " ".join(passage.text.split())
    if len(text) > SNIPPET_LENGTH:
        text = text[:SNIPPET_LENGTH] + " …"
    return replace(passage, text=text)
