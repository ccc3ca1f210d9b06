"""Ask the model, before it answers, for the first word of a short answer or "unknown": one token.

A small model seldom refuses when it writes, but how sure it is of that word tells questions with an
answer in the passages from those without. So do two signals of the search, which tell other things:
the share of the question's words that the best passage has, and how far its score leads the next
passage's, since one with the answer stands out, and those that are only about the subject are much
alike. With a model of 1.5 billion parameters, the chance that an answerable question scores higher
is .918 by the word alone, .932 with the share and .937 with the lead, for 119 questions of
`tests/benchmarks/answers/sets`. The question is repeated after the instruction: without that, to
refuse 84 % of the unanswerable ones costs 8 % of the others, with it 82 % cost 4 %. Other wordings
tell less: to quote a source, or, on 29 of the questions, "exactly this" and an example. So do "yes"
or "no" instead of the word (Kadavath et al., 2022: P(True)), and the number of the source.

The instruction ends the same prompt as the answer's, so the provider reads the passages once. Where
the boundary lies differs between models: see `calibration.py`. Without a calibration, or where a
model cannot tell, no token is asked for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from allma_server._internal.tokens import STOP_WORDS
from allma_server.answering.answer_model import AnswerModel
from allma_server.answering.evidence import content_words
from allma_server.answering.prompts import Prompt
from allma_server.answering.yes_or_no import may_be_decided
from allma_server.errors import ProviderError, ProviderUnreachable, Unsupported
from allma_server.ports import SettingsStore
from allma_server.types import GateStats, Passage

SETTING = "first_word_of_repeated_question"
"""The stored calibrations, by the names of their models. It changes with the prompt of the gate,
for what was measured with another one does not hold."""

MIN_MASS = 0.2
"""Probability that the words which say something must have together with "unknown"."""

USUAL_SHARE = 0.7
"""Share of a question's words that the best passage has: with more of them an answer is likelier,
with fewer less likely."""

LEAST_SHARE = 0.4
"""A smaller share counts as this one: the question may be in another language than the passage."""

SHARE_WEIGHT = 5.0
"""By which the share changes the log odds; 4 to 6 give nearly the same."""

USUAL_LEAD = 30.0
"""BM25 points by which the best passage leads the next: the median is 44 where there is an answer,
and 24 where there is none."""

LEAD_WEIGHT = 0.05
"""By which a point of the lead changes the log odds; .03 to .06 give nearly the same."""

SMOOTHING = 2
"""Usual words that are added to those of a question, for the share of few words says little."""

_UNKNOWN = "unknown"
_OPENINGS = STOP_WORDS - {"no"}
"""Words that any sentence may begin with: they do not tell whether the answer follows."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well a model tells whether passages answer a question, measured on the user's documents.

    `modified_at` and `digest`: of the model that was measured. `threshold`: up to this probability
    an answer is refused; None if the model cannot tell. `auc`: the chance that a question with an
    answer gets a higher probability than one without. `refused` and `wrongly`: the shares of
    questions without and with an answer that are refused, by thresholds that were chosen on others.
    `questions`: how many were asked.
    """

    model: str
    modified_at: str | None
    digest: str | None
    threshold: float | None
    auc: float
    refused: float
    wrongly: float
    questions: int


_CALIBRATIONS = TypeAdapter(dict[str, Calibration])


async def load_calibrations(settings: SettingsStore) -> dict[str, Calibration]:
    """Return the stored calibrations by model; empty if there are none or they are damaged."""
    try:
        return _CALIBRATIONS.validate_json(await settings.get_setting(SETTING) or "{}")
    except ValidationError:
        return {}


async def save_calibration(settings: SettingsStore, calibration: Calibration) -> None:
    """Store a calibration in place of the model's earlier one."""
    known = await load_calibrations(settings)
    known[calibration.model] = calibration
    await settings.set_setting(SETTING, _CALIBRATIONS.dump_json(known).decode())


async def check_answerable(
    question: str, model: AnswerModel, prompt: Prompt, settings: SettingsStore
) -> GateStats | None:
    """Return whether the model should answer; None if it was not asked, or did not say.

    It is not asked a question for a yes or no that a sentence may decide: a small model is sure of
    neither word, and "unknown" is as likely.

    Raises:
        ProviderUnreachable: the provider does not answer.
    """
    calibration = (await load_calibrations(settings)).get(model.name)
    if calibration is None or calibration.threshold is None or not prompt.passages:
        return None
    if calibration.modified_at != model.modified_at:
        return None
    if may_be_decided(question, prompt.passages):
        return None
    probability = await ask_answerable(question, model, prompt)
    if probability is None:
        return None
    threshold = calibration.threshold
    return GateStats(round(probability, 3), threshold, probability <= threshold)


async def ask_answerable(question: str, model: AnswerModel, prompt: Prompt) -> float | None:
    """Return the probability that the passages contain the answer, by the model and their words.

    None if its first word does not tell, or the provider reports no probabilities.

    Raises:
        ProviderUnreachable: the provider does not answer.
    """
    try:
        probability = probability_of_answer(await model.next_token(prompt.gate))
    except ProviderUnreachable:
        raise
    except (ProviderError, Unsupported):
        return None
    if probability is None:
        return None
    share, lead = share_of_words(question, prompt.passages), lead_of_best(prompt.passages)
    return adjust(probability, share, lead)


def probability_of_answer(tokens: Mapping[str, float]) -> float | None:
    """Return the probability of the likeliest first word against that of "unknown".

    Not of all words together: a model that guesses spreads its guesses over many.

    Args:
        tokens: the likeliest first tokens with their probabilities. None is returned if nearly all
            of them may begin any sentence.
    """
    words: dict[str, float] = {}
    for token, share in tokens.items():
        word = token.strip().strip("*\"'`.").lower()
        # The token may be a piece of the word.
        word = _UNKNOWN if len(word) > 1 and _UNKNOWN.startswith(word) else word
        if word and word not in _OPENINGS:
            words[word] = words.get(word, 0.0) + share
    unknown = words.pop(_UNKNOWN, 0.0)
    if sum(words.values()) + unknown < MIN_MASS:
        return None
    likeliest = max(words.values(), default=0.0)
    return likeliest / (likeliest + unknown)


def share_of_words(question: str, passages: Sequence[Passage]) -> float:
    """Return the share of a question's words that the best passage has, from 0 to 1, smoothed."""
    words = content_words(question)
    most = max((len(words & content_words(passage.text)) for passage in passages), default=0)
    return (most + USUAL_SHARE * SMOOTHING) / (len(words) + SMOOTHING)


def lead_of_best(passages: Sequence[Passage]) -> float:
    """Return how far the best score leads the next one, in BM25 points; as usual if it is alone."""
    if len(passages) < 2:
        return USUAL_LEAD
    best, second = sorted((passage.score for passage in passages), reverse=True)[:2]
    return best - second


def adjust(probability: float, share: float, lead: float) -> float:
    """Return the probability of an answer, given the share of words and the lead of a passage."""
    shift = SHARE_WEIGHT * (max(share, LEAST_SHARE) - USUAL_SHARE)
    shift += LEAD_WEIGHT * (lead - USUAL_LEAD)
    return probability / (probability + (1 - probability) * math.exp(-shift))
