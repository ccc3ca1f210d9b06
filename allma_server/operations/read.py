"""Read a document, or the text around a passage."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from allma_server._internal.lines import named_lines
from allma_server._internal.path_text import readable
from allma_server.operations.call import Call
from allma_server.operations.paths import ClientPath
from allma_server.operations.scope import unsaved_of
from allma_server.operations.suggestions import suggest_similar
from allma_server.operations.text import render
from allma_server.search.read import is_shared, read_excerpt, read_shared
from allma_server.storage.shared.folders import no_cluster
from allma_server.storage.unsaved import UnsavedFiles, UnsavedPassages
from allma_server.types import Excerpt

PLAIN_FORMATS = frozenset(
    "text markdown rst asciidoc org latex subtitles po code csv json xml".split()
)
"""Formats whose text is the file itself, so the current file can be shown."""


async def read(
    call: Call,
    source: Annotated[
        str,
        Field(description="A file path (a.md, a.md:3-7), an allma:// URI or a chunk id."),
        ClientPath.SOURCE,
    ],
    start_line: Annotated[int | None, Field(ge=1, description="First line to read.")] = None,
    end_line: Annotated[int | None, Field(ge=1, description="Last line to read.")] = None,
    neighbors: Annotated[
        int, Field(ge=0, le=20, description="With a chunk id: chunks before and after it.")
    ] = 0,
) -> Excerpt:
    """Read lines of an indexed document, or the text around a passage.

    PDF, office documents and books are read as extracted text.
    """
    if is_shared(source):
        if (shared := call.engine.sharing.search) is None:
            raise no_cluster()
        return await read_shared(source, start_line, end_line, shared)
    catalog, files = call.engine.catalog, call.engine.ingestion.current_files
    unsaved = await unsaved_of(call)
    async with suggest_similar(call, named[0] if (named := named_lines(source)) else source):
        excerpt = await read_excerpt(
            source,
            start_line,
            end_line,
            neighbors,
            catalog=UnsavedPassages(catalog, unsaved) if unsaved else catalog,
            files=UnsavedFiles(files, unsaved) if unsaved else files,
            live=PLAIN_FORMATS,
            mask_secrets=call.engine.config.mask_secrets,
        )
    if unsaved is None or not unsaved.has(excerpt.path):
        return excerpt
    return replace(excerpt, source="unsaved", notice="This is the unsaved text of an open editor.")


@render.register
def _excerpt_text(result: Excerpt) -> str:
    where = f"{readable(result.path)}:{result.start_line}-{result.end_line}"
    head = f"{where} of {result.total_lines} lines"
    more = f"\n[{result.notice}]" if result.notice else ""
    if result.end_line < result.total_lines:
        more += f"\n… more from line {result.end_line + 1}."
    return f"{head}\n\n{result.text}{more}"
