"""What an answer depends on, and whether an earlier one may be given again."""

from collections.abc import Hashable

from allma_server.answering.answer_run import Question
from allma_server.answering.cache import CachedAnswer
from allma_server.answering.models import model_in_use
from allma_server.errors import AllmaError
from allma_server.operations.call import Call
from allma_server.search.search import Scope
from allma_server.search.staleness import mark_stale


async def answer_key(
    call: Call, asked: Question, top_k: int | None, scope: Scope
) -> Hashable | None:
    """Return everything that an answer depends on; None if it must not be given again.

    That is the question without a conversation, its scope and the documents there as they are, the
    grants of who asks, the model, and all settings. Unsaved texts change too often.
    """
    engine = call.engine
    if (
        not engine.config.response_cache_seconds
        or asked.conversation_id is not None
        or asked.replaces is not None
        or engine.ingestion.unsaved.seen_by(call.principal)
    ):
        return None
    try:
        model = await model_in_use(asked.model, engine.config, engine.catalog, engine.chat)
        embedder = await engine.embedder.name()
        index = await engine.catalog.index_state(scope.folders, scope.globs)
    except AllmaError:
        return None  # the question itself reports it
    return (
        asked.text.strip(),
        asked.attached,
        asked.use_rag,
        asked.think,
        asked.deep,
        model,
        top_k,
        scope,
        index,
        embedder,
        call.principal.workspaces,
        engine.config,
    )


async def find_answer(call: Call, key: Hashable | None) -> CachedAnswer | None:
    """Return an earlier answer; None if there is none, or a file that it cites has changed."""
    if key is None:
        return None
    seconds = call.engine.config.response_cache_seconds
    if (known := call.engine.answers.find(key, seconds)) is None:
        return None
    passages = [citation.passage for citation in known.answer.citations]
    current = await mark_stale(passages, await call.engine.catalog.facts(passages))
    return None if any(passage.stale for passage in current) else known
