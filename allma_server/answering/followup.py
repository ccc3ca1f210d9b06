"""Use the conversation for a new question: rewrite follow-ups, summarize older messages.

A follow-up ("and how old is it?") finds nothing by itself. The chat model rewrites it, if it
answers in time and only uses words of the conversation; otherwise the query is the previous
question together with this one.

Messages that no longer fit into the prompt are summarized, by the model if it answers in time, else
by their first sentences. The summary is stored and updated only when more messages no longer fit.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence

from allma_server._internal.tokens import lexemes
from allma_server.answering.evidence import content_words
from allma_server.answering.prompt_injection import remove_hidden
from allma_server.answering.prompts import estimate_tokens, shorten
from allma_server.errors import ProviderError
from allma_server.types import ChatMessage, Message, Summary

Complete = Callable[[Sequence[ChatMessage], int], Awaitable[str]]
"""Returns the model's whole reply to messages, of at most so many tokens."""

REWRITE_SECONDS = 4.0
"""How long the user waits for a rewritten query."""

SUMMARY_SECONDS = 15.0
SUMMARY_TOKENS = 200
_EXCERPT_TOKENS = 120
"""Tokens of each earlier message that the model sees when it rewrites a follow-up."""

_REFERS_BACK = re.compile(
    r"^\W*(?:and|but|or|so|then|also|what about|how about|why not|more|which one|how so)\b"
    r"|\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|former|latter)\b",
    re.I,
)
_MAY_REFER_BACK = re.compile(
    r"\b(?:this|that|these|those|there|then|such|same|above|ones?|another|else|other)\b", re.I
)
_SHORT_QUESTION = 7
"""Up to so many words, a word such as "this" refers to the conversation; a longer question contains
what it refers to."""
_MIN_CONTENT_WORDS = 2
"""A question with fewer content words is a follow-up."""


async def rewrite_follow_up(
    question: str, earlier: Sequence[Message], complete: Complete | None
) -> str:
    """Return a query that finds the same without the conversation.

    Args:
        question: the new question; returned unchanged if it is no follow-up.
        earlier: the messages before it.
        complete: asks the chat model; None if there is none.
    """
    if not earlier or not _is_follow_up(question):
        return question
    fallback = _with_previous_question(question, earlier)
    if complete is None:
        return fallback
    prompt = _rewrite_prompt(question, earlier)
    rewritten = await _complete_in_time(complete, prompt, 64, REWRITE_SECONDS)
    return rewritten if rewritten and _is_faithful(rewritten, question, earlier) else fallback


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


def _is_follow_up(question: str) -> bool:
    if len(content_words(question)) < _MIN_CONTENT_WORDS or _REFERS_BACK.search(question):
        return True
    return len(question.split()) <= _SHORT_QUESTION and _MAY_REFER_BACK.search(question) is not None


def _with_previous_question(question: str, earlier: Sequence[Message]) -> str:
    """Return the question after the previous ones, back to one that is no follow-up itself."""
    asked = [message.content for message in earlier if message.role == "user"]
    taken: list[str] = []
    for text in reversed(asked[-3:]):
        taken.insert(0, text)
        if not _is_follow_up(text):
            break
    return "\n".join([*taken, question])


def _rewrite_prompt(question: str, earlier: Sequence[Message]) -> list[ChatMessage]:
    messages = "\n".join(
        f"{'User' if m.role == 'user' else 'Assistant'}: {shorten(m.content, _EXCERPT_TOKENS)}"
        for m in earlier[-4:]
    )
    order = (
        "Rewrite the last question of the user so that it can be understood without the "
        "conversation: put names in the place of words like it or they. Reply with the question "
        "only."
    )
    content = f"{remove_hidden(messages)}\nUser: {question}\n\n{order}"
    return [ChatMessage("user", content)]


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
    """Return the latest messages that fit into `budget` tokens, beginning with the user's."""
    first = len(messages)
    for at in range(len(messages) - 1, -1, -1):
        budget -= estimate_tokens(messages[at].content)
        if budget < 0:
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
        first = re.split(r"(?<=[.!?。！？])\s|\n", message.content.strip(), maxsplit=1)[0]
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
