"""Answer a question: search, prompt, generation, citations, storage.

The question is stored before anything can fail, and the answer in one transaction with its sources.
If no model can answer, the passages themselves are returned. A question that replaces an earlier
one is stored when its answer begins, so nothing is lost if there is no answer.
"""

import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from allma_server._internal.tasks import background_tasks
from allma_server.answering.answer_model import AnswerModel, find_answer_model
from allma_server.answering.answer_run import AnswerRun, Question, Search
from allma_server.answering.context_lengths import ContextLengths
from allma_server.answering.deep import answer_deeply
from allma_server.answering.followup import needs_rewriting, summarize_history
from allma_server.answering.generation import generate_answer
from allma_server.answering.models import AUTO
from allma_server.answering.summary import answer_summary
from allma_server.config import Config
from allma_server.errors import AllmaError, InvalidArgument, ModelNotFound, ProviderUnreachable
from allma_server.ports import ChatModels, ConversationStore, Progress, SettingsStore
from allma_server.types import Answer, ChatMessage, SearchResult, Turn

Later = Callable[[Coroutine[Any, Any, None]], None]
"""Starts work that nobody waits for, and that the next question stops."""


async def answer(
    question: Question,
    config: Config,
    *,
    search: Search,
    store: ConversationStore,
    settings: SettingsStore,
    chat: ChatModels,
    contexts: ContextLengths,
    progress: Progress,
    later: Later,
    outline: SearchResult | None = None,
) -> Answer:
    """Answer `question`; text goes to `progress` as it is generated, then the citations.

    With `outline`, the answer is a summary of these passages.

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
    run = AnswerRun(question, turn, began, store, settings, contexts, progress)
    find_model = partial(_model_or_failure, requested, question, config, settings, chat)
    try:
        await progress.started(turn.conversation_id, turn.message_id)
        model = await _find_passages(run, search, outline, find_model)
        if isinstance(model, ProviderUnreachable | ModelNotFound):
            return await run.return_passages(model)
        if isinstance(model, AllmaError):
            raise model
        answered = await _generate(run, model, search, outline)
    except AllmaError as exc:
        exc.conversation_id = turn.conversation_id
        raise
    if turn.earlier:
        later(_update_summary(run, model))
    return answered


async def _model_or_failure(
    requested: AnswerModel | None,
    question: Question,
    config: Config,
    settings: SettingsStore,
    chat: ChatModels,
) -> AnswerModel | AllmaError:
    """Return the model that answers, or why there is none: a task must not raise."""
    if requested is not None:
        return requested
    try:
        return await find_answer_model(question.model, config, settings, chat, question.think)
    except AllmaError as exc:
        return exc


async def _find_passages(
    run: AnswerRun,
    search: Search,
    outline: SearchResult | None,
    find_model: Callable[[], Coroutine[Any, Any, AnswerModel | AllmaError]],
) -> AnswerModel | AllmaError:
    """Find the passages of an answer, and the model or why there is none."""
    question = run.question
    if outline is not None:
        run.found = outline
        return await find_model()
    if question.is_deep or needs_rewriting(question.text, run.turn.earlier):
        model = await find_model()
        if not isinstance(model, AnswerModel):
            await run.search(search, None)
        elif not question.is_deep:
            await run.search(search, model)
        return model
    # The model is looked up while the passages are searched.
    async with background_tasks() as tasks:
        finding = tasks.create_task(find_model())
        await run.search(search, None)
        return await finding


async def _generate(
    run: AnswerRun, model: AnswerModel, search: Search, outline: SearchResult | None
) -> Answer:
    if outline is not None:
        return await answer_summary(run, model, outline)
    if run.question.is_deep:
        return await answer_deeply(run, model, search)
    return await generate_answer(run, model)


async def _update_summary(run: AnswerRun, model: AnswerModel) -> None:
    """Summarize the messages that will no longer fit into the next prompt."""

    async def complete(messages: Sequence[ChatMessage], max_tokens: int) -> str:
        # With another context length than the answer's, the model would be loaded again, twice.
        sized = run.sized(model, model.history_tokens + max_tokens)
        return await sized.complete(messages, max_tokens)

    conversation_id, store = run.turn.conversation_id, run.store
    earlier = (await store.unstored_turn(conversation_id, "")).earlier
    known = await store.summary(conversation_id)
    summary, _ = await summarize_history(earlier, known, model.history_tokens, complete)
    if summary is not None and summary != known:
        await store.save_summary(conversation_id, summary)


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
        return await find_answer_model(question.model, config, settings, chat, question.think)
    except ModelNotFound as exc:
        exc.conversation_id = question.conversation_id
        raise
    except AllmaError:
        return None


async def _begin_turn(question: Question, store: ConversationStore) -> Turn:
    if question.replaces is None:
        return await store.begin_turn(question.conversation_id, question.stored)
    turn = await store.plan_turn(question.replaces, question.stored)
    if question.conversation_id not in (None, turn.conversation_id):
        raise InvalidArgument("The message to replace belongs to another conversation.")
    return turn
