"""Rewriting follow-ups and summarizing the conversation."""

import asyncio
from collections.abc import Sequence

import pytest

from allma_server.answering import followup
from allma_server.answering.followup import SUMMARY_TOKENS, rewrite_follow_up, summarize_history
from allma_server.answering.prompts import estimate_tokens
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
    """Return a given text, and count the calls."""

    def __init__(self, says: str) -> None:
        self.says = says
        self.asked: list[str] = []

    async def complete(self, messages: Sequence[ChatMessage], tokens: int) -> str:
        self.asked.append(messages[-1].content)
        return self.says


async def test_a_follow_up_is_rewritten_by_the_model() -> None:
    model = Model("How old is the Aletsch glacier?")
    assert await rewrite_follow_up("And how old is it?", EARLIER, model.complete) == model.says
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
async def test_a_rewrite_with_new_words_is_not_used(says: str) -> None:
    found = await rewrite_follow_up("And how old is it?", EARLIER, Model(says).complete)
    assert found == f"{ASKED}\nAnd how old is it?"


async def test_without_a_model_the_previous_question_is_added() -> None:
    assert await rewrite_follow_up("How old is it?", EARLIER, None) == f"{ASKED}\nHow old is it?"
    longer = [*EARLIER, *said("And how wide is it?", "1,500 metres [1].")]
    assert await rewrite_follow_up("Is it safe?", longer, None) == (
        f"{ASKED}\nAnd how wide is it?\nIs it safe?"
    )


async def test_a_model_that_is_slow_or_fails_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(messages: Sequence[ChatMessage], tokens: int) -> str:
        await asyncio.Event().wait()
        return ""

    async def broken(messages: Sequence[ChatMessage], tokens: int) -> str:
        raise ProviderError("It fails.")

    monkeypatch.setattr(followup, "REWRITE_SECONDS", 0.01)
    for model in (never, broken):
        assert (
            await rewrite_follow_up("How old is it?", EARLIER, model) == f"{ASKED}\nHow old is it?"
        )


@pytest.mark.parametrize(
    "question", ["Where does the river Rhone spring?", "What is the tool that reads PDF files?"]
)
async def test_a_question_that_is_no_follow_up_is_unchanged(question: str) -> None:
    model = Model("something")
    assert await rewrite_follow_up(question, EARLIER, model.complete) == question
    assert await rewrite_follow_up("And how old is it?", [], model.complete) == "And how old is it?"
    assert model.asked == []


async def test_a_short_conversation_is_not_summarized() -> None:
    assert await summarize_history(EARLIER, None, 500, None) == (None, EARLIER)


async def test_a_long_conversation_is_summarized_once() -> None:
    model = Model("They spoke about glaciers.")
    turns = said(*(f"Question {n} " + "about ice " * 30 for n in range(20)))
    summary, latest = await summarize_history(turns, None, 1200, model.complete)
    assert summary is not None and summary.text == model.says
    assert latest and latest[0].role == "user" and latest[-1] == turns[-1]
    assert turns[turns.index(latest[0]) - 1].id == summary.until
    assert sum(estimate_tokens(m.content) for m in latest) < 600

    grown = [*turns, *said("and", "so")]
    again, latest = await summarize_history(grown, summary, 1200, model.complete)
    assert again is summary and latest[-1] == grown[-1]
    assert len(model.asked) == 1


async def test_without_a_model_the_first_sentences_are_the_summary() -> None:
    turns = said(*(f"Question {n}. " + "About ice. " * 60 for n in range(12)))
    summary, _ = await summarize_history(turns, None, 1200, None)
    assert summary is not None
    assert "Asked: Question 0." in summary.text
    assert estimate_tokens(summary.text) <= SUMMARY_TOKENS + 2


async def test_a_summary_of_replaced_messages_is_not_used() -> None:
    old = Summary("gone", "They spoke about whales.")
    assert await summarize_history(EARLIER, old, 500, None) == (None, EARLIER)
