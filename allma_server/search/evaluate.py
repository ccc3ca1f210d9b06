"""Evaluate search on questions with known answers: hit rate, MRR and nDCG after each stage.

- hit@k: the share of questions for which an expected passage is among the first k.
- MRR: the mean of 1 / rank of the first expected passage; 0 where none is found.
- nDCG (Järvelin and Kekäläinen, 2002): how high all expected passages are ranked, relative to an
  ideal order. Each expected passage counts once, at the first rank that matches it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from statistics import fmean

from allma_server.search.fusion import Fused
from allma_server.search.questions import Expected, Question
from allma_server.search.search import Scope, Sources, rank_passages
from allma_server.search.select import deduplicate
from allma_server.types import Hit, Passage, StageScores


@dataclass(frozen=True, slots=True)
class Measures:
    """How well one list matches what is expected.

    `rank` is that of the first expected passage, from 1; None if the list contains none.
    """

    rank: int | None
    ndcg: float


@dataclass(frozen=True, slots=True)
class EvaluatedQuestion:
    """A question with the measures of each stage, in their order.

    The last stage is what a search shows. The others are the first `k` distinct passages.
    """

    question: Question
    stages: Mapping[str, Measures]
    notice: str | None

    @property
    def shown(self) -> Measures:
        return list(self.stages.values())[-1]


async def evaluate_question(
    question: Question, k: int, scope: Scope, sources: Sources
) -> EvaluatedQuestion:
    """Search for a question and measure the first `k` passages after each stage.

    Raises:
        InvalidArgument: the question is empty.
    """
    ranking = await rank_passages(question.text, k, scope, sources)
    hits = [Hit(f.chunk_id, f.score) for f in ranking.fused]
    passages = {p.chunk_id: p for p in await sources.passages.candidates(hits)}

    def in_order(candidates: Sequence[Fused]) -> list[Passage]:
        return [passages[f.chunk_id] for f in candidates if f.chunk_id in passages]

    dense = [f for f in ranking.fused if f.dense_rank is not None]
    lexical = [f for f in ranking.fused if f.lexical_rank is not None]
    orders = {
        "dense": in_order(sorted(dense, key=lambda f: f.dense_rank or 0)),
        "lexical": in_order(sorted(lexical, key=lambda f: f.lexical_rank or 0)),
        "fused": in_order(ranking.fused),
        "rescored": [*ranking.rescored, *ranking.remaining],
    }
    if ranking.rerank_scores is not None:
        orders["reranked"] = ranking.passages
    stages = {
        name: measure([[passage] for passage in deduplicate(order, k)], question.expected)
        for name, order in orders.items()
    }
    shown = [[s.passage, s.neighbour] if s.neighbour else [s.passage] for s in ranking.select(k)]
    stages["shown"] = measure(shown, question.expected)
    return EvaluatedQuestion(question, stages, ranking.notice)


def measure(found: Sequence[Sequence[Passage]], expected: Sequence[Expected]) -> Measures:
    """Return how well what was found matches what is expected.

    Args:
        found: at each rank one passage, or two that are shown as one.
        expected: at least one.
    """
    first: dict[int, int] = {}
    for rank, passages in enumerate(found, start=1):
        for index, each in enumerate(expected):
            if index not in first and any(map(each.matches, passages)):
                first[index] = rank
    gain = sum(1 / log2(rank + 1) for rank in first.values())
    ideal = sum(1 / log2(rank + 1) for rank in range(1, len(expected) + 1))
    # A passage that matches several at once beats the ideal order, which has one at each rank.
    return Measures(min(first.values(), default=None), min(1.0, gain / ideal))


def mean_scores(questions: Sequence[EvaluatedQuestion]) -> list[StageScores]:
    """Return the means of each stage over all questions that have it."""
    names = list(dict.fromkeys(name for each in questions for name in each.stages))
    return [
        _means(name, [each.stages[name] for each in questions if name in each.stages])
        for name in names
    ]


def _means(stage: str, measures: Sequence[Measures]) -> StageScores:
    return StageScores(
        stage=stage,
        first=fmean(m.rank == 1 for m in measures),
        hit=fmean(m.rank is not None for m in measures),
        mrr=fmean(1 / m.rank if m.rank else 0.0 for m in measures),
        ndcg=fmean(m.ndcg for m in measures),
    )
