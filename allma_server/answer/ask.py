"""Answer a question: passages, prompt, stream, citations, history.

The question is stored before anything can fail, the answer in one transaction with its sources.
Whatever keeps a model from answering, the passages are still worth having. A question that takes
the place of an earlier one is stored when its answer begins: until then nothing is lost.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from allma_server.answer.citations import check_citations
from allma_server.answer.models import AUTO, Choices, model_in_use
from allma_server.answer.prompts import Prompt, build_prompt
from allma_server.config import Config
from allma_server.errors import (
    AllmaError,
    AnswerInterrupted,
    InvalidArgument,
    ModelNotFound,
    ProviderError,
    ProviderUnreachable,
)
from allma_server.model import (
    Answer,
    AnswerStats,
    Citation,
    Finish,
    Message,
    SearchResult,
    TextDelta,
)
from allma_server.ports import ChatModels, Progress

ANSWER_TOKENS = 1024
"""Room kept for the answer in the model's context."""

DEFAULT_CONTEXT = 4096
LARGEST_CONTEXT = 16384
"""Context asked of a model that could take more: memory grows with it."""


class Turn(Protocol):
    """A question, what was said before it, and the question it takes the place of, if any."""

    @property
    def conversation_id(self) -> str: ...
    @property
    def message_id(self) -> str: ...
    @property
    def earlier(self) -> Sequence[Message]: ...
    @property
    def replaces(self) -> str | None: ...


TurnT = TypeVar("TurnT", bound=Turn)


class History(Protocol[TurnT]):
    """The side of the catalogue that keeps conversations."""

    async def begin_turn(self, conversation_id: str | None, question: str) -> TurnT: ...
    async def plan_turn(self, replaces: str, question: str) -> TurnT: ...
    async def take_place(self, turn: TurnT) -> None: ...
    async def finish_turn(
        self,
        conversation_id: str,
        text: str,
        model: str | None,
        citations: Sequence[Citation],
    ) -> str: ...


