"""Use the conversation for a new question: search with it, summarize older messages.

A question that lacks something (`back_references.py`) finds nothing by itself. The chat model
rewrites it, if it answers in time and only uses words of the conversation; otherwise the query is
the previous question together with this one. Where it is in doubt, both are searched, and the
results are fused.

Messages that no longer fit into the prompt are summarized, by the model if it answers in time, else
by their first sentences. The summary is made after an answer, so that no answer waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from allma_server._internal.tokens import lexemes
from allma_server.answering.attachment import without_attachment
from allma_server.answering.back_references import dependence
from allma_server.answering.evidence import content_words
from allma_server.answering.prompt_injection import remove_hidden
from allma_server.answering.prompts import (
    SYSTEM_WITH_SOURCES,
    estimate_tokens,
    history_messages,
    shorten,
)
from allma_server.answering.sentences import SENTENCE_END
from allma_server.errors import ProviderError
from allma_server.types import ChatMessage, Message, Passage, SearchResult, Summary

Complete = Callable[[Sequence[ChatMessage], int], Awaitable[str]]
"""Returns the model's whole reply to messages, of at most so many tokens."""

REWRITE_SECONDS = 4.0
"""How long the user waits for a rewritten query."""

SUMMARY_SECONDS = 60.0
"""Nobody waits for a summary; a new question stops it."""
SUMMARY_TOKENS = 200
REWRITE_HISTORY_TOKENS = 600
"""Tokens of the latest messages that the model sees when it rewrites a question."""
_RANK_OFFSET = 10
"""Of reciprocal rank fusion: small, because the lists are short."""


async def find_queries(
    question: str, earlier: Sequence[Message], complete: Complete | None
) -> list[str]:
    """Return the queries for a question: one, or two where it is in doubt.

    Args:
        question: the new question.
        earlier: the messages before it.
        complete: asks the chat model; None if there is none.
    """
    depends = dependence(question) if earlier else "none"
    if depends == "none":
        return [question]
    joined = _with_previous_question(question, earlier)
    if depends == "possible":
        return [question, joined]
    if complete is None:
        return [joined]
    prompt = _rewrite_prompt(question, earlier)
    rewritten = await _complete_in_time(complete, prompt, 64, REWRITE_SECONDS)
    return [rewritten if rewritten and _is_faithful(rewritten, question, earlier) else joined]


def needs_rewriting(question: str, earlier: Sequence[Message]) -> bool:
    """Return whether the model is asked before the search."""
    return bool(earlier) and dependence(question) == "certain"


def fuse(results: Sequence[SearchResult]) -> SearchResult:
    """Join the results of several queries, by reciprocal rank; the first one leads.

    There are as many passages as the longest result has.
    """
    if len(results) == 1:
        return results[0]
    ranks: dict[int, float] = {}
    passages: dict[int, Passage] = {}
    for result in results:
        for rank, passage in enumerate(result.passages):
            key = passage.chunk_id
            ranks[key] = ranks.get(key, 0.0) + 1 / (_RANK_OFFSET + rank)
            passages.setdefault(key, passage)
    count = max(len(result.passages) for result in results)
    best = sorted(passages, key=lambda key: -ranks[key])[:count]
    return replace(
        results[0],
        passages=[passages[key] for key in best],
        retrieval_ms=sum(result.retrieval_ms for result in results),
    )


def fit_history(
    earlier: Sequence[Message], known: Summary | None, budget: int
) -> tuple[Summary | None, Sequence[Message]]:
    """Return the stored summary, if it is still valid, and the latest messages that fit.

    The last exchange is always among them; `build_prompt` shortens it if it must.
    """
    known, since = _messages_after(earlier, known)
    left = budget - (estimate_tokens(known.text) if known else 0)
    return known, _latest_fitting(since, left)


