"""One question while it is answered: its passages, its prompt, the stream of its answer."""

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from allma_server._internal.tasks import completed
from allma_server.answering.answer_filter import AnswerFilter
from allma_server.answering.answer_model import AnswerModel
from allma_server.answering.citations import number_passages
from allma_server.answering.context_lengths import ContextLengths
from allma_server.answering.followup import (
    REWRITE_HISTORY_TOKENS,
    find_queries,
    fit_history,
    fuse,
    needs_rewriting,
)
from allma_server.answering.gate import check_answerable
from allma_server.answering.loops import LoopDetector
from allma_server.answering.models import AUTO
from allma_server.answering.prompts import Prompt, build_prompt, wanted_tokens
from allma_server.answering.refusal import REFUSAL
from allma_server.errors import (
    AllmaError,
    AnswerInterrupted,
    EmptyAnswer,
    ModelNotFound,
    ProviderUnreachable,
)
from allma_server.ports import ConversationStore, Progress, SettingsStore
from allma_server.types import (
    Answer,
    AnswerRecord,
    AnswerStats,
    Citation,
    Finish,
    GateStats,
    Grounding,
    Passage,
    ReplyEvent,
    SearchResult,
    TextDelta,
    Think,
    ThoughtDelta,
    Turn,
)

NOTHING_FOUND = "No passage was found for this question."

# Dots, or an empty code block.
_EMPTY_TEXT = re.compile(r"(?:[\s.…]|```\w*\s*```)*")

EXPECTED_SOURCE_TOKENS = 2000
"""Tokens of passages that are expected when the context is chosen before they are found."""

