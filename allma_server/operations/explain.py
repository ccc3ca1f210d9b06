"""Tell why a search finds what it finds."""

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
    query: Annotated[str, Field(description="The query, as it is searched for.")],
    top_k: Annotated[
        int | None, Field(ge=1, le=50, description="How many passages (default 5).")
    ] = None,
    path: FileGlob = None,
    workspace: WorkspaceFolder = None,
) -> Explanation:
    """Show why a search finds what it finds: every candidate's places and scores, and its end.

    Says of each passage where it stands by meaning, by words, by both and after reranking, and
    why it is not shown: it repeats another, shares its lines with a better one, or came too late.
    """
    scope = await scope_of(call, workspace, path)
    most = top_k or call.engine.config.top_k
    found = await explain_passages(query, most, scope, sources_of(call))
    notice, code = await notice_of(call, scope, found)
    return replace(found, notice=notice, notice_code=code)
