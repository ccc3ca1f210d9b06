"""Answer a question: passages, prompt, stream, citations, history.

The question is stored before anything can fail, the answer in one transaction with its sources.
Whatever keeps a model from answering, the passages are still worth having.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from allma_server.answer.citations import check_citations
from allma_server.answer.models import Choices, model_in_use
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


class History(Protocol):
    """The side of the catalogue that keeps conversations."""

    async def begin_turn(self, conversation_id: str | None, question: str) -> "Turn": ...
    async def finish_turn(
        self,
        conversation_id: str,
        text: str,
        model: str | None,
        citations: Sequence[Citation],
    ) -> str: ...


class Turn(Protocol):
    """A stored question, and what was said before it."""

    @property
    def conversation_id(self) -> str: ...
    @property
    def earlier(self) -> Sequence[Message]: ...


class Conversations(History, Choices, Protocol):
    """What answering needs of the catalogue."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it was asked; `search` finds passages for a query."""

    text: str
    conversation_id: str | None = None
    use_rag: bool = True
    model: str | None = None


@dataclass(slots=True)
class _Generated:
    text: str = ""
    first_token_ms: int | None = None
    finish: Finish | None = None


async def answer(
    question: Question,
    config: Config,
    *,
    find: Callable[[str], Awaitable[SearchResult]],
    history: Conversations,
    chat: ChatModels,
    progress: Progress,
) -> Answer:
    """Answers `question`; text goes to `progress` as it is generated, then the citations.

    Raises:
        InvalidArgument: there is no question.
        ConversationNotFound: the conversation to continue does not exist.
        ModelNotFound, ModelUnsuitable: the model that was asked for by name cannot answer.
        AnswerInterrupted: the stream broke off; what had come is stored.
    """
    if not question.text.strip():
        raise InvalidArgument("The question is empty.", "Ask with at least one word.")
    began = time.monotonic()
    turn = await history.begin_turn(question.conversation_id, question.text)
    found = (
        await find(_standalone(question.text, turn.earlier))
        if question.use_rag
        else SearchResult([])
    )
    retrieval_ms = _since(began)
    try:
        model = await model_in_use(question.model, config, history, chat)
        if model is None:
            raise ModelNotFound(
                "No chat model is installed.", "`allma models pull llama3.2` installs one."
            )
        context = await _context_length(model, chat)
    except (ProviderUnreachable, ModelNotFound) as exc:
        if question.model and isinstance(exc, ModelNotFound):
            raise
        return await _passages_only(exc, turn, found, history, progress, began, retrieval_ms)

    # A model with little room shares it between question and answer.
    room = max(context - ANSWER_TOKENS, context // 2)
    prompt = build_prompt(question.text, turn.earlier, found.passages, room)
    generated = _Generated()
    try:
        await _generate(model, prompt, context, chat, progress, generated, began)
    except BaseException as exc:
        # A stopped or broken answer keeps what was already read on the screen.
        if generated.text:
            text, citations = check_citations(generated.text, prompt.passages)
            await asyncio.shield(
                history.finish_turn(turn.conversation_id, text + " …", model, citations)
            )
        if isinstance(exc, ProviderUnreachable) and not generated.text:
            return await _passages_only(exc, turn, found, history, progress, began, retrieval_ms)
        raise
    text, citations = check_citations(generated.text, prompt.passages)
    message_id = await history.finish_turn(turn.conversation_id, text, model, citations)
    await progress.sources(citations)
    finish = generated.finish or Finish("stop")
    return Answer(
        text=text,
        citations=citations,
        conversation_id=turn.conversation_id,
        message_id=message_id,
        model=model,
        mode="generated",
        stats=AnswerStats(
            retrieval_ms=retrieval_ms,
            first_token_ms=generated.first_token_ms,
            total_ms=_since(began),
            prompt_tokens=finish.prompt_tokens,
            answer_tokens=finish.answer_tokens,
            truncated=_truncated(finish, prompt) or finish.reason == "length",
        ),
    )


async def _generate(
    model: str,
    prompt: Prompt,
    context: int,
    chat: ChatModels,
    progress: Progress,
    generated: _Generated,
    began: float,
) -> None:
    stream = chat.stream(
        model, prompt.messages, context_length=context, max_tokens=ANSWER_TOKENS, temperature=0.2
    )
    async with aclosing(stream) as events:
        async for event in events:
            match event:
                case TextDelta(text):
                    if generated.first_token_ms is None:
                        generated.first_token_ms = _since(began)
                    generated.text += text
                    await progress.text(text)
                case Finish():
                    generated.finish = event
    if generated.finish is None:
        raise AnswerInterrupted(
            f"{model} stopped before its answer was complete.", "Ask again to have it repeated."
        )


async def _passages_only(
    why: AllmaError,
    turn: Turn,
    found: SearchResult,
    history: History,
    progress: Progress,
    began: float,
    retrieval_ms: int,
) -> Answer:
    sentence = str(why)
    if found.passages:
        sentence += f" Until then, here are the {len(found.passages)} passages that fit best."
    citations = [Citation(n, passage) for n, passage in enumerate(found.passages, start=1)]
    message_id = await history.finish_turn(turn.conversation_id, sentence, None, citations)
    await progress.text(sentence)
    await progress.sources(citations)
    return Answer(
        text=sentence,
        citations=citations,
        conversation_id=turn.conversation_id,
        message_id=message_id,
        model=None,
        mode="passages_only",
        stats=AnswerStats(retrieval_ms, None, _since(began), None, None, truncated=False),
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