Search: TypeAlias = Callable[[str], Awaitable[SearchResult]]
"""Returns the passages for a query."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it was asked; `replaces` is the id of a message of the turn to replace."""

    text: str
    conversation_id: str | None = None
    use_rag: bool = True
    model: str | None = None
    replaces: str | None = None
    think: Think | None = None
    deep: bool = False

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
    sources: list[Passage] | None = None
    retrieval_ms: int = 0
    first_token_ms: int | None = None
    finish: Finish | None = None
    stopped: str | None = None
    gate: GateStats | None = None
    filter: AnswerFilter = field(default_factory=lambda: AnswerFilter("", []))

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

    async def generate(self, model: AnswerModel) -> Answer:
        """Have the model answer; if it is stopped, the partial answer is stored."""
        if self.question.use_rag and not self.found.passages:
            return await self._decline()
        model, prompt = await self._build_prompt(model)
        self.filter = self._new_filter(prompt)
        if count := len(prompt.passages):
            passages = "1 passage" if count == 1 else f"{count} passages"
            await self.progress.report(0, None, f"Reading {passages}")
        try:
            if not await self._is_refused(model, prompt):
                await self._stream_thinking(model, prompt)
        except BaseException as exc:
            rest = self.filter.cut_off()
            if isinstance(exc, AllmaError):
                await self._show(rest)
            if not _EMPTY_TEXT.fullmatch(self.filter.text):
                await completed(self._save_generated(model))
            elif isinstance(exc, ProviderUnreachable):
                return await self.return_passages(exc)
            raise
        made = self.filter
        answer = await self.conclude(model.name, made.text, self._citations, made.grounding)
        return replace(answer, stats=self._stats(prompt))

    async def _is_refused(self, model: AnswerModel, prompt: Prompt) -> bool:
        """Return whether the model says that the passages do not answer, and show that."""
        if prompt.passages and self.sources is None:
            self.gate = await check_answerable(self.question.text, model, prompt, self.settings)
        if self.gate is None or not self.gate.refused:
            return False
        await self._handle(TextDelta(REFUSAL))
        self.finish = Finish("stop")
        await self._show(self.filter.finish())
        return True

    async def conclude(
        self, model: str, text: str, citations: list[Citation], grounding: Grounding
    ) -> Answer:
        """Store an answer that was shown, and return it."""
        message_id = await self.save(text, citations, model, grounding)
        await self.progress.sources(citations)
        elapsed = _milliseconds_since(self.began)
        return Answer(
            text=text,
            citations=citations,
            conversation_id=self.turn.conversation_id,
            message_id=message_id,
            model=model,
            mode="generated",
            stats=AnswerStats(self.retrieval_ms, self.first_token_ms, elapsed, None, None, False),
            notice=self._notice(),
            grounding=grounding,
            notice_code=self.found.notice_code,
        )

    def _notice(self) -> str | None:
        """Return what limits the answer: it was stopped, the search, sources that disagree."""
        # The refusal of a limited search contains its notice already.
        limited = None if self._is_limited and self.filter.is_replaced else self.found.notice
        disagree = None
        if self.filter.disagreeing:
            disagree = "Sources [{}] and [{}] disagree.".format(*self.filter.disagreeing)
        return " ".join(filter(None, (self.stopped, limited, disagree))) or None

    async def return_passages(self, reason: AllmaError) -> Answer:
        """Return the passages themselves, because no model can answer.

        Raises:
            AllmaError: `reason`, if a model was requested by name or a turn would be replaced.
        """
        is_named = self.question.model not in (None, AUTO) and isinstance(reason, ModelNotFound)
        if is_named or self.turn.replaces:
            raise reason
        text, passages = str(reason), self.found.passages
        if passages:
            several = f"{len(passages)} best-matching passages"
            shown = "best-matching passage" if len(passages) == 1 else several
            text += f" Showing the {shown} instead."
        citations = [Citation(n, passage) for n, passage in enumerate(passages, start=1)]
        return await self._answer_without_model(text, citations, "none")

    async def _decline(self) -> Answer:
        """Answer that nothing was found. A model could only guess, so none is asked."""
        if self.turn.replaces:
            await self.store.replace_turn(self.turn)
        if self._is_limited:
            answer = await self._answer_without_model(self.found.notice or "", [], "none")
            return replace(answer, notice=None)
        return await self._answer_without_model(NOTHING_FOUND, [], "declined")

    @property
    def _is_limited(self) -> bool:
        """Whether the search was limited, so that the documents may contain more."""
        return self.found.notice_code is not None

    def _new_filter(self, prompt: Prompt) -> AnswerFilter:
        refusal = REFUSAL
        if self._is_limited:
            refusal = f"The passages found so far do not say this. {self.found.notice}"
        return AnswerFilter(self.question.text, prompt.passages, refusal=refusal)

    async def _answer_without_model(
        self, text: str, citations: list[Citation], grounding: Grounding
    ) -> Answer:
        message_id = await self.save(text, citations, None, grounding)
        await self._show(text)
        await self.progress.sources(citations)
        elapsed = _milliseconds_since(self.began)
        return Answer(
            text=text,
            citations=citations,
            conversation_id=self.turn.conversation_id,
            message_id=message_id,
            model=None,
            mode="passages_only",
            stats=AnswerStats(self.retrieval_ms, None, elapsed, None, None, False),
            notice=self.found.notice,
            grounding=grounding,
            notice_code=self.found.notice_code,
        )

    async def _build_prompt(self, model: AnswerModel) -> tuple[AnswerModel, Prompt]:
        """Build the prompt from the question, its passages and the earlier messages.

        Returns the model with the context that the prompt needs.
        """
        earlier, passages, text = self.turn.earlier, self.found.passages, self.question.text
        known = await self.store.summary(self.turn.conversation_id) if earlier else None
        known, latest = fit_history(earlier, known, model.history_tokens)
        summary = known.text if known else None
        sized = self.sized(model, wanted_tokens(text, latest, passages, summary))
        return sized, build_prompt(text, latest, passages, sized.prompt_tokens, summary=summary)

    async def _stream_thinking(self, model: AnswerModel, prompt: Prompt) -> None:
        """Stream the answer; ask again without thinking if a model only thought."""
        try:
            await self._stream(model, prompt)
        except EmptyAnswer as exc:
            if not exc.thought or model.think != "on":
                raise
            await self._stream(replace(model, think="off"), prompt)

    async def _stream(self, model: AnswerModel, prompt: Prompt) -> None:
        stream = model.stream(prompt.messages, retry=self.turn.replaces is not None)
        loops = LoopDetector()
        async with aclosing(stream) as events:
            async for event in events:
                await self._handle(event)
                if isinstance(event, TextDelta) and loops.add(event.text):
                    self.stopped = f"{model.name} repeated itself and was stopped."
                    await self._show(self.filter.cut_off())
                    return
        await self._end(model, prompt)

    async def _end(self, model: AnswerModel, prompt: Prompt) -> None:
        """Show the rest of an answer that the model ended."""
        if self.finish is None:
            raise AnswerInterrupted(
                f"{model.name} stopped before its answer was complete.",
                "Ask again to have it repeated.",
            )
        if self.finish.text is not None:
            # The text shown before turned out to be thinking: only the answer is stored.
            self.filter = self._new_filter(prompt)
            self.filter.add(self.finish.text)
        if self.finish.reason == "length":
            await self._show(self.filter.cut_off())
        else:
            await self._show(self.filter.finish())
        if _EMPTY_TEXT.fullmatch(self.filter.text):
            raise EmptyAnswer(
                f"{model.name} ended without saying anything.",
                "Ask again, or choose another model: `allma models list` shows them.",
            )

    async def _handle(self, event: ReplyEvent) -> None:
        if not isinstance(event, ThoughtDelta):
            await self.begin_text()
        match event:
            case ThoughtDelta(text):
                await self.progress.thinking(text)
            case TextDelta(text):
                await self._show(self.filter.add(text))
            case Finish():
                self.finish = event

    async def begin_text(self) -> None:
        """Note that the answer begins; one that replaces another is stored from here on."""
        if self.first_token_ms is None:
            self.first_token_ms = _milliseconds_since(self.began)
            if self.turn.replaces:
                await self.store.replace_turn(self.turn)

    async def _show(self, text: str) -> None:
        if text:
            await self.progress.text(text)

    async def _save_generated(self, model: AnswerModel) -> str:
        made = self.filter
        return await self.save(made.text, self._citations, model.name, made.grounding)

    @property
    def _citations(self) -> list[Citation]:
        """The passages of the answer; `sources` if it was given notes of passages instead."""
        if self.sources is None:
            return self.filter.citations
        return number_passages(self.sources, self.filter.cited)

    async def save(
        self, text: str, citations: Sequence[Citation], model: str | None, grounding: Grounding
    ) -> str:
        record = AnswerRecord(text, model, citations, grounding)
        return await self.store.finish_turn(self.turn.conversation_id, record)

    def _stats(self, prompt: Prompt) -> AnswerStats:
        finish = self.finish or Finish("stop")
        return AnswerStats(
            retrieval_ms=self.retrieval_ms,
            first_token_ms=self.first_token_ms,
            total_ms=_milliseconds_since(self.began),
            prompt_tokens=finish.prompt_tokens,
            answer_tokens=finish.answer_tokens,
            truncated=_is_truncated(finish, prompt) or finish.reason == "length",
            gate=self.gate,
        )


def _is_truncated(finish: Finish, prompt: Prompt) -> bool:
    # Ollama silently drops what does not fit; a token count far below the estimate reveals it.
    return (
        finish.prompt_tokens is not None
        and finish.prompt_tokens > 1
        and finish.prompt_tokens < prompt.estimated_tokens * 0.3
    )


def _milliseconds_since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)
