"""Measure on the user's documents how well a model tells whether passages answer a question.

The questions are the model's own about the documents. With the passages that a search finds they
can be answered; without the passages of their document, or asked of another folder, they cannot.
The error rates are those of each half by the threshold that is chosen on the other half; the
threshold in use is chosen on all questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from allma_server.answering.answer_model import AnswerModel
from allma_server.answering.gate import Calibration, ask_answerable
from allma_server.answering.prompts import build_prompt
from allma_server.answering.yes_or_no import may_be_decided
from allma_server.types import Passage

MAX_WRONGLY = 0.2
"""Share of the answerable questions that a threshold may refuse, where it is chosen.

People's are easier than a model's own, of which some are vague or assume what is not said: of 17 by
a model of 1.5 billion parameters, the threshold that refuses 3 refuses 1 of 31 of the people's and
27 of their 31 unanswerable ones; one that may refuse only 2 refuses none and 17. With a model of
half a billion, 3 of 17 mean 4 of 30 and 19 of 30; 2 of them the same 4, and 13.
"""

MAX_THRESHOLD = 0.8
"""Most that a threshold may be. Of 119 questions of people, a model of 1.5 billion parameters
refuses 82 % of those without an answer and 4 % of the others there; at .6, 72 % and 2 %; at .9,
89 % and 12 %."""

MIN_AUC = 0.9
"""Below, no gate is used, because a model tells its own questions apart better than those of
people: where it reaches .98 on its own, it has .94 on theirs. With a former prompt, a model of half
a billion parameters with .88 had .76 and refused 23 % of the answerable ones; with .78, on
paragraphs of SQuAD, one of 1.5 billion refused 20 % of them."""

MIN_REFUSED = 0.3
"""A gate that refuses a smaller share of the unanswerable questions is not worth its token."""

MAX_WRONGLY_MEASURED = 0.25
MIN_QUESTIONS = 8
"""Of each kind, without which nothing is concluded."""


@dataclass(frozen=True, slots=True)
class Probability:
    """What a model said to a question, and whether the passages contained the answer."""

    value: float
    is_answerable: bool


async def measure_probability(
    model: AnswerModel, question: str, passages: Sequence[Passage], *, is_answerable: bool
) -> Probability | None:
    """Ask a model whether passages answer a question; None if its first word does not tell.

    None too for a question that the gate leaves to a sentence.

    Raises:
        ProviderUnreachable: the provider does not answer.
    """
    if may_be_decided(question, passages):
        return None
    prompt = build_prompt(question, [], passages, model.prompt_tokens)
    value = await ask_answerable(question, model, prompt)
    return None if value is None else Probability(value, is_answerable)


def calibrate(
    model: AnswerModel, digest: str | None, measured: Sequence[Probability]
) -> Calibration:
    """Return the threshold for a model, None if it cannot tell; and how good it is."""
    positive = [each.value for each in measured if each.is_answerable]
    negative = [each.value for each in measured if not each.is_answerable]
    auc = area_under_curve(positive, negative)
    refused, wrongly = _error_rates(positive, negative)
    is_useful = (
        min(len(positive), len(negative)) >= MIN_QUESTIONS
        and auc >= MIN_AUC
        and refused >= MIN_REFUSED
        and wrongly <= MAX_WRONGLY_MEASURED
    )
    return Calibration(
        model=model.name,
        modified_at=model.modified_at,
        digest=digest,
        threshold=round(choose_threshold(positive, negative), 3) if is_useful else None,
        auc=round(auc, 3),
        refused=round(refused, 3),
        wrongly=round(wrongly, 3),
        questions=len(positive) + len(negative),
    )


def _error_rates(positive: Sequence[float], negative: Sequence[float]) -> tuple[float, float]:
    """Return the shares of the unanswerable and of the answerable questions that are refused.

    Each half is judged by a threshold that has not seen it.
    """
    refused = wrongly = 0
    for half in (0, 1):
        threshold = choose_threshold(positive[1 - half :: 2], negative[1 - half :: 2])
        refused += sum(value <= threshold for value in negative[half::2])
        wrongly += sum(value <= threshold for value in positive[half::2])
    return refused / max(1, len(negative)), wrongly / max(1, len(positive))


def choose_threshold(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Return the threshold that refuses most unanswerable questions within `MAX_WRONGLY`.

    It lies in the middle between the highest probability that is refused and the lowest one that is
    not, so that a question just beyond those measured is decided by the nearer side.
    """
    allowed = int(MAX_WRONGLY * len(positive))
    limit = sorted(positive)[allowed] if positive else 0.0
    below = max((value for value in negative if value < limit), default=0.0)
    return min(MAX_THRESHOLD, (below + limit) / 2)


def area_under_curve(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Return the chance that an answerable question gets a higher probability than another."""
    pairs = [(p > n) + (p == n) / 2 for p in positive for n in negative]
    return sum(pairs) / len(pairs) if pairs else 0.0
