"""Remove files and folders from the index."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from allma_server._internal.path_text import readable
from allma_server.operations.call import Call
from allma_server.operations.paths import ClientPath
from allma_server.operations.share import erase_shared
from allma_server.operations.suggestions import suggest_similar
from allma_server.operations.text import render
from allma_server.types import ForgetReport


async def forget(
    call: Call,
    path: Annotated[
        str,
        Field(description="An indexed file, folder or workspace."),
        ClientPath.FILE,
    ],
) -> ForgetReport:
    """Remove a file, folder or workspace from the index, never from disk."""
    async with suggest_similar(call, path):
        report = await call.engine.ingestion.forget(path)
    call.engine.answers.clear()
    erased = await erase_shared(call, report.path)
    return replace(report, notice=" ".join(filter(None, (report.notice, erased))) or None)


@render.register
def _forget_text(result: ForgetReport) -> str:
    what = "The workspace" if result.workspace_removed else "It"
    return (
        f"{what} {readable(result.path)} was removed from the index: {result.documents} documents, "
        f"{result.chunks} chunks. No file on disk was changed."
        + (f" {result.notice}" if result.notice else "")
    )
