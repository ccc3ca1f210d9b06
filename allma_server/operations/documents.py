"""List the documents and the state of each."""

from typing import Annotated

from pydantic import Field

from allma_server._internal.path_text import readable
from allma_server.operations.call import Call
from allma_server.operations.paths import EVERYTHING, ClientPath
from allma_server.operations.scope import indexed_folder
from allma_server.operations.text import paged, render
from allma_server.types import DocumentPage, DocumentState


async def documents(
    call: Call,
    workspace: Annotated[
        str | None, Field(description="Only this workspace folder."), ClientPath.WORKSPACE
    ] = None,
    state: Annotated[DocumentState | None, Field(description="Only this state.")] = None,
    cursor: Annotated[str | None, Field(description="next_cursor of the previous page.")] = None,
    limit: Annotated[int, Field(ge=1, le=1000, description="Rows in a page.")] = 100,
) -> DocumentPage:
    """List the workspaces' files, and why a file was skipped or failed."""
    named = workspace if workspace != EVERYTHING else None
    folder = await indexed_folder(call, named) if named else None
    folders = [folder] if folder else []
    return await call.engine.catalog.document_page(folders, state, cursor, limit)


@render.register
def _documents_text(result: DocumentPage) -> str:
    lines = [
        f"{d.id} {readable(d.path)} "
        f"({d.state}{f': {d.reason}' if d.reason else f', {d.chunks} chunks'})"
        for d in result.documents
    ]
    return paged(lines, f"{result.total} documents", result.next_cursor)
