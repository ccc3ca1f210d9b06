"""Measure a search on questions whose answers are known: hit, MRR and nDCG of each of its stages.

- hit: the share of questions for which something expected is among the first k passages.
- MRR: the mean of 1 / place of the first such passage; 0 where there is none.
- nDCG (Järvelin and Kekäläinen, 2002): how high all that is expected stands, against an ideal
  order. Each of what is expected counts once, at the first passage that meets it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from statistics import fmean

from allma_server.search.fusion import Fused
from allma_server.search.questions import Expected, Question
from allma_server.search.search import Scope, Sources, rank
from allma_server.search.select import chosen, distinct
from allma_server.types import Hit, Passage, StageScores


@dataclass(frozen=True, slots=True)
class Outcome:
    """How well one list of passages meets what is expected. `place`: of the first that does."""

    place: int | None
    ndcg: float


@dataclass(frozen=True, slots=True)
class Searched:
    """One question's outcome by stage, in their order; the last one is what a search shows.

    The others have the first `k` passages of an order, without those that say the same.
    """

    question: Question
    stages: Mapping[str, Outcome]
    notice: str | None

    @property
    def shown(self) -> Outcome:
        return list(self.stages.values())[-1]


async def searched(question: Question, k: int, scope: Scope, sources: Sources) -> Searched:
    """Searches for a question, and judges the first `k` passages of each stage.

    Raises:
        InvalidArgument: the question is empty.
    """
    ranking = await rank(question.text, k, scope, sources)
    hits = [Hit(f.chunk_id, f.score) for f in ranking.fused]
    passages = {p.chunk_id: p for p in await sources.passages.passages(hits)}

    def listed(found: Sequence[Fused]) -> list[Passage]:
        return [passages[f.chunk_id] for f in found if f.chunk_id in passages]

    dense = [f for f in ranking.fused if f.dense_rank is not None]
    lexical = [f for f in ranking.fused if f.lexical_rank is not None]
    orders = {
        "dense": listed(sorted(dense, key=lambda f: f.dense_rank or 0)),
        "lexical": listed(sorted(lexical, key=lambda f: f.lexical_rank or 0)),
        "fused": listed(ranking.fused),
        "rescored": [*ranking.reranked, *ranking.unranked],
    }
    if ranking.judgement is not None:
        orders["reranked"] = ranking.passages
    stages = {
        name: outcome([[passage] for passage in distinct(order, k)], question.expected)
        for name, order in orders.items()
    }
    shown = [
        [c.passage, c.neighbour] if c.neighbour else [c.passage]
        for c in chosen(ranking.passages, k, bar=ranking.bar)
    ]
    stages["shown"] = outcome(shown, question.expected)
    return Searched(question, stages, ranking.notice)


def outcome(found: Sequence[Sequence[Passage]], expected: Sequence[Expected]) -> Outcome:
    """How well what was found meets what is expected; a place is held by one or more passages."""
    first: dict[int, int] = {}
    for place, passages in enumerate(found, start=1):
        for index, each in enumerate(expected):
            if index not in first and any(map(each.met_by, passages)):
                first[index] = place
    gain = sum(1 / log2(place + 1) for place in first.values())
    ideal = sum(1 / log2(place + 1) for place in range(1, len(expected) + 1))
    # One passage may meet several at once, which is better than an order of one each.
    return Outcome(min(first.values(), default=None), min(1.0, gain / ideal))


def scores(found: Sequence[Searched]) -> list[StageScores]:
    """The means of each stage over all questions that have it."""
    names = list(dict.fromkeys(name for each in found for name in each.stages))
    return [
        _means(name, [each.stages[name] for each in found if name in each.stages]) for name in names
    ]


def _means(name: str, outcomes: Sequence[Outcome]) -> StageScores:
    return StageScores(
        stage=name,
        first=fmean(o.place == 1 for o in outcomes),
        hit=fmean(o.place is not None for o in outcomes),
        mrr=fmean(1 / o.place if o.place else 0.0 for o in outcomes),
        ndcg=fmean(o.ndcg for o in outcomes),
    )
