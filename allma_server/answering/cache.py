"""Answers that are given again, while nothing they depend on has changed."""

import time
from collections.abc import Hashable
from dataclasses import dataclass, replace

from allma_server.ports import ConversationStore, Progress
from allma_server.types import Answer, AnswerRecord, AnswerStats

MAX_ANSWERS = 500
"""Answers that are kept; the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer, and how many seconds ago it was written."""

    answer: Answer
    age: int


class AnswerCache:
    """Answers by everything they depend on: question, scope, model, settings, and the index."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, tuple[float, Answer]] = {}

    def find(self, key: Hashable, seconds: float) -> CachedAnswer | None:
        """Return the answer under a key if it is younger than `seconds`; drop all older ones."""
        now = time.monotonic()
        self._answers = {k: v for k, v in self._answers.items() if now - v[0] < seconds}
        if (known := self._answers.get(key)) is None:
            return None
        written, answer = known
        return CachedAnswer(answer, int(now - written))

    def add(self, key: Hashable, answer: Answer) -> None:
        """Keep an answer, unless it may be better next time."""
        if answer.mode != "generated" or answer.notice or answer.grounding == "cut_off":
            return
        self._answers[key] = time.monotonic(), answer
        if len(self._answers) > MAX_ANSWERS:
            self._answers.pop(next(iter(self._answers)))

    def clear(self) -> None:
        """Drop all answers: they may quote what was removed from the index."""
        self._answers.clear()


async def repeat_answer(
    question: str, cached: CachedAnswer, store: ConversationStore, progress: Progress
) -> Answer:
    """Give an answer again, in a conversation of its own that can be continued."""
    began, known = time.monotonic(), cached.answer
    turn = await store.begin_turn(None, question)
    await progress.started(turn.conversation_id, turn.message_id)
    record = AnswerRecord(known.text, known.model, known.citations, known.grounding)
    message_id = await store.finish_turn(turn.conversation_id, record)
    await progress.text(known.text)
    await progress.sources(known.citations)
    milliseconds = int((time.monotonic() - began) * 1000)
    return replace(
        known,
        conversation_id=turn.conversation_id,
        message_id=message_id,
        stats=AnswerStats(0, None, milliseconds, None, None, known.stats.truncated, cached=True),
        notice=f"From the cache: written {cached.age} s ago, and nothing it depends on has "
        "changed.",
    )
