"""Searching with the conversation, and summarizing it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from allma_server.answering import followup
from allma_server.answering.followup import (
    SUMMARY_TOKENS,
    find_queries,
    fit_history,
    fuse,
    summarize_history,
)
from allma_server.answering.prompts import estimate_tokens
from allma_server.errors import ProviderError
from allma_server.types import ChatMessage, Message, SearchResult, Summary
from tests.unit.answering.test_prompts import PASSAGE

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
        self.asked.append("\n".join(message.content for message in messages))
        return self.says


async def test_a_follow_up_is_rewritten_by_the_model() -> None:
    model = Model("How old is the Aletsch glacier?")
    assert await find_queries("And how old is it?", EARLIER, model.complete) == [model.says]
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
    found = await find_queries("And how old is it?", EARLIER, Model(says).complete)
    assert found == [f"{ASKED}\nAnd how old is it?"]


async def test_without_a_model_the_previous_question_is_added() -> None:
    assert await find_queries("How old is it?", EARLIER, None) == [f"{ASKED}\nHow old is it?"]
    longer = [*EARLIER, *said("And how wide is it?", "1,500 metres [1].")]
    assert await find_queries("Is it safe?", longer, None) == [
        f"{ASKED}\nAnd how wide is it?\nIs it safe?"
    ]


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
        assert await find_queries("How old is it?", EARLIER, model) == [f"{ASKED}\nHow old is it?"]


@pytest.mark.parametrize(
    "question",
    [
        "Where does the river Rhone spring?",
        "What is this project about?",
        "Wann wurde Ada Penrose geboren?",
        "Which HTTP_PROXY setting is used?",
    ],
)
async def test_a_whole_question_is_searched_as_it_stands(question: str) -> None:
    model = Model("something")
    assert await find_queries(question, EARLIER, model.complete) == [question]
    assert await find_queries("How old is it?", [], model.complete) == ["How old is it?"]
    assert model.asked == []


@pytest.mark.parametrize(
    "question",
    [
        "Which river is wider?",
        "Why did the council close the lower gate in the spring?",
        "Is the Rhone fed by this?",
        "What does the Rhone do when it freezes over?",
        "Et les crevasses du glacier ?",
        "Und der Abfluss im Sommer?",
    ],
)
async def test_in_doubt_both_ways_are_searched_without_the_model(question: str) -> None:
    model = Model("something")
    found = await find_queries(question, EARLIER, model.complete)
    assert found == [question, f"{ASKED}\n{question}"]
    assert model.asked == []


@pytest.mark.parametrize(
    "question",
    [
        "Why?",
        "And in winter?",
        "What about Linux?",
        "Wie alt ist er?",
        "它有多长？",
        "Сколько ему лет?",
    ],
)
async def test_a_question_that_lacks_something_is_searched_with_the_conversation(
    question: str,
) -> None:
    assert await find_queries(question, EARLIER, None) == [f"{ASKED}\n{question}"]


def test_fused_results_begin_with_the_question_s_own() -> None:
    one, two, three = (replace(PASSAGE, chunk_id=n) for n in (1, 2, 3))
    own, joined = SearchResult([one, two]), SearchResult([three, one])
    assert [p.chunk_id for p in fuse([own, joined]).passages] == [1, 3]
    assert fuse([own]) is own


def test_the_last_exchange_is_kept_whatever_its_length() -> None:
    long = said("About ice? " * 50, "Yes, ice. " * 300, "And snow? " * 50, "Yes, snow. " * 300)
    assert fit_history(long, None, 100) == (None, long[2:])


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