async def summarize_history(
    earlier: Sequence[Message], known: Summary | None, budget: int, complete: Complete | None
) -> tuple[Summary | None, Sequence[Message]]:
    """Return a summary of the older messages and the latest messages in full.

    When a new summary is needed, half of the budget is left free, so that the next messages fit
    without another one.

    Args:
        earlier: the messages of the conversation.
        known: the stored summary, if any.
        budget: tokens for both together.
        complete: asks the chat model; None if there is none.
    """
    known, since = _messages_after(earlier, known)
    left = budget - (estimate_tokens(known.text) if known else 0)
    if sum(estimate_tokens(message.content) for message in since) <= left:
        return known, since
    latest = _latest_fitting(since, (budget - SUMMARY_TOKENS) // 2)
    older = since[: len(since) - len(latest)]
    if not older:
        return known, latest
    text = None
    if complete is not None:
        prompt = _summary_prompt(older, known, budget)
        text = await _complete_in_time(complete, prompt, SUMMARY_TOKENS, SUMMARY_SECONDS)
    text = text or _first_sentences(older, known)
    return Summary(older[-1].id, shorten(text, SUMMARY_TOKENS)), latest


def _with_previous_question(question: str, earlier: Sequence[Message]) -> str:
    """Return the question after the previous ones, back to one that is no follow-up itself."""
    asked = [without_attachment(each.content) for each in earlier if each.role == "user"]
    taken: list[str] = []
    for text in reversed(asked[-3:]):
        taken.insert(0, text)
        if dependence(text) == "none":
            break
    return "\n".join([*taken, question])


def _rewrite_prompt(question: str, earlier: Sequence[Message]) -> list[ChatMessage]:
    """Return the messages that ask for a rewritten question.

    They begin as the prompt for the answer does, so that the server reads the history once.
    """
    order = (
        "Rewrite the last question so that it can be understood without this conversation: put "
        "names in the place of words like it or they. Reply with the question only, without an "
        "answer."
    )
    return [
        ChatMessage("system", SYSTEM_WITH_SOURCES),
        *history_messages(earlier, REWRITE_HISTORY_TOKENS),
        ChatMessage("user", f"Question: {remove_hidden(question)}\n\n{order}"),
    ]


def _is_faithful(rewritten: str, question: str, earlier: Sequence[Message]) -> bool:
    """Return whether a rewritten question only uses words of the question and conversation."""
    if "\n" in rewritten.strip() or len(rewritten) > 400:
        return False
    known = set(lexemes(question)).union(*(lexemes(m.content) for m in earlier[-4:]))
    words, original = content_words(rewritten), content_words(question)
    return words <= known and len(words & original) >= len(original) / 2


def _messages_after(
    earlier: Sequence[Message], known: Summary | None
) -> tuple[Summary | None, Sequence[Message]]:
    """Return the summary, if its messages still exist, and the messages that it does not cover."""
    for at, message in enumerate(earlier):
        if known is not None and message.id == known.until:
            return known, earlier[at + 1 :]
    return None, earlier


def _latest_fitting(messages: Sequence[Message], budget: int) -> Sequence[Message]:
    """Return the latest messages that fit into `budget` tokens, beginning with the user's.

    The last exchange is among them in any case.
    """
    first = len(messages)
    for at in range(len(messages) - 1, -1, -1):
        budget -= estimate_tokens(messages[at].content)
        if budget < 0 and first < len(messages):
            break
        if messages[at].role == "user":
            first = at
    return messages[first:]


def _summary_prompt(
    older: Sequence[Message], known: Summary | None, budget: int
) -> list[ChatMessage]:
    lines = [f"Before: {known.text}"] if known else []
    each = max(40, budget // max(1, len(older)))
    lines += [
        f"{'User' if m.role == 'user' else 'Assistant'}: {shorten(m.content, each)}" for m in older
    ]
    order = (
        "Sum up this conversation in a few short sentences: what the user asked about, names, "
        "numbers and decisions. Do not add anything."
    )
    return [ChatMessage("user", f"{remove_hidden(chr(10).join(lines))}\n\n{order}")]


def _first_sentences(older: Sequence[Message], known: Summary | None) -> str:
    lines = [known.text] if known else []
    each = SUMMARY_TOKENS // (2 * len(older)) + 10
    for message in older:
        first = SENTENCE_END.split(message.content.strip(), maxsplit=1)[0]
        verb = "Asked" if message.role == "user" else "Answered"
        lines.append(f"{verb}: {shorten(first, each)}")
    return "\n".join(lines)


async def _complete_in_time(
    complete: Complete, messages: Sequence[ChatMessage], tokens: int, seconds: float
) -> str | None:
    """Return the model's reply; None if it fails or takes too long."""
    try:
        async with asyncio.timeout(seconds):
            return (await complete(messages, tokens)).strip() or None
    except (TimeoutError, ProviderError):
        return None
