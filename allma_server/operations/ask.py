"""Ask a question and have it answered from the index."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from allma_server.answering.ask import Question, answer
from allma_server.answering.unkept import KeptIfWritable
from allma_server.operations.call import Call
from allma_server.operations.scope import (
    FileGlob,
    MaxPassages,
    WorkspaceFolder,
    find,
    noted,
    scope_of,
)
from allma_server.operations.waiting import told_while_waiting
from allma_server.types import Answer, SearchResult


async def ask(
    call: Call,
    question: Annotated[str, Field(description="The question, in plain language.")],
    conversation_id: Annotated[str | None, Field(description="Continue this conversation.")] = None,
    use_rag: Annotated[
        bool, Field(description="false: a plain chat without the documents.")
    ] = True,
    model: Annotated[str | None, Field(description="Another chat model than the one in use.")] = (
        None
    ),
    replaces: Annotated[
        str | None,
        Field(
            description="Ask in the place of this message: its turn and all later ones go, once "
            "the new answer begins."
        ),
    ] = None,
    top_k: MaxPassages = None,
    path: FileGlob = None,
    workspace: WorkspaceFolder = None,
) -> Answer:
    """Answer a question from the user's documents, with numbered sources.

    A local model writes it; without one the passages are returned. Use search to judge the
    passages yourself.
    """
    engine = call.engine
    scope = await scope_of(call, workspace, path)

    async def passages(query: str) -> SearchResult:
        return await noted(call, scope, await find(call, query, top_k, scope))

    with engine.ingestion.pause_embedding():
        history = KeptIfWritable(engine.catalog)
        async with told_while_waiting(engine, call.progress) as progress:
            answered = await answer(
                Question(question, conversation_id, use_rag, model, replaces),
                engine.config,
                find=passages,
                history=history,
                chat=engine.chat,
                progress=progress,
            )
    notice = history.noted(answered.notice)
    return replace(answered, notice=notice)
