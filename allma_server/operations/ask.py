"""Answer a question from the index."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

from pydantic import Field

from allma_server.answering.answer_run import Question
from allma_server.answering.ask import answer
from allma_server.answering.attachment import attached_passage
from allma_server.answering.cache import repeat_answer
from allma_server.answering.read_only import ReadOnlyFallback
from allma_server.operations.cached_answers import answer_key, find_answer
from allma_server.operations.calibrating import begin_calibration
from allma_server.operations.call import Call
from allma_server.operations.conversations import whole_id
from allma_server.operations.outline import outline
from allma_server.operations.scope import (
    FileGlob,
    MaxPassages,
    WorkspaceFolder,
    find,
    scope_of,
    with_notice,
)
from allma_server.operations.text import location, render, warnings
from allma_server.operations.waiting import report_waiting
from allma_server.search.search import Scope
from allma_server.secrets import masked
from allma_server.types import Answer, Citation, SearchResult, Think

LONGEST_TEXT = 100_000
THINK = "Whether the model thinks first, where it can."


async def ask(
    call: Call,
    question: Annotated[str, Field(description="The question, in plain language.")],
    conversation_id: Annotated[str | None, Field(description="Continue this conversation.")] = None,
    use_rag: Annotated[bool, Field(description="false: chat without the documents.")] = True,
    model: Annotated[str | None, Field(description="Use this chat model for the answer.")] = None,
    think: Annotated[Think | None, Field(description=THINK)] = None,
    deep: Annotated[bool, Field(description="Search for each part of the question.")] = False,
    replaces: Annotated[
        str | None,
        Field(
            description="Replace the turn of this message, and all later ones, once the new answer "
            "begins."
        ),
    ] = None,
    text: Annotated[
        str | None,
        Field(max_length=LONGEST_TEXT, description="The user's own text that this is about."),
    ] = None,
    top_k: MaxPassages = None,
    path: FileGlob = None,
    workspace: WorkspaceFolder = None,
) -> Answer:
    """Answer a question from the user's documents, with numbered sources.

    A local model writes the answer; without one, the passages are returned.
    """
    engine = call.engine
    scope = await scope_of(call, workspace, path)
    attached = await _masked(call, text or "")
    if conversation_id is not None:
        conversation_id = await whole_id(call, conversation_id)
    asked = Question(question, conversation_id, use_rag, model, replaces, think, deep, attached)
    store = ReadOnlyFallback(engine.catalog)
    key = await answer_key(call, asked, top_k, scope)
    if (known := await find_answer(call, key)) is not None:
        answered = await repeat_answer(asked.stored, known, store, call.progress)
    else:
        answered = await _answer(call, asked, top_k, scope, store)
        if key is not None and key == await answer_key(call, asked, top_k, scope):
            engine.answers.add(key, answered)
        begin_calibration(engine, answered)
    return replace(answered, notice=store.extend_notice(answered.notice))


async def _answer(
    call: Call, asked: Question, top_k: int | None, scope: Scope, store: ReadOnlyFallback
) -> Answer:
    engine = call.engine

    async def passages(query: str) -> SearchResult:
        return await with_notice(call, scope, await find(call, query, top_k, scope))

    async def attached_passages(query: str) -> SearchResult:
        found = await passages(query) if asked.use_rag else SearchResult([])
        return replace(found, passages=[attached_passage(asked.attached), *found.passages])

    summarised = None
    if asked.use_rag and not asked.attached:
        summarised = await outline(call, asked.text, scope)
    engine.ongoing.stop()
    async with report_waiting(engine, call.progress) as progress:
        return await answer(
            replace(asked, use_rag=asked.use_rag or bool(asked.attached)),
            engine.config,
            search=attached_passages if asked.attached else passages,
            store=store,
            settings=engine.catalog,
            chat=engine.chat,
            contexts=engine.ongoing.contexts,
            progress=progress,
            outline=summarised,
            later=partial(engine.ongoing.start, engine.tasks),
        )


async def _masked(call: Call, text: str) -> str:
    """Return a text of the user without the secrets that it may contain."""
    if not text.strip() or not call.engine.config.mask_secrets:
        return text.strip()
    return await asyncio.to_thread(masked, text.strip())


@render.register
def _answer_text(result: Answer) -> str:
    parts = [result.text]
    if result.caution:
        parts.append(result.caution)
    if sources := _sources(result.citations, only_cited=result.mode == "generated"):
        parts.append(sources)
    if result.notice:
        parts.append(result.notice)
    if result.conversation_id:
        parts.append(f"(conversation_id: {result.conversation_id})")
    return "\n\n".join(parts)


def _sources(citations: Sequence[Citation], *, only_cited: bool) -> str:
    """Return the numbered sources of an answer; all with their text if not `only_cited`."""
    cited = [c for c in citations if c.cited] if only_cited else list(citations)
    if not cited:
        return ""
    lines = [f"[{c.number}] {location(c.passage)}{warnings(c.passage)}" for c in cited]
    if not only_cited:
        lines = [
            f"{line}\n{c.passage.text.strip()}\n" for line, c in zip(lines, cited, strict=True)
        ]
    return "\n".join(["Sources:", *lines])
