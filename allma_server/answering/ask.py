"""Answer a question: passages, prompt, stream, citations, history.

The question is stored before anything can fail, the answer in one transaction with its sources.
Whatever keeps a model from answering, the passages are still worth having. A question that takes
the place of an earlier one is stored when its answer begins: until then nothing is lost.
"""

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Generic

from allma_server._internal.tasks import completed
from allma_server.answering.answer_filter import AnswerFilter
from allma_server.answering.followup import standalone, summed_up
from allma_server.answering.models import AUTO
from allma_server.answering.prompts import Prompt, build_prompt
from allma_server.answering.refusal import NOT_SAID
from allma_server.answering.turns import Conversations, TurnT
from allma_server.answering.writer import Writer, writer_in_use
from allma_server.config import Config
from allma_server.errors import (
    AllmaError,
    AnswerInterrupted,
    EmptyAnswer,
    InvalidArgument,
    ModelNotFound,
    ProviderUnreachable,
)
from allma_server.ports import ChatModels, Progress
from allma_server.types import (
    Answer,
    AnswerStats,
    Citation,
    Finish,
    Grounding,
    SearchResult,
    TextDelta,
)

NOTHING_FOUND = "No passage was found for this question."

# Dots, an empty block of code.
_SAYS_NOTHING = re.compile(r"(?:[\s.…]|```\w*\s*```)*")

HISTORY_SHARE = 0.25
"""Of the room for a prompt, what earlier turns may take before they are summed up."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it was asked; `replaces` names a message of the turn it is to stand for."""

    text: str
    conversation_id: str | None = None
    use_rag: bool = True
    model: str | None = None
    replaces: str | None = None


async def answer(
    question: Question,
    config: Config,
    *,
    find: Callable[[str], Awaitable[SearchResult]],
    history: Conversations[TurnT],
    chat: ChatModels,
    progress: Progress,
) -> Answer:
    """Answers `question`; text goes to `progress` as it is generated, then the citations.

    Raises:
        InvalidArgument: there is no question, or it replaces one of another conversation.
        ConversationNotFound: the conversation to continue or the message to replace is not there.
        ModelNotFound, ModelUnsuitable: the model that was asked for by name cannot answer.
        ProviderUnreachable: nobody answers, and the question was to replace another.
        EmptyAnswer: the model said nothing; nothing is stored in the place of its answer.
        AnswerInterrupted: the stream broke off; what had come is stored, marked as cut off.
    """
    if not question.text.strip():
        raise InvalidArgument("The question is empty.", "Ask with at least one word.")
    began = time.monotonic()
    # A question to a model that does not exist is a mistyped one: nothing is kept of it.
    asked_for = await _asked_for(question, config, history, chat)
    turn = await _begin(question, history)
    work = _Work(question, turn, began, history, progress)
    try:
        await progress.started(turn.conversation_id, turn.message_id)
        try:
            writer = asked_for or await writer_in_use(question.model, config, history, chat)
        except (ProviderUnreachable, ModelNotFound) as exc:
            await work.search(find, None)
            return await work.give_passages(exc)
        await work.search(find, writer)
        return await work.write(writer)
    except AllmaError as exc:
        exc.conversation_id = turn.conversation_id
        raise


async def _asked_for(
    question: Question, config: Config, history: Conversations[TurnT], chat: ChatModels
) -> Writer | None:
    """The model that the question names; None where it names none, or nobody can tell.

    Raises:
        ModelNotFound: it does not exist.
    """
    if question.model in (None, AUTO):
        return None
    try:
        return await writer_in_use(question.model, config, history, chat)
    except ModelNotFound as exc:
        exc.conversation_id = question.conversation_id
        raise
    except AllmaError:
        return None


async def _begin(question: Question, history: Conversations[TurnT]) -> TurnT:
    if question.replaces is None:
        return await history.begin_turn(question.conversation_id, question.text)
    turn = await history.plan_turn(question.replaces, question.text)
    if question.conversation_id not in (None, turn.conversation_id):
        raise InvalidArgument("The message to replace belongs to another conversation.")
    return turn


