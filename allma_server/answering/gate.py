"""Ask the model, before it answers, whether the passages contain the answer: one token.

A small model seldom refuses when it writes, but the probability that it gives to "yes" tells
questions with an answer in the passages from those without (Kadavath et al., 2022: P(True)).
The question about the question ends the same prompt as the answer's, so the provider reads the
passages once. Where the boundary lies differs between models: see `calibration.py`. Without a
calibration, or where a model cannot tell, no token is asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from allma_server.answering.answer_model import AnswerModel
from allma_server.answering.prompts import Prompt
from allma_server.answering.yes_or_no import find_deciding_sentence
from allma_server.errors import ProviderError, ProviderUnreachable, Unsupported
from allma_server.ports import SettingsStore
from allma_server.types import GateStats

SETTING = "answerability_gate"
"""The stored calibrations, by the names of their models."""

MIN_MASS = 0.2
"""Probability that "yes" and "no" must have together, so that the first token is an answer."""

_YES, _NO = ("yes", "true"), ("no", "false")


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well a model tells whether passages answer a question, measured on the user's documents.

    `modified_at` and `digest`: of the model that was measured. `threshold`: up to this probability
    an answer is refused; None if the model cannot tell. `auc`: the chance that a question with an
    answer gets a higher probability than one without. `refused` and `wrongly`: the shares of
    questions without and with an answer that are refused. `questions`: how many were asked. These
    figures are of the part from which no threshold was chosen.
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

    It is not asked a question for a yes or no that a sentence of a passage decides: a small model
    confuses the "no" of the answer with that of the gate.

    Raises:
        ProviderUnreachable: the provider does not answer.
    """
    calibration = (await load_calibrations(settings)).get(model.name)
    if calibration is None or calibration.threshold is None or not prompt.passages:
        return None
    if calibration.modified_at != model.modified_at:
        return None
    if find_deciding_sentence(question, prompt.passages) is not None:
        return None
    probability = await ask_answerable(model, prompt)
    if probability is None:
        return None
    threshold = calibration.threshold
    return GateStats(round(probability, 3), threshold, probability <= threshold)


async def ask_answerable(model: AnswerModel, prompt: Prompt) -> float | None:
    """Return the probability that the passages contain the answer, as the model sees it.

    None if it answers with something else, or the provider reports no probabilities.

    Raises:
        ProviderUnreachable: the provider does not answer.
    """
    try:
        return probability_of_yes(await model.next_token(prompt.gate))
    except ProviderUnreachable:
        raise
    except (ProviderError, Unsupported):
        return None


def probability_of_yes(tokens: Mapping[str, float]) -> float | None:
    """Return the probability of "yes" where the answer is "yes" or "no".

    Args:
        tokens: the likeliest first tokens with their probabilities. None is returned if they are
            something else than an answer.
    """
    words = [(token.strip().strip("*\"'.").lower(), share) for token, share in tokens.items()]
    yes = sum(share for word, share in words if word in _YES)
    no = sum(share for word, share in words if word in _NO)
    return yes / (yes + no) if yes + no >= MIN_MASS else None
