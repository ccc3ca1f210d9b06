"""Results of evaluating search."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageScores:
    """How well one stage of the search finds what is expected, from 0 to 1.

    `first`: share of questions whose first passage is expected; `hit`: one of the first `top_k` is.
    `mrr`, `ndcg`: means over all questions.
    """

    stage: str
    first: float
    hit: float
    mrr: float
    ndcg: float


@dataclass(frozen=True, slots=True)
class QuestionRank:
    """The rank of the first expected passage among those shown; None if there is none."""

    question: str
    rank: int | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation of search on `questions` questions. The last of the stages is what is shown.

    `settings`: those that affect the results. `before`: an earlier evaluation to compare with;
    `better` and `worse` count the questions whose rank changed.
    """

    questions: int
    top_k: int
    stages: list[StageScores]
    ranks: list[QuestionRank]
    settings: dict[str, str]
    search_ms: int
    before: "Evaluation | None" = None
    better: int = 0
    worse: int = 0
    notice: str | None = None
