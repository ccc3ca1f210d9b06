"""Answer a question: search, prompt, generation, citations, storage.

The question is stored before anything can fail, and the answer in one transaction with its sources.
If no model can answer, the passages themselves are returned. A question that replaces an earlier
one is stored when its answer begins, so nothing is lost if there is no answer.
"""

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from allma_server._internal.tasks import completed
from allma_server.answering.answer_filter import AnswerFilter
from allma_server.answering.answer_model import AnswerModel, find_answer_model
from allma_server.answering.followup import rewrite_follow_up, summarize_history
from allma_server.answering.gate import check_answerable
from allma_server.answering.models import AUTO
from allma_server.answering.prompts import Prompt, build_prompt
from allma_server.answering.refusal import REFUSAL
from allma_server.answering.repetition import RepetitionDetector
from allma_server.config import Config
from allma_server.errors import (
    AllmaError,
    AnswerInterrupted,
    EmptyAnswer,
    InvalidArgument,
    ModelNotFound,
    ProviderUnreachable,
)
from allma_server.ports import ChatModels, ConversationStore, Progress, SettingsStore
from allma_server.types import (
    Answer,
    AnswerRecord,
    AnswerStats,
    Citation,
    Finish,
    GateStats,
    Grounding,
    SearchResult,
    TextDelta,
    Turn,
)

NOTHING_FOUND = "No passage was found for this question."

# Dots, or an empty code block.
_EMPTY_TEXT = re.compile(r"(?:[\s.…]|```\w*\s*```)*")

HISTORY_SHARE = 0.25
"""Share of the prompt's tokens for earlier messages, beyond which they are summarized."""

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


async def answer(
    question: Question,
    config: Config,
    *,
    search: Search,
    store: ConversationStore,
    settings: SettingsStore,
    chat: ChatModels,
    progress: Progress,
) -> Answer:
    """Answer `question`; text goes to `progress` as it is generated, then the citations.

    Raises:
        InvalidArgument: the question is empty, or replaces one of another conversation.
        ConversationNotFound: the conversation to continue or the message to replace is unknown.
        ModelNotFound, ModelUnsuitable: the model requested by name cannot answer.
        ProviderUnreachable: the provider does not answer, and the question was to replace another.
        EmptyAnswer: the model generated nothing; no answer is stored.
        AnswerInterrupted: the stream broke off; the partial answer is stored and marked as such.
    """
    if not question.text.strip():
        raise InvalidArgument("The question is empty.", "Ask with at least one word.")
    began = time.monotonic()
    # A model that does not exist is a typing mistake: check it before the question is stored.
    requested = await _requested_model(question, config, settings, chat)
    turn = await _begin_turn(question, store)
    run = _AnswerRun(question, turn, began, store, settings, progress)
    try:
        await progress.started(turn.conversation_id, turn.message_id)
        try:
            model = requested or await find_answer_model(question.model, config, settings, chat)
        except (ProviderUnreachable, ModelNotFound) as exc:
            await run.search(search, None)
            return await run.return_passages(exc)
        await run.search(search, model)
        return await run.generate(model)
    except AllmaError as exc:
        exc.conversation_id = turn.conversation_id
        raise


async def _requested_model(
    question: Question, config: Config, settings: SettingsStore, chat: ChatModels
) -> AnswerModel | None:
    """Return the model that the question names; None if it names none or this is unknown yet.

    Raises:
        ModelNotFound: it does not exist.
    """
    if question.model in (None, AUTO):
        return None
    try:
        return await find_answer_model(question.model, config, settings, chat)
    except ModelNotFound as exc:
        exc.conversation_id = question.conversation_id
        raise
    except AllmaError:
        return None


async def _begin_turn(question: Question, store: ConversationStore) -> Turn:
    if question.replaces is None:
        return await store.begin_turn(question.conversation_id, question.text)
    turn = await store.plan_turn(question.replaces, question.text)
    if question.conversation_id not in (None, turn.conversation_id):
        raise InvalidArgument("The message to replace belongs to another conversation.")
    return turn


