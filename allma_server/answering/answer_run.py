"""One question while it is answered: its passages, and how an answer is stored and returned."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from allma_server.answering.answer_model import AnswerModel
from allma_server.answering.attachment import ATTACHED, with_attachment
from allma_server.answering.context_lengths import ContextLengths
from allma_server.answering.followup import (
    REWRITE_HISTORY_TOKENS,
    find_queries,
    fuse,
    needs_rewriting,
)
from allma_server.answering.models import AUTO
from allma_server.errors import AllmaError, ModelNotFound
from allma_server.ports import ConversationStore, Progress, SettingsStore
from allma_server.types import (
    Answer,
    AnswerRecord,
    AnswerStats,
    Citation,
    Finish,
    GateStats,
    Grounding,
    SearchResult,
    Think,
    Turn,
)

NOTHING_FOUND = "No passage was found for this question."

EXPECTED_SOURCE_TOKENS = 2000
"""Tokens of passages that are expected when the context is chosen before they are found."""

Search: TypeAlias = Callable[[str], Awaitable[SearchResult]]
"""Returns the passages for a query."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it was asked; `replaces` is the id of a message of the turn to replace.

    `attached`: text of the user that the question is about.
    """

    text: str
    conversation_id: str | None = None
    use_rag: bool = True
    model: str | None = None
    replaces: str | None = None
    think: Think | None = None
    deep: bool = False
    attached: str = ""

    @property
    def stored(self) -> str:
        """The question as a message of the conversation, where later questions may refer to it."""
        return with_attachment(self.text, self.attached)

    @property
    def is_deep(self) -> bool:
        """Whether each part of the question is searched for."""
        return self.deep and self.use_rag


@dataclass(slots=True)
class AnswerRun:
    """The state of one question while it is answered."""

    question: Question
    turn: Turn
    began: float
    store: ConversationStore
    settings: SettingsStore
    contexts: ContextLengths
    progress: Progress
    found: SearchResult = field(default_factory=lambda: SearchResult([]))
    retrieval_ms: int = 0
    first_token_ms: int | None = None

    @property
    def is_limited(self) -> bool:
        """Whether the search was limited, so that the documents may contain more."""
        return self.found.notice_code is not None

    async def search(self, search: Search, model: AnswerModel | None) -> None:
        """Find passages for the question; `model` rewrites one that needs the conversation."""
        if not self.question.use_rag:
            return
        complete = None
        if model is not None and needs_rewriting(self.question.text, self.turn.earlier):
            await self.progress.report(0, None, "Relating the question to the conversation")
            complete = self.sized(model, REWRITE_HISTORY_TOKENS + EXPECTED_SOURCE_TOKENS).complete
        queries = await find_queries(self.question.text, self.turn.earlier, complete)
        began = time.monotonic()
        self.found = fuse([await search(query) for query in queries])
        self.retrieval_ms = _milliseconds_since(began)

    def sized(self, model: AnswerModel, prompt_tokens: int) -> AnswerModel:
        """Return the model with a context for a prompt; it never shrinks in a conversation."""
        wanted = prompt_tokens + model.reserved_tokens
        conversation = self.turn.conversation_id
        length = self.contexts.choose(model.name, conversation, wanted, model.context_limit)
        return replace(model, context_length=length)

    async def begin_text(self) -> None:
        """Note that the answer begins; one that replaces another is stored from here on."""
        if self.first_token_ms is None:
            self.first_token_ms = _milliseconds_since(self.began)
            if self.turn.replaces:
                await self.store.replace_turn(self.turn)

    async def show(self, text: str) -> None:
        """Show text of the answer, if there is any."""
        if text:
            await self.progress.text(text)

    async def save(
        self, text: str, citations: Sequence[Citation], model: str | None, grounding: Grounding
    ) -> str:
        """Store an answer with its sources, and return the id of its message."""
        record = AnswerRecord(text, model, citations, grounding)
        return await self.store.finish_turn(self.turn.conversation_id, record)

    async def conclude(
        self,
        text: str,
        citations: list[Citation],
        grounding: Grounding,
        *,
        model: str | None,
        stats: AnswerStats | None = None,
        notice: str | None = None,
    ) -> Answer:
        """Store an answer that was shown, and return it.

        Args:
            text: the whole answer.
            citations: its sources.
            grounding: what it is based on.
            model: that wrote it; None if no model could answer.
            stats: with what the model counted; the times alone by default.
            notice: what limits the answer; the notice of the search by default.
        """
        message_id = await self.save(text, citations, model, grounding)
        await self.progress.sources(citations)
        return Answer(
            text=text,
            citations=citations,
            conversation_id=self.turn.conversation_id,
            message_id=message_id,
            model=model,
            mode="generated" if model else "passages_only",
            stats=stats or self.stats(),
            notice=notice or self.found.notice,
            grounding=grounding,
            notice_code=self.found.notice_code,
        )

    def stats(
        self,
        finish: Finish | None = None,
        *,
        gate: GateStats | None = None,
        is_truncated: bool = False,
    ) -> AnswerStats:
        """Return the statistics of an answer up to now; `finish` is how the model ended."""
        return AnswerStats(
            retrieval_ms=self.retrieval_ms,
            first_token_ms=self.first_token_ms,
            total_ms=_milliseconds_since(self.began),
            prompt_tokens=finish.prompt_tokens if finish else None,
            answer_tokens=finish.answer_tokens if finish else None,
            truncated=is_truncated,
            gate=gate,
        )

    async def return_passages(self, reason: AllmaError) -> Answer:
        """Return the passages themselves, because no model can answer.

        Raises:
            AllmaError: `reason`, if a model was requested by name or a turn would be replaced.
        """
        is_named = self.question.model not in (None, AUTO) and isinstance(reason, ModelNotFound)
        if is_named or self.turn.replaces:
            raise reason
        text = str(reason)
        passages = [each for each in self.found.passages if each.path != ATTACHED]
        if passages:
            several = f"{len(passages)} best-matching passages"
            shown = "best-matching passage" if len(passages) == 1 else several
            text += f" Showing the {shown} instead."
        citations = [Citation(n, passage) for n, passage in enumerate(passages, start=1)]
        await self.show(text)
        return await self.conclude(text, citations, "none", model=None)

    async def decline(self) -> Answer:
        """Answer that nothing was found. A model could only guess, so none is asked."""
        if self.turn.replaces:
            await self.store.replace_turn(self.turn)
        text = (self.found.notice or "") if self.is_limited else NOTHING_FOUND
        await self.show(text)
        grounding = "none" if self.is_limited else "declined"
        answer = await self.conclude(text, [], grounding, model=None)
        return replace(answer, notice=None) if self.is_limited else answer


def _milliseconds_since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)
