"""The contract of every reranker in the registry."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from allma_server.answering.answer_model import AnswerModel
from allma_server.config import Config
from allma_server.errors import InvalidArgument
from allma_server.ports import Reranker
from allma_server.providers.chat import open_chat_models
from allma_server.providers.reranking import RERANKERS, open_reranker
from allma_server.providers.reranking.listwise import Complete
from allma_server.types import ChatMessage, Passage
from tests.unit.providers.reranking.networks import cross_encoder

TEXTS = [
    "Tomatoes need sun, water and patience.",
    "The billing service listens on port 7443.",
    "Quarterly revenue grew by four percent.",
]
QUESTION = "which port does the billing service use"


def passages(*texts: str) -> list[Passage]:
    return [
        Passage("/w/a.txt", "/w", 1, i, i, text, 1.0, 1, 1, None, ["A"], "file:///w/a.txt")
        for i, text in enumerate(texts)
    ]


@pytest.fixture
async def complete() -> AsyncIterator[Complete]:
    async with open_chat_models(Config(chat_provider="scripted")) as models:

        async def ask(model: str | None, messages: Sequence[ChatMessage], max_tokens: int) -> str:
            return await AnswerModel(models, model or "echo", 4096, 4096).complete(
                messages, max_tokens
            )

        yield ask


@pytest.fixture(params=RERANKERS)
async def reranker(
    request: pytest.FixtureRequest, complete: Complete, tmp_path: Path
) -> AsyncIterator[Reranker]:
    names = {"chat": "chat", "onnx": f"onnx/{cross_encoder(tmp_path / 'm', QUESTION, *TEXTS)}"}
    async with open_reranker(names[request.param], complete) as opened:
        assert opened is not None
        yield opened


async def test_each_passage_gets_a_score(reranker: Reranker) -> None:
    scores = await reranker.rerank(QUESTION, passages(*TEXTS))
    assert len(scores) == 3
    assert all(isinstance(score, float) for score in scores)
    assert len(await reranker.rerank(QUESTION, passages(TEXTS[0]))) == 1
    assert await reranker.rerank(QUESTION, []) == []


async def test_the_same_question_gets_the_same_scores(reranker: Reranker) -> None:
    first = await reranker.rerank(QUESTION, passages(*TEXTS))
    assert first == await reranker.rerank(QUESTION, passages(*TEXTS))


async def test_any_text_can_be_reranked(reranker: Reranker) -> None:
    odd = ["", "word " * 3000, "\ud83d half", "日本語", "\x00", "<<end", "12 > 3"]
    assert len(await reranker.rerank("what? \ud800", passages(*odd))) == len(odd)


async def test_it_has_a_name_for_notices(reranker: Reranker) -> None:
    assert reranker.name


async def test_concurrent_calls_do_not_mix(reranker: Reranker) -> None:
    alone = await reranker.rerank(QUESTION, passages(*TEXTS))
    together = await asyncio.gather(
        reranker.rerank(QUESTION, passages(*TEXTS)),
        reranker.rerank("sun and water", passages(*TEXTS[::-1])),
    )
    assert together[0] == alone


@pytest.mark.parametrize("name", ["", "none", "onnx", "onnx/", "words/x", "cohere/x"])
async def test_a_reranker_that_does_not_exist_is_refused(name: str, complete: Complete) -> None:
    with pytest.raises(InvalidArgument):
        async with open_reranker(name, complete):
            pass


async def test_the_reranker_words_means_no_model(complete: Complete) -> None:
    async with open_reranker("words", complete) as none:
        assert none is None
