"""Read a document's lines, wherever they can be had."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from allma_server._internal.lines import FileLines, named_lines, split_lines
from allma_server._internal.path_text import path_of_uri
from allma_server._internal.paths import real
from allma_server.errors import DocumentNotFound, InvalidArgument
from allma_server.secrets import mask
from allma_server.types import Document, Excerpt, Passage, row_id

LARGEST_EXCERPT = 40_000
"""Characters returned at once; the rest is had by asking for the following lines."""


LINES_AFTER = 40
"""Lines behind the last one that may tell that it holds a secret, as the type of a key does."""


class DocumentReader(Protocol):
    """What reading needs of the catalogue."""

    async def document(self, path: str) -> Document | None: ...
    async def document_by_id(self, document_id: int) -> Document | None: ...
    async def is_approved(self, document_id: int) -> bool: ...
    async def chunk(self, chunk_id: int) -> Passage | None: ...
    async def extracted_text(
        self, document_id: int, first_chunk: int | None = None, last_chunk: int | None = None
    ) -> tuple[str, list[int]]: ...


class Disk(Protocol):
    """The documents' files as they are now.

    Raises:
        UnreadableDocument: a file may not be read any more.
    """

    async def lines(
        self, document: Document, first: int, last: int | None, most: int
    ) -> FileLines | None: ...
    async def check(self, document: Document) -> None: ...


async def read_excerpt(
    source: str,
    start_line: int | None,
    end_line: int | None,
    neighbors: int,
    *,
    catalog: DocumentReader,
    disk: Disk,
    live: frozenset[str],
    mask_secrets: bool = True,
) -> Excerpt:
    """Lines of a document named by path, `allma://document/ID` or chunk id.

    The name may end with the lines, as in `a.md:3-7` or `a.md#L3-L7`, where no document has the
    whole name; `start_line` and `end_line` come before these.

    A format in `live` is plain text and is read from disk as it is now; others are given as the
    text that was extracted from them. Secrets are masked as in the index.

    Raises:
        DocumentNotFound: it is not in the index.
        UnreadableDocument: its file may not be read any more.
        InvalidArgument: the lines are the wrong way round, or beyond the last one.
    """
    name = source.strip()
    if (chunk_id := row_id(name)) is not None:
        return await _around_chunk(chunk_id, neighbors, catalog)
    # A file's name may begin or end with a blank.
    document = await _document(source, catalog) or await _document(name, catalog)
    if (named := named_lines(name)) is not None and (document is None or _is_uri(name)):
        document = await _document(named[0], catalog)
        if start_line is None and end_line is None:
            _, start_line, end_line = named
    if start_line and end_line and end_line < start_line:
        raise InvalidArgument(f"end_line {end_line} is before start_line {start_line}.")
    if document is None or document.state != "indexed":
        raise DocumentNotFound(
            f"{source!r} is not in the index.",
            "The documents list shows what is; only indexed files are read.",
        )
    if await catalog.is_approved(document.id):
        excerpt = await _from_disk(document, start_line, end_line, disk, live, mask_secrets)
        if excerpt is not None:
            return excerpt
    text, lines = await catalog.extracted_text(document.id)
    return _excerpt(document, text, lines, start_line, end_line, "index")


def _is_uri(name: str) -> bool:
    # What follows a `#` in one never belongs to the file's name.
    return "#" in name and name.startswith(("file:", "allma:"))


async def _from_disk(
    document: Document,
    start_line: int | None,
    end_line: int | None,
    disk: Disk,
    live: frozenset[str],
    mask_secrets: bool,
) -> Excerpt | None:
    """The lines of a document's file as they are now; None where only the index has them."""
    if document.format not in live:
        await disk.check(document)
        return None
    last = end_line + LINES_AFTER if end_line else None
    found = await disk.lines(document, start_line or 1, last, 4 * LARGEST_EXCERPT)
    return None if found is None else _of_file(document, found, end_line, mask_secrets)


