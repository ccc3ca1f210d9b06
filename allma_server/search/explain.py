"""Tell how a search came to its passages: every candidate's way through the lists."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from allma_server._internal.tokens import query_terms
from allma_server.search.fusion import Fused
from allma_server.search.search import Ranking, Scope, Sources, rank
from allma_server.search.select import choose
from allma_server.types import Candidate, Explanation, Hit, Passage, RankedScore

BEGINNING = 160
"""Characters of a candidate's text: enough to recognise it."""


async def explain_passages(query: str, k: int, scope: Scope, sources: Sources) -> Explanation:
    """What `find_passages` would do with this query, with the standings of all candidates.

    Raises:
        InvalidArgument: the query is empty.
    """
    began = time.monotonic()
    ranking = await rank(query, k, scope, sources)
    read = {passage.chunk_id for passage in ranking.passages}
    rest = [Hit(f.chunk_id, f.score) for f in ranking.fused if f.chunk_id not in read]
    unread = await sources.passages.passages(rest)
    terms = query_terms(ranking.query)
    return Explanation(
        query=ranking.query,
        terms=list(terms.terms or terms.stops),
        phrases=[" ".join(phrase) for phrase in terms.phrases],
        stop_words=list(terms.stops) if terms.terms else [],
        candidates=list(_candidates(ranking, unread, k)),
        reranker=sources.judge.name if sources.judge else None,
        notice=ranking.notice,
        notice_code=ranking.notice_code,
        retrieval_ms=int((time.monotonic() - began) * 1000),
    )


def _candidates(ranking: Ranking, unread: Sequence[Passage], k: int) -> Iterator[Candidate]:
    fused = {f.chunk_id: (place, f) for place, f in enumerate(ranking.fused, start=1)}
    reranked = {
        passage.chunk_id: RankedScore(place, passage.score)
        for place, passage in enumerate(ranking.reranked, start=1)
    }
    judgement = dict(zip(reranked, ranking.judgement or (), strict=False))
    choices = choose(ranking.passages, k, bar=ranking.bar)
    for place, choice in enumerate(choices, start=1):
        chunk_id = choice.passage.chunk_id
        score = judgement.get(chunk_id)
        yield Candidate(
            _beginning(choice.passage),
            *_standings(*fused[chunk_id]),
            reranked.get(chunk_id),
            None if score is None else RankedScore(place, score),
            choice.outcome,
            choice.other.chunk_id if choice.other else None,
        )
    for passage in unread:
        standings = _standings(*fused[passage.chunk_id])
        yield Candidate(_beginning(passage), *standings, None, None, "not_rescored")


def _standings(
    place: int, fused: Fused
) -> tuple[RankedScore | None, RankedScore | None, RankedScore]:
    return (
        _standing(fused.dense_rank, fused.dense),
        _standing(fused.lexical_rank, fused.lexical),
        RankedScore(place, fused.score),
    )


def _standing(place: int | None, score: float | None) -> RankedScore | None:
    return None if place is None or score is None else RankedScore(place, score)


def _beginning(passage: Passage) -> Passage:
    text = " ".join(passage.text.split())
    return replace(passage, text=text if len(text) <= BEGINNING else text[:BEGINNING] + " …")
