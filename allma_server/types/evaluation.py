"""How good a search is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageScores:
    """How well one stage of the search finds what is expected; shares and means from 0 to 1.

    `first`: the first passage is expected; `hit`: one of the first `top_k` is.
    """

    stage: str
    first: float
    hit: float
    mrr: float
    ndcg: float


@dataclass(frozen=True, slots=True)
class QuestionRank:
    """The place of the first expected passage among those that were shown, None without one."""

    question: str
    rank: int | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A search measured on `questions` questions. The last of the stages is what is shown.

    `settings` are those that decide what is found. `before` is an earlier evaluation that this one
    is compared with; `better` and `worse` count the questions whose place changed since.
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
