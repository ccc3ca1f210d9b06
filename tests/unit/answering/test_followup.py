"""What an earlier conversation lends to a question."""

import asyncio
from collections.abc import Sequence

import pytest

from allma_server.answering import followup
from allma_server.answering.followup import SUMMARY_TOKENS, standalone, summed_up
from allma_server.answering.prompts import tokens_in
from allma_server.errors import ProviderError
from allma_server.types import ChatMessage, Message, Summary

ASKED = "How long is the Aletsch glacier?"


def said(*texts: str) -> list[Message]:
    return [
        Message(str(n), "assistant" if n % 2 else "user", text, None, "")
        for n, text in enumerate(texts)
    ]


EARLIER = said(ASKED, "The Aletsch glacier is 23 kilometres long [1].")


class Model:
    """Says what it is told to, and counts how often it is asked."""

    def __init__(self, says: str) -> None:
        self.says = says
        self.asked: list[str] = []

    async def complete(self, messages: Sequence[ChatMessage], tokens: int) -> str:
        self.asked.append(messages[-1].content)
        return self.says


async def test_a_follow_up_is_made_whole_by_the_model() -> None:
    model = Model("How old is the Aletsch glacier?")
    assert await standalone("And how old is it?", EARLIER, model.complete) == model.says
    assert "23 kilometres" in model.asked[0]


@pytest.mark.parametrize(
    "says",
    [
        "The Aletsch glacier is 999 years old.",
        "How old is the Rhone?",
        "Sure!\nHow old is it?",
        "",
    ],
)
async def test_what_the_model_makes_up_is_not_searched_for(says: str) -> None:
    found = await standalone("And how old is it?", EARLIER, Model(says).complete)
    assert found == f"{ASKED}\nAnd how old is it?"


async def test_without_a_model_the_question_before_is_searched_along() -> None:
    assert await standalone("How old is it?", EARLIER, None) == f"{ASKED}\nHow old is it?"
    longer = [*EARLIER, *said("And how wide is it?", "1,500 metres [1].")]
    assert await standalone("Is it safe?", longer, None) == (
        f"{ASKED}\nAnd how wide is it?\nIs it safe?"
    )


async def test_a_model_that_is_slow_or_fails_is_done_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(messages: Sequence[ChatMessage], tokens: int) -> str:
        await asyncio.Event().wait()
        return ""

    async def broken(messages: Sequence[ChatMessage], tokens: int) -> str:
        raise ProviderError("It fails.")

    monkeypatch.setattr(followup, "REWRITE_SECONDS", 0.01)
    for model in (never, broken):
        assert await standalone("How old is it?", EARLIER, model) == f"{ASKED}\nHow old is it?"


@pytest.mark.parametrize(
    "question", ["Where does the river Rhone spring?", "What is the tool that reads PDF files?"]
)
async def test_a_question_that_stands_by_itself_is_left_alone(question: str) -> None:
    model = Model("something")
    assert await standalone(question, EARLIER, model.complete) == question
    assert await standalone("And how old is it?", [], model.complete) == "And how old is it?"
    assert model.asked == []


async def test_a_short_conversation_is_told_in_full() -> None:
    assert await summed_up(EARLIER, None, 500, None) == (None, EARLIER)


async def test_a_long_conversation_is_summed_up_once_and_then_goes_on() -> None:
    model = Model("They spoke about glaciers.")
    turns = said(*(f"Question {n} " + "about ice " * 30 for n in range(20)))
    summary, latest = await summed_up(turns, None, 1200, model.complete)
    assert summary is not None and summary.text == model.says
    assert latest and latest[0].role == "user" and latest[-1] == turns[-1]
    assert turns[turns.index(latest[0]) - 1].id == summary.until
    assert sum(tokens_in(m.content) for m in latest) < 600

    grown = [*turns, *said("and", "so")]
    again, latest = await summed_up(grown, summary, 1200, model.complete)
    assert again is summary and latest[-1] == grown[-1]
    assert len(model.asked) == 1


async def test_without_a_model_the_first_sentences_are_the_summary() -> None:
    turns = said(*(f"Question {n}. " + "About ice. " * 60 for n in range(12)))
    summary, _ = await summed_up(turns, None, 1200, None)
    assert summary is not None
    assert "Asked: Question 0." in summary.text
    assert tokens_in(summary.text) <= SUMMARY_TOKENS + 2


async def test_a_summary_of_turns_that_were_replaced_is_forgotten() -> None:
    old = Summary("gone", "They spoke about whales.")
    assert await summed_up(EARLIER, old, 500, None) == (None, EARLIER)
