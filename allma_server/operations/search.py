"""Find passages."""

from typing import Annotated

from pydantic import Field

from allma_server.operations.call import Call
from allma_server.operations.scope import (
    FileGlob,
    MaxPassages,
    WorkspaceFolder,
    find,
    scope_of,
    with_notice,
)
from allma_server.operations.text import location, render, warnings
from allma_server.types import SearchResult


async def search(
    call: Call,
    query: Annotated[str, Field(description="Words, a question or a symbol.")],
    top_k: MaxPassages = None,
    path: FileGlob = None,
    workspace: WorkspaceFolder = None,
) -> SearchResult:
    """Find the passages that best match a query by meaning and keywords, with file, lines and page.

    Use it before opening files when you do not know where something is, and for documents that
    text search cannot read (PDF, DOCX).
    """
    scope = await scope_of(call, workspace, path)
    return await with_notice(call, scope, await find(call, query, top_k, scope))


@render.register
def _search_text(result: SearchResult) -> str:
    blocks = [
        f"{n}. {location(p)} (chunk {p.chunk_id}, {p.score:.2f}){warnings(p)}\n{p.text.strip()}"
        for n, p in enumerate(result.passages, start=1)
    ]
    if not blocks and not result.notice_code:
        blocks = ["No passages found."]
    if result.notice:
        blocks.append(result.notice)
    return "\n\n".join(blocks)
