"""Read lines of a document: from its file if that is plain text, else from the index."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import quote, unquote

from allma_server._internal.lines import FileLines, named_lines, split_lines
from allma_server._internal.path_text import path_of_uri
from allma_server._internal.paths import real
from allma_server.errors import DocumentNotFound, InvalidArgument, UnreadableDocument
from allma_server.secrets import mask
from allma_server.types import SHARED, Document, Excerpt, Passage, chunk_id, row_id

_DOCUMENT_URI = "allma://document/"

MAX_EXCERPT_LENGTH = 40_000
"""Characters returned at once; the caller reads on from the following line."""

CONTEXT_LINES_AFTER = 40
"""Lines read beyond the last one, because they may show that it contains a secret: for example the
type of a JSON Web Key follows its members."""


class DocumentReader(Protocol):
    """The part of the catalogue that reading uses."""

    async def document(self, path: str) -> Document | None: ...
    async def document_by_id(self, document_id: int) -> Document | None: ...
    async def is_approved(self, document_id: int) -> bool: ...
    async def chunk(self, chunk_id: int) -> Passage | None: ...
    async def extracted_text(
        self, document_id: int, first_chunk: int | None = None, last_chunk: int | None = None
    ) -> tuple[str, list[int]]: ...


class FileReader(Protocol):
    """Reads the documents' files as they are now.

    Raises:
        UnreadableDocument: the file must no longer be read.
    """

    async def lines(
        self, document: Document, first: int, last: int | None, max_bytes: int, /
    ) -> FileLines | None: ...
    async def find_change(self, document: Document, /) -> str | None: ...


async def read_excerpt(
    source: str,
    start_line: int | None,
    end_line: int | None,
    neighbors: int,
    *,
    catalog: DocumentReader,
    files: FileReader,
    live: frozenset[str],
    mask_secrets: bool = True,
) -> Excerpt:
    """Return lines of a document.

    Args:
        source: a path, `allma://document/ID` or a chunk id. It may end with line numbers, as in
            `a.md:3-7` or `a.md#L3-L7`, unless a document has this whole name.
        start_line: the first line, from 1; takes precedence over those in `source`.
        end_line: the last line.
        neighbors: how many chunks before and after a chunk id to include.
        catalog: the index.
        files: the documents' files.
        live: the plain-text formats, which are read from disk; of other formats the extracted
            text is returned.
        mask_secrets: whether secrets are masked, as in the index.

    Raises:
        DocumentNotFound: the document is not in the index.
        UnreadableDocument: its file must no longer be read.
        InvalidArgument: the lines are in the wrong order or beyond the last line.
    """
    if (chunk := chunk_id(source)) is not None:
        return await _around_chunk(chunk, neighbors, catalog, files)
    document, start_line, end_line = await _resolve(source, start_line, end_line, catalog)
    notice = None
    if await catalog.is_approved(document.id):
        if document.format in live:
            excerpt = await _from_disk(document, start_line, end_line, files, mask_secrets)
            if excerpt is not None:
                return excerpt
        notice = await files.find_change(document)
    text, lines = await catalog.extracted_text(document.id)
    return _excerpt(document.path, text, lines, start_line, end_line, "index", notice)


SHARED_URI = "allma://shared/"


def is_shared(source: str) -> bool:
    """Return whether a source names a document that another engine shares."""
    return source.startswith((SHARED.strip(), SHARED_URI))


class SharedReader(Protocol):
    """Reads documents of others: their text without overlaps, each line's number, if it is cut."""

    async def extracted_text(self, name: str, path: str) -> tuple[str, list[int], bool]: ...


async def read_shared(
    source: str, start_line: int | None, end_line: int | None, reader: SharedReader
) -> Excerpt:
    """Return lines of a document that another engine shares, as the cluster has it.

    `source` is `shared: NAME/PATH` or `allma://shared/NAME/PATH`, and may end with line numbers.

    Raises:
        DocumentNotFound: nobody shares such a document.
        ShareFailed: the cluster does not answer.
        InvalidArgument: the lines are beyond the last one.
    """
    place, *rest = named_lines(source) or (source,)
    if rest and start_line is None and end_line is None:
        start_line, end_line = rest
    if place.startswith(SHARED_URI):
        place = unquote(place.removeprefix(SHARED_URI).partition("#")[0])
    name, _, path = place.removeprefix(SHARED.strip()).strip().partition("/")
    text, lines, is_cut = await reader.extracted_text(name, path)
    notice = "Only its beginning: a cluster returns no more of a document." if is_cut else None
    return _excerpt(f"{SHARED}{name}/{path}", text, lines, start_line, end_line, "shared", notice)


async def _resolve(
    source: str, start_line: int | None, end_line: int | None, catalog: DocumentReader
) -> tuple[Document, int | None, int | None]:
    """Return the document that `source` names, and the lines to read of it.

    Raises:
        DocumentNotFound: it is not in the index.
        InvalidArgument: the lines are in the wrong order.
    """
    name = source.strip()
    # A file name may begin or end with a space.
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
            "Only indexed files can be read: `allma documents` lists them.",
        )
    return document, start_line, end_line


