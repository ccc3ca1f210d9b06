"""Explain how a search ranks its candidates."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from allma_server.operations.call import Call
from allma_server.operations.notices import notice_of
from allma_server.operations.scope import FileGlob, WorkspaceFolder, scope_of, sources_of
from allma_server.search.explain import explain_passages
from allma_server.types import Explanation


async def explain(
    call: Call,
    query: Annotated[str, Field(description="The query to explain.")],
    top_k: Annotated[
        int | None, Field(ge=1, le=50, description="Maximum number of passages (default 5).")
    ] = None,
    path: FileGlob = None,
    workspace: WorkspaceFolder = None,
) -> Explanation:
    """Show how a search ranks its candidates: each rank and score, and the outcome.

    The ranks are by vectors (dense), by keywords (lexical), fused and reranked. The outcome says
    why a candidate is not shown, such as a duplicate, an overlap or a low score.
    """
    scope = await scope_of(call, workspace, path)
    most = top_k or call.engine.config.top_k
    found = await explain_passages(query, most, scope, sources_of(call))
    notice, code = await notice_of(call, scope, found)
    return replace(found, notice=notice, notice_code=code)