async def _document(name: str, catalog: DocumentReader) -> Document | None:
    if not name.startswith("allma://document/"):
        path = path_of_uri(name) or name
        return await catalog.document(str(Path(path))) or await catalog.document(await real(path))
    number = name.removeprefix("allma://document/").split("#")[0].removesuffix(".md")
    id = row_id(number)
    return await catalog.document_by_id(id) if id is not None else None


def _of_file(
    document: Document, found: FileLines, end_line: int | None, mask_secrets: bool
) -> Excerpt | None:
    """Lines of a file as an excerpt; None when it is not UTF-8: the index has its text."""
    _check_first(document, found.first, found.total)
    if found.head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        return None
    try:
        *whole, last = found.lines or [b""]
        kept = [line.decode() for line in whole]
        # Where there was too much to read, the last one ends anywhere.
        is_cut = sum(map(len, found.lines)) >= 3 * LARGEST_EXCERPT
        kept.append(last.decode(errors="ignore" if is_cut else "strict"))
    except UnicodeDecodeError:
        return None
    if found.first == 1:
        kept[0] = kept[0].removeprefix("\ufeff")
    if any("\0" in line for line in kept):
        return None
    if mask_secrets:
        kept = _masked(found.before, kept)
    if end_line:
        kept = kept[: end_line - found.first + 1]
    lines = range(found.first, found.first + len(kept))
    return _shown(document, kept, lines, found.total, "disk")


def _masked(before: list[bytes], lines: list[str]) -> list[str]:
    """The lines without their secrets, some of which begin in the lines before."""
    above = [line.decode(errors="replace") for line in before]
    return mask("\n".join([*above, *lines])).text.split("\n")[len(above) :]


def _check_first(document: Document, first: int, last: int) -> None:
    if first > max(last, 1):
        raise InvalidArgument(
            f"{document.path} ends at line {last}, before line {first}.",
            "Read from an earlier line.",
        )


async def _around_chunk(chunk_id: int, neighbors: int, catalog: DocumentReader) -> Excerpt:
    passage = await catalog.chunk(chunk_id)
    document = await catalog.document_by_id(passage.document_id) if passage else None
    if passage is None or document is None:
        raise DocumentNotFound(
            f"There is no chunk {chunk_id}.", "Its document may have changed; search again."
        )
    text, lines = await catalog.extracted_text(
        document.id, max(0, passage.chunk_index - neighbors), passage.chunk_index + neighbors
    )
    return _excerpt(document, text, lines, None, None, "index")


def _excerpt(
    document: Document,
    text: str,
    lines: Sequence[int],
    start_line: int | None,
    end_line: int | None,
    source: Literal["disk", "index"],
) -> Excerpt:
    """The part of `text` on lines `start_line` to `end_line`; `lines` has those of its own."""
    rows = split_lines(text)
    lines = lines[: len(rows)] or [1]
    first, last = lines[0], lines[-1]
    if start_line is not None:
        _check_first(document, start_line, last)
    begin = bisect_left(lines, max(start_line or first, first))
    stop = bisect_right(lines, min(end_line or last, last), begin)
    # Where lines are those of another text, there may be none of the ones that were asked for.
    stop = max(stop, begin + 1)
    return _shown(document, rows[begin:stop], lines[begin:stop], last, source)


def _shown(
    document: Document,
    rows: list[str],
    lines: Sequence[int],
    last: int,
    source: Literal["disk", "index"],
) -> Excerpt:
    """As many of these rows, which stand on `lines`, as an excerpt holds."""
    kept: list[str] = []
    size = 0
    for row in rows:
        size += len(row) + 1
        if size > LARGEST_EXCERPT and kept:
            break
        kept.append(row[:LARGEST_EXCERPT])
    start, end = lines[0], lines[max(len(kept) - 1, 0)]
    return Excerpt(
        path=document.path,
        text="\n".join(kept),
        start_line=start,
        end_line=end,
        total_lines=last,
        uri=f"{Path(document.path).as_uri()}#L{start}-L{end}",
        source=source,
    )
