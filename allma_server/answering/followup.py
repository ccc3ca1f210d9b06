"""What an earlier conversation lends to a question: words to search with, and what was said.

A follow-up ("and how old is it?") finds nothing by itself. The chat model makes it whole if it is
quick and keeps to the words of the conversation; else the question before it is searched along.

Turns that no longer fit into the prompt are summed up, by the model if it is quick enough, else
by their first sentences. The summary is kept, and made anew only when more has to go into it.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence

from allma_server._internal.tokens import lexemes
from allma_server.answering.evidence import words
from allma_server.answering.prompt_injection import visible
from allma_server.answering.prompts import shorten, tokens_in
from allma_server.errors import ProviderError
from allma_server.types import ChatMessage, Message, Summary

Complete = Callable[[Sequence[ChatMessage], int], Awaitable[str]]
"""The model's whole answer to messages, of so many tokens at most."""

REWRITE_SECONDS = 4.0
"""How long a reader may be kept waiting for a better query."""

SUMMARY_SECONDS = 15.0
SUMMARY_TOKENS = 200
_TOLD_TOKENS = 120
"""As much of an earlier message as is shown to make a follow-up whole."""

_LEANS = re.compile(
    r"^\W*(?:and|but|or|so|then|also|what about|how about|why not|more|which one|how so)\b"
    r"|\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|former|latter)\b",
    re.I,
)
_MAY_LEAN = re.compile(
    r"\b(?:this|that|these|those|there|then|such|same|above|ones?|another|else|other)\b", re.I
)
_SHORT = 7
"""Words of a question in which those that may lean do so; a longer one explains itself."""
_FEW_WORDS = 2
"""A question with fewer words of its own than this leans on what was said."""


async def standalone(question: str, earlier: Sequence[Message], complete: Complete | None) -> str:
    """The question as it can be searched for without its conversation."""
    if not earlier or not _leans(question):
        return question
    by_rule = _with_the_question_before(question, earlier)
    if complete is None:
        return by_rule
    written = await _in_time(complete, _rewriting(question, earlier), 64, REWRITE_SECONDS)
    return written if written and _keeps_to(written, question, earlier) else by_rule


async def summed_up(
    earlier: Sequence[Message], known: Summary | None, room: int, complete: Complete | None
) -> tuple[Summary | None, Sequence[Message]]:
    """What was said, within `room` tokens: a summary of the older turns, and the latest in full.

    When a new summary is needed, half of the room is left for turns to come.
    """
    known, since = _after(earlier, known)
    left = room - (tokens_in(known.text) if known else 0)
    if sum(tokens_in(message.content) for message in since) <= left:
        return known, since
    latest = _fitting(since, (room - SUMMARY_TOKENS) // 2)
    older = since[: len(since) - len(latest)]
    if not older:
        return known, latest
    text = None
    if complete is not None:
        text = await _in_time(
            complete, _summing_up(older, known, room), SUMMARY_TOKENS, SUMMARY_SECONDS
        )
    text = text or _first_sentences(older, known)
    return Summary(older[-1].id, shorten(text, SUMMARY_TOKENS)), latest


def _leans(question: str) -> bool:
    if len(words(question)) < _FEW_WORDS or _LEANS.search(question):
        return True
    return len(question.split()) <= _SHORT and _MAY_LEAN.search(question) is not None


def _with_the_question_before(question: str, earlier: Sequence[Message]) -> str:
    """The question after the last ones, back to one that stands by itself."""
    asked = [message.content for message in earlier if message.role == "user"]
    taken: list[str] = []
    for text in reversed(asked[-3:]):
        taken.insert(0, text)
        if not _leans(text):
            break
    return "\n".join([*taken, question])


def _rewriting(question: str, earlier: Sequence[Message]) -> list[ChatMessage]:
    said = "\n".join(
        f"{'User' if m.role == 'user' else 'Assistant'}: {shorten(m.content, _TOLD_TOKENS)}"
        for m in earlier[-4:]
    )
    order = (
        "Rewrite the last question of the user so that it can be understood without the "
        "conversation: put names in the place of words like it or they. Reply with the question "
        "only."
    )
    content = f"{visible(said)}\nUser: {question}\n\n{order}"
    return [ChatMessage("user", content)]


def _keeps_to(written: str, question: str, earlier: Sequence[Message]) -> bool:
    """Whether a rewritten question is one: its words are there, and no others than were said."""
    if "\n" in written.strip() or len(written) > 400:
        return False
    said = set(lexemes(question)).union(*(lexemes(m.content) for m in earlier[-4:]))
    own = words(question)
    return words(written) <= said and len(words(written) & own) >= len(own) / 2


def _after(
    earlier: Sequence[Message], known: Summary | None
) -> tuple[Summary | None, Sequence[Message]]:
    """The summary, if what it tells of still stands, and the turns that it does not tell of."""
    for at, message in enumerate(earlier):
        if known is not None and message.id == known.until:
            return known, earlier[at + 1 :]
    return None, earlier


def _fitting(messages: Sequence[Message], room: int) -> Sequence[Message]:
    """The latest turns that fit, the first of them the user's."""
    first = len(messages)
    for at in range(len(messages) - 1, -1, -1):
        room -= tokens_in(messages[at].content)
        if room < 0:
            break
        if messages[at].role == "user":
            first = at
    return messages[first:]


def _summing_up(older: Sequence[Message], known: Summary | None, room: int) -> list[ChatMessage]:
    said = [f"Before: {known.text}"] if known else []
    each = max(40, room // max(1, len(older)))
    said += [
        f"{'User' if m.role == 'user' else 'Assistant'}: {shorten(m.content, each)}" for m in older
    ]
    order = (
        "Sum up this conversation in a few short sentences: what the user asked about, names, "
        "numbers and decisions. Do not add anything."
    )
    return [ChatMessage("user", f"{visible(chr(10).join(said))}\n\n{order}")]


def _first_sentences(older: Sequence[Message], known: Summary | None) -> str:
    told = [known.text] if known else []
    each = SUMMARY_TOKENS // (2 * len(older)) + 10
    for message in older:
        first = re.split(r"(?<=[.!?。！？])\s|\n", message.content.strip(), maxsplit=1)[0]
        who = "Asked" if message.role == "user" else "Answered"
        told.append(f"{who}: {shorten(first, each)}")
    return "\n".join(told)


async def _in_time(
    complete: Complete, messages: Sequence[ChatMessage], tokens: int, seconds: float
) -> str | None:
    """What the model says; None when it fails or takes too long."""
    try:
        async with asyncio.timeout(seconds):
            return (await complete(messages, tokens)).strip() or None
    except (TimeoutError, ProviderError):
        return None
