"""Evaluating search on an index of real files."""

import json
from dataclasses import replace
from math import isclose, log2
from pathlib import Path
from xml.etree import ElementTree

import pytest

from allma_server.engine import Engine
from allma_server.errors import InvalidArgument, PathNotFound
from allma_server.operations import BY_NAME, Call, jsonable
from allma_server.search.evaluate import measure
from allma_server.search.questions import Expected
from allma_server.types import Evaluation, Passage
from tests.unit.search.corpus import indexed

FILES = {
    "tomato.md": "# Tomatoes\n\nTomatoes need sun, water and patience.\nHow much?\n",
    "billing.md": "# Billing\n\nThe billing service listens on port 7443.\nSince when?\n",
    "water.md": "# Water\n\nWater the beds in the evening.\n",
}
QUESTIONS = [
    {"question": "which port does the billing service use", "path": "billing.md"},
    {"question": "what do tomatoes need", "text": "sun, water and patience"},
    {"question": "water in the evening", "path": "elsewhere.md"},
]


def passages(*texts: str) -> list[Passage]:
    return [
        Passage("/w/a.txt", "/w", 1, i, i, text, 1.0, 1, 1, None, [], "file:///w/a.txt")
        for i, text in enumerate(texts)
    ]


def measured(expected: str, *texts: str, k: int = 3) -> tuple[int | None, float]:
    """The rank and nDCG where each letter of `expected` is the text of an expected passage."""
    shown = [[passage] for passage in passages(*texts)[:k]]
    found = measure(shown, [Expected(text=letter) for letter in expected])
    return found.rank, found.ndcg


def test_the_measures_are_those_of_the_textbooks():
    assert measured("a", "a", "x", "y") == (1, 1.0)
    assert measured("a", "x", "a", "y") == (2, 1 / log2(3))
    assert measured("a", "x", "y", "z", "a") == (None, 0.0)
    rank, ndcg = measured("ab", "x", "a", "b")
    assert rank == 2
    assert isclose(ndcg, (1 / log2(3) + 1 / log2(4)) / (1 + 1 / log2(3)))


def test_a_passage_counts_once_and_ndcg_is_at_most_one():
    assert measured("ab", "a", "a", "b") == measured("ab", "a", "x", "b")
    assert measured("ab", "ab", "x") == (1, 1.0)


@pytest.fixture
async def call(engine: Engine, tmp_path: Path) -> Call:
    return await indexed(engine, tmp_path / "garden", FILES)


@pytest.fixture
def questions(tmp_path: Path) -> str:
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(map(json.dumps, QUESTIONS)))
    return str(file)


async def run(call: Call, questions: str, **arguments: object) -> Evaluation:
    return await BY_NAME["eval"](call, {"questions": questions, **arguments})


async def test_every_stage_is_measured_and_missed_questions_are_listed(call: Call, questions: str):
    result = await run(call, questions)
    assert [stage.stage for stage in result.stages] == [
        "dense", "lexical", "fused", "rescored", "shown",
    ]  # fmt: skip
    assert isclose(result.stages[-1].hit, 2 / 3)
    assert isclose(result.stages[-1].mrr, 2 / 3)
    assert [each.rank for each in result.ranks] == [1, 1, None]
    assert result.settings["embedder"] == "hashing/words-256"


async def test_the_chart_has_a_bar_for_each_measure_and_stage(
    call: Call, questions: str, tmp_path: Path
):
    picture = tmp_path / "result.svg"
    await run(call, questions, picture=str(picture))
    drawn = ElementTree.fromstring(picture.read_text())
    titles = [title.text or "" for title in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == 4 * 5
    assert "shown: 0.667" in titles


async def test_an_evaluation_is_compared_with_an_earlier_one(
    call: Call, questions: str, tmp_path: Path
):
    earlier, picture = tmp_path / "before.json", tmp_path / "both.svg"
    before = await run(call, questions)
    worse = replace(before, ranks=[replace(each, rank=None) for each in before.ranks])
    earlier.write_text(json.dumps(jsonable(worse)))
    result = await run(call, questions, against=str(earlier), picture=str(picture))
    assert result.before is not None and result.before.stages == before.stages
    assert (result.better, result.worse) == (2, 0)
    assert "shown, before: 0.667" in picture.read_text()


async def test_questions_are_generated_from_the_documents(call: Call, tmp_path: Path):
    file = tmp_path / "made.jsonl"
    result = await run(call, str(file), generate=2)
    assert result.questions == 2
    first = json.loads(file.read_text().splitlines()[0])
    assert first["question"] in ("You asked: How much?", "You asked: Since when?")
    assert Path(first["expected"][0]["path"]).name in FILES
    again = await run(call, str(file))
    assert again.ranks == result.ranks
    with pytest.raises(InvalidArgument, match="already exists"):
        await run(call, str(file), generate=2)


async def test_unusable_files_are_refused(call: Call, questions: str, tmp_path: Path):
    with pytest.raises(PathNotFound):
        await run(call, "/no/such.jsonl")
    with pytest.raises(InvalidArgument, match="not the result of an evaluation"):
        await run(call, questions, against=questions)
    with pytest.raises(InvalidArgument, match=r"does not end in \.svg"):
        await run(call, questions, picture="/tmp/x.png")
    with pytest.raises(InvalidArgument, match="Cannot write"):
        await run(call, questions, picture=str(tmp_path / "no" / "x.svg"))