class Conversations(History[TurnT], Choices, Protocol):
    """What answering needs of the catalogue."""


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
        AnswerInterrupted: the stream broke off; what had come is stored.
    """
    if not question.text.strip():
        raise InvalidArgument("The question is empty.", "Ask with at least one word.")
    began = time.monotonic()
    turn = await _begin(question, history)
    try:
        await progress.started(turn.conversation_id, turn.message_id)
        found = await _search(question, turn, find)
        work = _Work(turn, found, began, _since(began), history, chat, progress)
        try:
            writer = await _writer(question.model, config, history, chat)
        except (ProviderUnreachable, ModelNotFound) as exc:
            named = question.model not in (None, AUTO) and isinstance(exc, ModelNotFound)
            if named or turn.replaces:
                raise
            return await work.give_passages(exc)
        return await work.write(question.text, writer)
    except AllmaError as exc:
        exc.conversation_id = turn.conversation_id
        raise


async def _begin(question: Question, history: Conversations[TurnT]) -> TurnT:
    if question.replaces is None:
        return await history.begin_turn(question.conversation_id, question.text)
    turn = await history.plan_turn(question.replaces, question.text)
    if question.conversation_id not in (None, turn.conversation_id):
        raise InvalidArgument("The message to replace belongs to another conversation.")
    return turn


async def _search(
    question: Question, turn: Turn, find: Callable[[str], Awaitable[SearchResult]]
) -> SearchResult:
    if not question.use_rag:
        return SearchResult([])
    return await find(_standalone(question.text, turn.earlier))


@dataclass(frozen=True, slots=True)
class _Writer:
    """The model that answers, and the tokens it is given to read and write."""

    model: str
    context: int

    @property
    def prompt_tokens(self) -> int:
        # A model with little room shares it between question and answer.
        return max(self.context - ANSWER_TOKENS, self.context // 2)


async def _writer(asked: str | None, config: Config, choices: Choices, chat: ChatModels) -> _Writer:
    model = await model_in_use(asked, config, choices, chat)
    if model is None:
        raise ModelNotFound(
            "No chat model is installed.", "`allma models pull llama3.2` installs one."
        )
    return _Writer(model, await _context_length(model, chat))


@dataclass(slots=True)
class _Work(Generic[TurnT]):
    """A question with what was found for it, and its answer as far as it has come."""

    turn: TurnT
    found: SearchResult
    began: float
    retrieval_ms: int
    history: Conversations[TurnT]
    chat: ChatModels
    progress: Progress
    text: str = ""
    first_token_ms: int | None = None
    finish: Finish | None = None

    async def write(self, question: str, writer: _Writer) -> Answer:
        """Has the model answer; what had come when it is stopped stays in the history."""
        prompt = build_prompt(
            question, self.turn.earlier, self.found.passages, writer.prompt_tokens
        )
        try:
            await self._generate(writer, prompt)
        except BaseException as exc:
            if self.text:
                await asyncio.shield(self._store(self.text + " …", prompt, writer.model))
            elif isinstance(exc, ProviderUnreachable) and not self.turn.replaces:
                return await self.give_passages(exc)
            raise
        message_id, text, citations = await self._store(self.text, prompt, writer.model)
        await self.progress.sources(citations)
        return self._answer(text, citations, message_id, writer.model, self._stats(prompt))

    async def give_passages(self, why: AllmaError) -> Answer:
        """The passages themselves, where no model can be asked."""
        text, passages = str(why), self.found.passages
        if passages:
            text += f" Until then, here are the {len(passages)} passages that fit best."
        citations = [Citation(n, passage) for n, passage in enumerate(passages, start=1)]
        message_id = await self.history.finish_turn(
            self.turn.conversation_id, text, None, citations
        )
        await self.progress.text(text)
        await self.progress.sources(citations)
        stats = AnswerStats(self.retrieval_ms, None, _since(self.began), None, None, False)
        return self._answer(text, citations, message_id, None, stats)

    async def _generate(self, writer: _Writer, prompt: Prompt) -> None:
        stream = self.chat.stream(
            writer.model,
            prompt.messages,
            context_length=writer.context,
            max_tokens=ANSWER_TOKENS,
            temperature=0.2,
        )
        async with aclosing(stream) as events:
            async for event in events:
                await self._take(event)
        if self.finish is None:
            raise AnswerInterrupted(
                f"{writer.model} stopped before its answer was complete.",
                "Ask again to have it repeated.",
            )

    async def _take(self, event: TextDelta | Finish) -> None:
        if self.first_token_ms is None:
            self.first_token_ms = _since(self.began)
            if self.turn.replaces:
                await self.history.take_place(self.turn)
        match event:
            case TextDelta(text):
                self.text += text
                await self.progress.text(text)
            case Finish():
                self.finish = event

    async def _store(
        self, text: str, prompt: Prompt, model: str
    ) -> tuple[str, str, list[Citation]]:
        checked, citations = check_citations(text, prompt.passages)
        message_id = await self.history.finish_turn(
            self.turn.conversation_id, checked, model, citations
        )
        return message_id, checked, citations

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

    def _answer(
        self,
        text: str,
        citations: list[Citation],
        message_id: str,
        model: str | None,
        stats: AnswerStats,
    ) -> Answer:
        return Answer(
            text=text,
            citations=citations,
            conversation_id=self.turn.conversation_id,
            message_id=message_id,
            model=model,
            mode="generated" if model else "passages_only",
            stats=stats,
            notice=self.found.notice,
        )


async def _context_length(model: str, chat: ChatModels) -> int:
    try:
        known = (await chat.show(model)).context_length
    except (ProviderUnreachable, ModelNotFound):
        raise
    except ProviderError:
        known = None  # a provider that cannot tell can still answer
    return min(known or DEFAULT_CONTEXT, LARGEST_CONTEXT)


def _standalone(question: str, earlier: Sequence[Message]) -> str:
    """A follow-up is searched together with the question before it."""
    asked = [message.content for message in earlier if message.role == "user"]
    if asked and len(question.split()) < 8:
        return f"{asked[-1]}\n{question}"
    return question


def _truncated(finish: Finish, prompt: Prompt) -> bool:
    # Ollama drops what does not fit without a word; far fewer tokens than characters show it.
    return (
        finish.prompt_tokens is not None
        and finish.prompt_tokens > 1
        and finish.prompt_tokens < prompt.estimated_tokens * 0.3
    )


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)
