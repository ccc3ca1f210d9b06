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
from allma_server.answering.gate import (
    adjust,
    lead_of_best,
    load_calibrations,
    probability_of_answer,
    share_of_words,
)
from allma_server.answering.languages import ENGLISH
from allma_server.answering.prompts import GATE_STYLE, build_prompt
from allma_server.answering.yes_or_no import find_deciding_sentence, may_be_decided
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
        ({"1871": 0.6, "unknown": 0.2}, 0.75),
        ({" Kernow": 0.3, "kernow": 0.3, "Unknown": 0.1, "un": 0.1, "The": 0.2}, 0.75),
        ({"**14": 0.5, "unknown.": 0.5}, 0.5),
        ({"No": 0.6, "unknown": 0.2}, 0.75),  # the answer to a question for a yes or no
        ({"$": 0.2, "12": 0.2, "9": 0.2, "unknown": 0.2}, 0.5),  # guesses do not add up
        ({"unknown": 0.9}, 0.0),
        ({"The": 0.9, "Kernow": 0.05}, None),
        ({"**": 1.0}, None),
        ({}, None),
    ],
)
def test_the_first_word_is_compared_with_unknown(
    tokens: dict[str, float], expected: float | None
) -> None:
    assert probability_of_answer(tokens) == pytest.approx(expected)


def test_words_of_the_question_in_a_passage_make_an_answer_likelier() -> None:
    passage = replace(PASSAGE, text="The harbour wall is twelve metres high.")
    found, other = "How high is the harbour wall?", "Who paid for the tower of the castle?"
    assert share_of_words(other, [passage]) < 0.5 < 0.7 < share_of_words(found, [passage]) <= 1
    lead = lead_of_best([passage])
    assert (
        adjust(0.5, share_of_words(other, [passage]), lead)
        < 0.5
        < adjust(0.5, share_of_words(found, [passage]), lead)
    )
    assert adjust(0.9, share_of_words("Wie hoch ist die Hafenmauer?", [passage]), lead) > 0.5
    assert [adjust(p, s, lead) for p, s in ((0.0, 0.2), (1.0, 0.2), (0.5, 0.7))] == [0.0, 1.0, 0.5]


def test_a_passage_that_stands_out_makes_an_answer_likelier() -> None:
    def lead(*scores: float) -> float:
        return lead_of_best([replace(PASSAGE, score=score) for score in scores])

    assert (lead(90.0, 80.0, 20.0), lead(80.0, 120.0), lead(50.0, 50.0)) == (10.0, 40.0, 0.0)
    assert adjust(0.5, 0.7, lead(90.0, 85.0)) < adjust(0.5, 0.7, lead(90.0)) == 0.5
    assert adjust(0.5, 0.7, lead(90.0, 20.0)) > 0.5


@pytest.mark.parametrize(
    ("question", "may_decide", "decides"),
    [
        ("Does the warranty cover water damage?", True, False),
        ("Is damage by water covered?", True, True),
        ("May I bring food into the workshop?", True, True),
        ("May guests bring food into the workshop?", True, False),
        ("Does the warranty cover theft?", False, False),
        ("How is damage by water covered?", False, False),
    ],
)
def test_a_sentence_may_decide_although_it_does_not_name_the_subject(
    question: str, may_decide: bool, decides: bool
) -> None:
    text = "Damage by water is not covered. Food may not be brought into the workshop."
    passages = [replace(PASSAGE, text=text, heading=[])]
    assert may_be_decided(question, passages) == may_decide
    assert (find_deciding_sentence(question, passages) is not None) == decides


@pytest.mark.parametrize(
    ("question", "decides"),
    [
        ("Is version 9 supported in release 3.1?", True),  # the file's name says the release
        ("Is version 9 supported in release 4.0?", False),
        ("Does release 3.1 support version 9?", True),
        ("Does release 3.1 support version 8?", False),
        ("Does release 3.1 support the printer?", False),
        ("Does release 3.1 run on version 9 of the printer?", False),
        ("Are children under twelve charged in release 3.1?", True),
    ],
)
def test_a_sentence_decides_with_the_words_of_titles_above_it(question: str, decides: bool) -> None:
    text = "Version 9 is no longer supported. Version 8 was slow. No charge is made for children "
    passage = replace(PASSAGE, text=f"{text}under twelve.", path="/docs/release-3.1.md", heading=[])
    assert (find_deciding_sentence(question, [passage]) is not None) == decides


def test_the_gate_and_the_answer_share_their_prompt_up_to_the_last_sentence() -> None:
    prompt = build_prompt("How deep?", [], [PASSAGE], 4000)
    assert prompt.gate[:-1] == prompt.messages[:-1]
    shared = prompt.messages[-1].content.removesuffix(ENGLISH)
    assert prompt.gate[-1].content == f"{shared}{GATE_STYLE} How deep?"


def test_a_long_question_is_repeated_in_part() -> None:
    prompt = build_prompt("How deep is it? " * 200, [], [PASSAGE], 4000)
    longer = len(prompt.gate[-1].content) - len(prompt.messages[-1].content)
    assert 0 < longer < 500


def measured(positive: list[float], negative: list[float]) -> list[Probability]:
    return [Probability(p, True) for p in positive] + [Probability(p, False) for p in negative]


def test_a_model_that_tells_them_apart_gets_a_threshold_between_them() -> None:
    dice = Random(1)
    good = [dice.uniform(0.6, 1.0) for _ in range(20)]
    bad = [dice.uniform(0.0, 0.3) for _ in range(20)]
    found = calibrate(MODEL, "digest", measured(good, bad))
    assert found.threshold is not None
    assert 0.3 < found.threshold <= 0.6
    assert (found.auc, found.refused, found.wrongly, found.questions) == (1.0, 1.0, 0.0, 40)


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_cannot_tell_gets_none(seed: int) -> None:
    dice = Random(seed)
    values = [[dice.random() for _ in range(20)] for _ in range(2)]
    assert calibrate(MODEL, None, measured(*values)).threshold is None


def test_a_model_that_hardly_tells_its_own_questions_apart_gets_none() -> None:
    good = [*(0.55 + n / 100 for n in range(16)), 0.2, 0.3, 0.4, 0.45]
    bad = [*(0.1 + n / 100 for n in range(15)), 0.5, 0.6, 0.65, 0.7, 0.75]
    found = calibrate(MODEL, None, measured(good, bad))
    assert 0.8 < found.auc < 0.9
    assert found.threshold is None


def test_too_few_questions_give_none() -> None:
    assert calibrate(MODEL, None, measured([0.9] * 3, [0.1] * 3)).threshold is None
    assert calibrate(MODEL, None, []).threshold is None


def test_a_threshold_refuses_few_of_those_with_an_answer() -> None:
    positive = [0.05, *(0.9 + n / 1000 for n in range(19))]
    threshold = choose_threshold(positive, [0.1, 0.2, 0.85])
    assert sum(value <= threshold for value in positive) <= 1
    assert threshold == 0.8
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
        sure = 0.9 if f"The {asked} of" in content else 0.1
        top = [{"token": "Visitors", "logprob": math.log(sure)}]
        top.append({"token": "unknown", "logprob": math.log(1 - sure)})
        return await exchange.answer({"logprobs": [{"token": "Visitors", "top_logprobs": top}]})

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