@dataclass(slots=True)
class _AnswerRun:
    """The state of one question while it is answered."""

    question: Question
    turn: Turn
    began: float
    store: ConversationStore
    settings: SettingsStore
    progress: Progress
    found: SearchResult = field(default_factory=lambda: SearchResult([]))
    retrieval_ms: int = 0
    first_token_ms: int | None = None
    finish: Finish | None = None
    gate: GateStats | None = None
    repetition: RepetitionDetector = field(default_factory=RepetitionDetector)
    filter: AnswerFilter = field(default_factory=lambda: AnswerFilter("", []))

    async def search(self, search: Search, model: AnswerModel | None) -> None:
        """Find passages for the question, rewritten first if it is a follow-up."""
        if not self.question.use_rag:
            return
        complete = model.complete if model else None
        query = await rewrite_follow_up(self.question.text, self.turn.earlier, complete)
        began = time.monotonic()
        self.found = await search(query)
        self.retrieval_ms = _milliseconds_since(began)

    async def generate(self, model: AnswerModel) -> Answer:
        """Have the model answer; if it is stopped, the partial answer is stored."""
        if self.question.use_rag and not self.found.passages:
            return await self._decline()
        prompt = await self._build_prompt(model)
        self.filter = self._new_filter(prompt)
        try:
            if prompt.passages:
                self.gate = await check_answerable(self.question.text, model, prompt, self.settings)
            if self.gate is not None and self.gate.refused:
                await self._handle(TextDelta(REFUSAL))
                self.finish = Finish("stop")
                await self._show(self.filter.finish())
            else:
                await self._stream(model, prompt)
        except BaseException as exc:
            rest = self.filter.cut_off()
            if isinstance(exc, AllmaError):
                await self._show(rest)
            if not _EMPTY_TEXT.fullmatch(self.filter.text):
                await completed(self._save_generated(model))
            elif isinstance(exc, ProviderUnreachable):
                return await self.return_passages(exc)
            raise
        message_id = await self._save_generated(model)
        await self.progress.sources(self.filter.citations)
        # A refusal contains the notice already.
        has_notice = self._is_limited and self.filter.is_replaced
        return Answer(
            text=self.filter.text,
            citations=self.filter.citations,
            conversation_id=self.turn.conversation_id,
            message_id=message_id,
            model=model.name,
            mode="generated",
            stats=self._stats(prompt),
            notice=None if has_notice else self._notice(),
            grounding=self.filter.grounding,
            notice_code=self.found.notice_code,
        )

    def _notice(self) -> str | None:
        """Return what limits the answer: the search's notice, and sources that disagree."""
        notices = [self.found.notice] if self.found.notice else []
        if self.filter.disagreeing:
            notices.append("Sources [{}] and [{}] disagree.".format(*self.filter.disagreeing))
        return " ".join(notices) or None

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
        return AnswerFilter(self.question.text, prompt.passages, refusal)

    async def _answer_without_model(
        self, text: str, citations: list[Citation], grounding: Grounding
    ) -> Answer:
        message_id = await self._save(text, citations, None, grounding)
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

    async def _build_prompt(self, model: AnswerModel) -> Prompt:
        """Build the prompt from the question, its passages and the earlier messages."""
        id, earlier = self.turn.conversation_id, self.turn.earlier
        known = await self.store.summary(id) if earlier else None
        budget = int(model.prompt_tokens * HISTORY_SHARE)
        summary, latest = await summarize_history(earlier, known, budget, model.complete)
        if summary is not None and summary != known:
            await self.store.save_summary(id, summary)
        return build_prompt(
            self.question.text,
            latest,
            self.found.passages,
            model.prompt_tokens,
            summary=summary.text if summary else None,
        )

    async def _stream(self, model: AnswerModel, prompt: Prompt) -> None:
        stream = model.stream(prompt.messages, retry=self.turn.replaces is not None)
        async with aclosing(stream) as events:
            async for event in events:
                await self._handle(event)
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

    async def _handle(self, event: TextDelta | Finish) -> None:
        if self.first_token_ms is None:
            self.first_token_ms = _milliseconds_since(self.began)
            if self.turn.replaces:
                await self.store.replace_turn(self.turn)
        match event:
            case TextDelta(text):
                await self._show(self.filter.add(text))
                if self.repetition.add(text):
                    raise AnswerInterrupted(
                        "The model began to repeat itself and was stopped.",
                        "Ask in other words, or choose another model.",
                    )
            case Finish():
                self.finish = event

    async def _show(self, text: str) -> None:
        if text:
            await self.progress.text(text)

    async def _save_generated(self, model: AnswerModel) -> str:
        made = self.filter
        return await self._save(made.text, made.citations, model.name, made.grounding)

    async def _save(
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