def _is_uri(name: str) -> bool:
    # In a URI, the part after `#` is never part of the file name.
    return "#" in name and name.lower().startswith(("file:", "allma:"))


async def _from_disk(
    document: Document,
    start_line: int | None,
    end_line: int | None,
    files: FileReader,
    mask_secrets: bool,
) -> Excerpt | None:
    """Return lines of the file as it is now; None if only the index has the text."""
    last = end_line + CONTEXT_LINES_AFTER if end_line else None
    found = await files.lines(document, start_line or 1, last, 4 * MAX_EXCERPT_LENGTH)
    return None if found is None else _decode(document, found, end_line, mask_secrets)


async def _document(name: str, catalog: DocumentReader) -> Document | None:
    if not name.lower().startswith(_DOCUMENT_URI):
        path = path_of_uri(name) or name
        return await catalog.document(str(Path(path))) or await catalog.document(await real(path))
    number = name[len(_DOCUMENT_URI) :].split("#")[0].removesuffix(".md")
    id = row_id(number)
    return await catalog.document_by_id(id) if id is not None else None


def _decode(
    document: Document, found: FileLines, end_line: int | None, mask_secrets: bool
) -> Excerpt | None:
    """Return the lines as an excerpt; None if the file is not UTF-8, as the index has its text."""
    _check_first(document.path, found.first, found.total)
    if found.head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        return None
    try:
        *whole, last = found.lines or [b""]
        lines = [line.decode() for line in whole]
        # If the limit of bytes was reached, the last line may end inside a character.
        is_cut = sum(map(len, found.lines)) >= 3 * MAX_EXCERPT_LENGTH
        lines.append(last.decode(errors="ignore" if is_cut else "strict"))
    except UnicodeDecodeError:
        return None
    if found.first == 1:
        lines[0] = lines[0].removeprefix("\ufeff")
    if any("\0" in line for line in lines):
        return None
    if mask_secrets:
        lines = _mask(found.before, lines)
    if end_line:
        lines = lines[: end_line - found.first + 1]
    numbers = range(found.first, found.first + len(lines))
    return _limit(document.path, lines, numbers, found.total, "disk")


def _mask(before: list[bytes], lines: list[str]) -> list[str]:
    """Mask the secrets in the lines, including those that begin in the lines before."""
    above = [line.decode(errors="replace") for line in before]
    return mask("\n".join([*above, *lines])).text.split("\n")[len(above) :]


def _check_first(path: str, first: int, last: int) -> None:
    if first > max(last, 1):
        raise InvalidArgument(
            f"{path} ends at line {last}, before line {first}.",
            "Read from an earlier line.",
        )


async def _around_chunk(
    chunk: int, neighbors: int, catalog: DocumentReader, files: FileReader
) -> Excerpt:
    passage = await catalog.chunk(chunk)
    document = await catalog.document_by_id(passage.document_id) if passage else None
    if passage is None or document is None:
        raise DocumentNotFound(
            f"There is no chunk {chunk}.", "Its document may have changed: search again."
        )
    text, lines = await catalog.extracted_text(
        document.id, max(0, passage.chunk_index - neighbors), passage.chunk_index + neighbors
    )
    notice = None
    if await catalog.is_approved(document.id):
        try:
            notice = await files.find_change(document)
        except UnreadableDocument as exc:
            notice = exc.message
    return _excerpt(document.path, text, lines, None, None, "index", notice)


def _excerpt(
    path: str,
    text: str,
    lines: Sequence[int],
    start_line: int | None,
    end_line: int | None,
    source: Literal["disk", "index", "shared"],
    notice: str | None,
) -> Excerpt:
    """Return lines `start_line` to `end_line` of `text`; `lines` has the number of each line."""
    rows = split_lines(text)
    lines = lines[: len(rows)] or [1]
    first, last = lines[0], lines[-1]
    if start_line is not None:
        _check_first(path, start_line, last)
    begin = bisect_left(lines, max(start_line or first, first))
    stop = bisect_right(lines, min(end_line or last, last), begin)
    # The numbers are those of the file, so the requested lines may be between two of them.
    stop = max(stop, begin + 1)
    excerpt = _limit(path, rows[begin:stop], lines[begin:stop], last, source)
    return replace(excerpt, notice=notice)


def _limit(
    path: str,
    rows: list[str],
    lines: Sequence[int],
    last: int,
    source: Literal["disk", "index", "shared"],
) -> Excerpt:
    """Return as many of these rows as fit into an excerpt; `lines` has the number of each."""
    fitting: list[str] = []
    size = 0
    for row in rows:
        size += len(row) + 1
        if size > MAX_EXCERPT_LENGTH and fitting:
            break
        fitting.append(row[:MAX_EXCERPT_LENGTH])
    start, end = lines[0], lines[max(len(fitting) - 1, 0)]
    return Excerpt(
        path=path,
        text="\n".join(fitting),
        start_line=start,
        end_line=end,
        total_lines=last,
        uri=f"{_uri(path)}#L{start}-L{end}",
        source=source,
    )


def _uri(path: str) -> str:
    if path.startswith(SHARED):
        return f"{SHARED_URI}{quote(path.removeprefix(SHARED))}"
    return Path(path).as_uri()
