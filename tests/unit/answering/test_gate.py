"""The answerability gate: reading a token, choosing a threshold, and measuring it."""

import asyncio
import math
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from allma_server.answering.answer_model import AnswerModel, find_answer_model
from allma_server.answering.background import BackgroundRequests
from allma_server.answering.calibration import (
    Probability,
    area_under_curve,
    calibrate,
    choose_threshold,
)
from allma_server.answering.gate import load_calibrations, probability_of_yes
from allma_server.answering.prompts import ANSWER_STYLE, GATE_QUESTION, build_prompt
from allma_server.config import Config
from allma_server.engine import open_engine
from allma_server.operations import BY_NAME, Call, calibrating
from allma_server.providers.chat.scripted import ScriptedChatModels
from allma_server.types import LOCAL
from tests.ollama.wire import Exchange, serving
from tests.unit.answering.test_prompts import PASSAGE

MODEL = AnswerModel(ScriptedChatModels(), "echo", 4096, 4096, modified_at="2026")


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ({"Yes": 0.6, "No": 0.2}, 0.75),
        ({" yes": 0.3, "YES": 0.3, "no": 0.2, "The": 0.1}, 0.75),
        ({"**Yes": 0.5, "No.": 0.5}, 0.5),
        ({"The": 0.9, "Yes": 0.05}, None),
        ({}, None),
    ],
)
def test_the_first_token_is_read_as_yes_or_no(
    tokens: dict[str, float], expected: float | None
) -> None:
    assert probability_of_yes(tokens) == pytest.approx(expected)


def test_the_gate_and_the_answer_share_their_prompt_up_to_the_last_sentence() -> None:
    prompt = build_prompt("How deep?", [], [PASSAGE], 4000)
    assert prompt.gate[:-1] == prompt.messages[:-1]
    shared = prompt.messages[-1].content.removesuffix(ANSWER_STYLE)
    assert prompt.gate[-1].content == shared + GATE_QUESTION


def measured(positive: list[float], negative: list[float]) -> list[Probability]:
    return [Probability(p, True) for p in positive] + [Probability(p, False) for p in negative]


def test_a_model_that_tells_them_apart_gets_a_threshold_between_them() -> None:
    dice = Random(1)
    good = [dice.uniform(0.6, 1.0) for _ in range(20)]
    bad = [dice.uniform(0.0, 0.3) for _ in range(20)]
    found = calibrate(MODEL, "digest", measured(good, bad))
    assert found.threshold is not None
    assert 0.3 < found.threshold <= 0.5
    assert (found.auc, found.refused, found.wrongly, found.questions) == (1.0, 1.0, 0.0, 20)


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_cannot_tell_gets_none(seed: int) -> None:
    dice = Random(seed)
    values = [[dice.random() for _ in range(20)] for _ in range(2)]
    assert calibrate(MODEL, None, measured(*values)).threshold is None


def test_too_few_questions_give_none() -> None:
    assert calibrate(MODEL, None, measured([0.9] * 3, [0.1] * 3)).threshold is None
    assert calibrate(MODEL, None, []).threshold is None


def test_a_threshold_refuses_few_of_those_with_an_answer() -> None:
    positive = [0.05, *(0.8 + n / 1000 for n in range(19))]
    threshold = choose_threshold(positive, [0.1, 0.2, 0.7])
    assert sum(value <= threshold for value in positive) <= 1
    assert threshold == 0.5
    assert area_under_curve([0.9, 0.5], [0.5, 0.1]) == pytest.approx(0.875)


async def test_a_model_is_calibrated_on_the_documents_in_the_background(tmp_path: Path) -> None:
    topics = ["lighthouse", "harbour", "glacier", "orchard", "railway", "brewery", "quarry", "mill"]
    docs = tmp_path / "docs"
    docs.mkdir()
    for topic in topics:
        text = f"The {topic} of Kernow was built by hand and is open to visitors in summer. " * 4
        (docs / f"{topic}.md").write_text(f"# The {topic}\n\n{text}")

    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/show":
            shown = {"capabilities": ["completion"], "model_info": {"x.context_length": 4096}}
            return await exchange.answer(shown)
        if exchange.path != "/api/chat":
            return await exchange.answer({"version": "1", "models": [{"name": "m", "digest": "d"}]})
        content = exchange.body["messages"][-1]["content"]
        topic = next(t for t in topics if t in content.rpartition("Question:")[2] or t in content)
        if not exchange.body.get("logprobs"):
            await exchange.begin()
            question = f"Who may enter the {topic} when it is warm outside?"
            end = {"message": {"content": ""}, "done": True, "done_reason": "stop"}
            return await exchange.lines({"message": {"content": question}}, end)
        asked = next(t for t in topics if t in content.rpartition("Question:")[2])
        yes = 0.9 if f"The {asked} of" in content else 0.1
        top = [{"token": "Yes", "logprob": math.log(yes)}]
        top.append({"token": "No", "logprob": math.log(1 - yes)})
        return await exchange.answer({"logprobs": [{"token": "Yes", "top_logprobs": top}]})

    async with serving(script) as wire:
        config = Config(
            data_dir=tmp_path / "data", embedder="hashing/words-256", chat_model="m",
            ollama_url=wire.url,
        )  # fmt: skip
        async with open_engine(config) as opened:
            engine = replace(opened, background=BackgroundRequests(quiet_seconds=0.0))
            await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(docs)]})
            model = await find_answer_model("m", config, engine.catalog, engine.chat)
            result = await calibrating.run_calibration(engine, model, "d")
            assert result is not None
            assert result.auc > 0.8
            await BY_NAME["ask"](Call(engine, LOCAL), {"question": "Who built the mill?"})
            async with asyncio.timeout(30):
                while not (known := await load_calibrations(engine.catalog)):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert known["m"].digest == "d"
            assert known["m"].threshold is not None
