"""Take something out of the index."""

from typing import Annotated

from pydantic import Field

from allma_server.operations.call import Call
from allma_server.operations.paths import ClientPath
from allma_server.operations.suggestions import suggesting
from allma_server.types import ForgetReport


async def forget(
    call: Call,
    path: Annotated[
        str,
        Field(description="A file, a folder or a workspace that is indexed."),
        ClientPath.FILE,
    ],
) -> ForgetReport:
    """Remove a file, folder or workspace from the index, never from disk."""
    async with suggesting(call, path):
        return await call.engine.ingestion.forget(path)