@dataclass(slots=True)
class _Work(Generic[TurnT]):
    """A question with what was found for it, and how far its answer has come."""

    question: Question
    turn: TurnT
    began: float
    history: Conversations[TurnT]
    progress: Progress
    found: SearchResult = field(default_factory=lambda: SearchResult([]))
    retrieval_ms: int = 0
    first_token_ms: int | None = None
    finish: Finish | None = None
    draft: AnswerFilter = field(default_factory=lambda: AnswerFilter("", []))

    async def search(
        self, find: Callable[[str], Awaitable[SearchResult]], writer: Writer | None
    ) -> None:
        """Finds passages for the question, made whole if it is a follow-up."""
        if not self.question.use_rag:
            return
        complete = writer.complete if writer else None
        query = await standalone(self.question.text, self.turn.earlier, complete)
        began = time.monotonic()
        self.found = await find(query)
        self.retrieval_ms = _since(began)

    async def write(self, writer: Writer) -> Answer:
        """Has the model answer; what had come when it is stopped stays in the history."""
        if self.question.use_rag and not self.found.passages:
            return await self._decline()
        prompt = await self._prompt(writer)
        self.draft = self._draft(prompt)
        try:
            await self._generate(writer, prompt)
        except BaseException as exc:
            rest = self.draft.cut_off()
            if isinstance(exc, AllmaError):
                await self._show(rest)
            if not _SAYS_NOTHING.fullmatch(self.draft.text):
                await completed(self._keep(writer))
            elif isinstance(exc, ProviderUnreachable):
                return await self.give_passages(exc)
            raise
        message_id = await self._keep(writer)
        await self.progress.sources(self.draft.citations)
        told = self._limited and self.draft.grounding == "declined"  # what limits it, by a refusal
        return Answer(
            text=self.draft.text,
            citations=self.draft.citations,
            conversation_id=self.turn.conversation_id,
            message_id=message_id,
            model=writer.model,
            mode="generated",
            stats=self._stats(prompt),
            notice=None if told else self.found.notice,
            grounding=self.draft.grounding,
            notice_code=self.found.notice_code,
        )

    async def give_passages(self, why: AllmaError) -> Answer:
        """The passages themselves, where no model can be asked.

        Raises:
            AllmaError: `why`, when a certain model was asked for, or an earlier turn would be lost.
        """
        named = self.question.model not in (None, AUTO) and isinstance(why, ModelNotFound)
        if named or self.turn.replaces:
            raise why
        text, passages = str(why), self.found.passages
        if passages:
            several = f"{len(passages)} best-matching passages"
            shown = "best-matching passage" if len(passages) == 1 else several
            text += f" Showing the {shown} instead."
        citations = [Citation(n, passage) for n, passage in enumerate(passages, start=1)]
        return await self._say(text, citations, "none")

    async def _decline(self) -> Answer:
        """No model is asked about documents that were not found: nobody has read any."""
        if self.turn.replaces:
            await self.history.replace_turn(self.turn)
        if self._limited:
            told = await self._say(self.found.notice or "", [], "none")
            return replace(told, notice=None)
        return await self._say(NOTHING_FOUND, [], "declined")

    @property
    def _limited(self) -> bool:
        """Whether the documents may say more than could be found."""
        return self.found.notice_code is not None

    def _draft(self, prompt: Prompt) -> AnswerFilter:
        not_said = NOT_SAID
        if self._limited:
            not_said = f"The passages found so far do not say this. {self.found.notice}"
        return AnswerFilter(self.question.text, prompt.passages, not_said)

    async def _say(self, text: str, citations: list[Citation], grounding: Grounding) -> Answer:
        """An answer without a model."""
        message_id = await self._store(text, citations, None, grounding)
        await self._show(text)
        await self.progress.sources(citations)
        return Answer(
            text=text,
            citations=citations,
            conversation_id=self.turn.conversation_id,
            message_id=message_id,
            model=None,
            mode="passages_only",
            stats=AnswerStats(self.retrieval_ms, None, _since(self.began), None, None, False),
            notice=self.found.notice,
            grounding=grounding,
            notice_code=self.found.notice_code,
        )

    async def _prompt(self, writer: Writer) -> Prompt:
        """The question with its passages, and with what was said before."""
        id, earlier = self.turn.conversation_id, self.turn.earlier
        known = await self.history.summary(id) if earlier else None
        room = int(writer.prompt_tokens * HISTORY_SHARE)
        summary, latest = await summed_up(earlier, known, room, writer.complete)
        if summary is not None and summary != known:
            await self.history.keep_summary(id, summary)
        return build_prompt(
            self.question.text,
            latest,
            self.found.passages,
            writer.prompt_tokens,
            summary=summary.text if summary else None,
        )

    async def _generate(self, writer: Writer, prompt: Prompt) -> None:
        stream = writer.stream(prompt.messages, again=self.turn.replaces is not None)
        async with aclosing(stream) as events:
            async for event in events:
                await self._take(event)
        if self.finish is None:
            raise AnswerInterrupted(
                f"{writer.model} stopped before its answer was complete.",
                "Ask again to have it repeated.",
            )
        if self.finish.text is not None:
            # What was shown before was thinking: what is kept is the answer alone.
            self.draft = self._draft(prompt)
            self.draft.add(self.finish.text)
        if self.finish.reason == "length":
            await self._show(self.draft.cut_off())
        else:
            await self._show(self.draft.finish())
        if _SAYS_NOTHING.fullmatch(self.draft.text):
            raise EmptyAnswer(
                f"{writer.model} ended without saying anything.",
                "Ask again, or choose another model: `allma models list` shows them.",
            )

    async def _take(self, event: TextDelta | Finish) -> None:
        if self.first_token_ms is None:
            self.first_token_ms = _since(self.began)
            if self.turn.replaces:
                await self.history.replace_turn(self.turn)
        match event:
            case TextDelta(text):
                await self._show(self.draft.add(text))
            case Finish():
                self.finish = event

    async def _show(self, text: str) -> None:
        if text:
            await self.progress.text(text)

    async def _keep(self, writer: Writer) -> str:
        draft = self.draft
        return await self._store(draft.text, draft.citations, writer.model, draft.grounding)

    async def _store(
        self, text: str, citations: Sequence[Citation], model: str | None, grounding: Grounding
    ) -> str:
        id = self.turn.conversation_id
        return await self.history.finish_turn(id, text, model, citations, grounding)

    def _stats(self, prompt: Prompt) -> AnswerStats:
        finish = self.finish or Finish("stop")
        return AnswerStats(
            retrieval_ms=self.retrieval_ms,
            first_token_ms=self.first_token_ms,
            total_ms=_since(self.began),
            prompt_tokens=finish.prompt_tokens,
            answer_tokens=finish.answer_tokens,
            truncated=_truncated(finish, prompt) or finish.reason == "length",
        )


def _truncated(finish: Finish, prompt: Prompt) -> bool:
    # Ollama drops what does not fit without a word; far fewer tokens than characters show it.
    return (
        finish.prompt_tokens is not None
        and finish.prompt_tokens > 1
        and finish.prompt_tokens < prompt.estimated_tokens * 0.3
    )


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)
