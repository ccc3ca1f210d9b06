"""Read a document's lines, wherever they can be had."""

import asyncio
from pathlib import Path
from typing import Literal, Protocol

from allma_server.errors import DocumentNotFound, InvalidArgument
from allma_server.model import Document, Excerpt, Passage
from allma_server.paths import real

LARGEST_EXCERPT = 40_000
"""Characters returned at once; the rest is had by asking for the following lines."""


class Library(Protocol):
    """What reading needs of the catalogue."""

    async def document(self, path: str) -> Document | None: ...
    async def document_by_id(self, document_id: int) -> Document | None: ...
    async def chunk(self, chunk_id: int) -> Passage | None: ...
    async def extracted_text(
        self, document_id: int, first_chunk: int | None = None, last_chunk: int | None = None
    ) -> tuple[str, int]: ...


async def read_excerpt(
    source: str,
    start_line: int | None,
    end_line: int | None,
    neighbors: int,
    *,
    catalog: Library,
    live: frozenset[str],
) -> Excerpt:
    """Lines of a document named by path, `allma://document/ID` or chunk id.

    A format in `live` is plain text and is read from disk as it is now; others are given as the
    text that was extracted from them.

    Raises:
        DocumentNotFound: it is not in the index.
        InvalidArgument: the lines are the wrong way round.
    """
    if start_line and end_line and end_line < start_line:
        raise InvalidArgument(f"end_line {end_line} is before start_line {start_line}.")
    name = source.strip()
    if name.isdigit():
        return await _around_chunk(int(name), neighbors, catalog)
    document = await _document(name, catalog)
    if document is None or document.state != "indexed":
        raise DocumentNotFound(
            f"{source!r} is not in the index.",
            "The documents list shows what is; only indexed files are read.",
        )
    if document.format in live and (text := await _on_disk(document.path)) is not None:
        return _excerpt(document, text, 1, start_line, end_line, "disk")
    text, first = await catalog.extracted_text(document.id)
    return _excerpt(document, text, first, start_line, end_line, "index")


async def _document(name: str, catalog: Library) -> Document | None:
    if not name.startswith("allma://document/"):
        path = name.removeprefix("file://")
        return await catalog.document(str(Path(path))) or await catalog.document(await real(path))
    number = name.removeprefix("allma://document/").split("#")[0].removesuffix(".md")
    return await catalog.document_by_id(int(number)) if number.isdigit() else None


async def _on_disk(path: str) -> str | None:
    """A file's text; None when it moved or has another encoding: the index still has its text."""
    try:
        return await asyncio.to_thread(Path(path).read_text, "utf-8")
    except (OSError, UnicodeDecodeError):
        return None


async def _around_chunk(chunk_id: int, neighbors: int, catalog: Library) -> Excerpt:
    passage = await catalog.chunk(chunk_id)
    document = await catalog.document_by_id(passage.document_id) if passage else None
    if passage is None or document is None:
        raise DocumentNotFound(
            f"There is no chunk {chunk_id}.", "Its document may have changed; search again."
        )
    text, first = await catalog.extracted_text(
        document.id, max(0, passage.chunk_index - neighbors), passage.chunk_index + neighbors
    )
    return _excerpt(document, text, first, None, None, "index")


def _excerpt(
    document: Document,
    text: str,
    first: int,
    start_line: int | None,
    end_line: int | None,
    source: Literal["disk", "index"],
) -> Excerpt:
    lines = text.splitlines()
    last = first + len(lines) - 1
    start = min(max(start_line or first, first), max(last, first))
    end = min(end_line or last, last)
    kept: list[str] = []
    size = 0
    for line in lines[start - first : end - first + 1]:
        size += len(line) + 1
        if size > LARGEST_EXCERPT and kept:
            break
        kept.append(line[:LARGEST_EXCERPT])
    end = start + len(kept) - 1
    return Excerpt(
        path=document.path,
        text="\n".join(kept),
        start_line=start,
        end_line=max(end, start),
        total_lines=last,
        uri=f"{Path(document.path).as_uri()}#L{start}-L{max(end, start)}",
        source=source,
    )
