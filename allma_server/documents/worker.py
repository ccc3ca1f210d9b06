"""The worker process that reads untrusted files: choose the reader, read, mask secrets, chunk.

`pool.py` starts it as `python -m allma_server.documents.worker LIMITS` (JSON) and calls it through
a pipe (`_internal/child_process.py`). The worker enforces the limits of memory and processor time;
the pool enforces the limit of elapsed time.
"""

import faulthandler
import json
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import PurePath
from typing import Any, Self, TypedDict

from allma_server._internal.child_server import Reply, serve
from allma_server._internal.resource_limits import limit_resources, peak_memory
from allma_server._internal.workspace_files import open_file
from allma_server.documents.chunking import ChunkSettings, chunk
from allma_server.documents.cpu_limit import cpu_limit
from allma_server.documents.pictures import count_pages
from allma_server.documents.readers import reader_of
from allma_server.documents.recognised import with_recognised
from allma_server.errors import AllmaError, NothingToIndex, NotRecognised, UnreadableDocument
from allma_server.secrets import mask_extract
from allma_server.types import (
    PICTURE_FORMAT,
    SCANNED,
    Chunk,
    Extract,
    Parsed,
    RecognisedPage,
    format_of,
    is_picture,
    page_ranges,
)

MAX_MEMORY = 2 << 30
"""The address space of a worker in bytes; a valid file needs a small part of it."""

CHUNKS_PER_BLOB = 200
"""Chunks in one blob of a reply; the pool lets other tasks run between two blobs."""

_NICENESS = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for each file; one larger than `file_bytes` is not read. `memory` is in bytes."""

    file_bytes: int
    chunks: ChunkSettings
    memory: int = MAX_MEMORY
    mask_secrets: bool = True

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        values = json.loads(text)
        chunks = ChunkSettings(**values["chunks"])
        return cls(**values | {"chunks": chunks})


def parse(
    path: str,
    limits: Limits,
    recognised: Mapping[int, RecognisedPage] | None = None,
    content: bytes | None = None,
) -> Parsed:
    """Read the file at `path`, or `content` in its place, and split it into chunks.

    `recognised` has the text of its scanned pages, as far as it is known; None if no text is
    recognised. There are no chunks while all of the text is in such pages and unknown.

    Raises:
        NothingToIndex: its format has no reader, it is too large, or it has no text but secrets.
        UnreadableDocument: it cannot be read, or its reader failed on it.
    """
    name = PurePath(path)
    file_format = PICTURE_FORMAT if is_picture(name) else format_of(name)
    if file_format is None:
        raise NothingToIndex(f"Allma does not read files ending in {name.suffix}.")
    try:
        if content is None:
            content = _read_file(path, limits.file_bytes)
        extract = _extract(content, name, file_format)
        if recognised is not None:
            extract = with_recognised(extract, recognised)
        if limits.mask_secrets:
            extract = mask_extract(extract)
        chunks = chunk(extract, extract.title or "", limits.chunks)
    except AllmaError:
        raise
    except MemoryError:
        raise UnreadableDocument("Reading it takes too much memory.") from None
    except RecursionError:
        raise UnreadableDocument("It is nested too deeply.") from None
    except Exception as exc:
        # Any exception that a malformed file causes in a library fails this file only.
        traceback.print_exc()
        raise UnreadableDocument(
            f"The {file_format} reader failed on it ({type(exc).__name__})."
        ) from exc
    if not chunks and SCANNED not in extract.metadata:
        raise NothingToIndex("It holds no text.")
    return Parsed(file_format, extract.title or name.name, extract.metadata, chunks)


def _extract(data: bytes, path: PurePath, file_format: str) -> Extract:
    """Read a file; one whose text is all in pictures has no text but names their pages."""
    try:
        if file_format == PICTURE_FORMAT:
            return Extract("", (), metadata={SCANNED: page_ranges(range(1, 1 + count_pages(data)))})
        return reader_of(file_format)(data, path)
    except NotRecognised as exc:
        return Extract("", (), metadata={SCANNED: page_ranges(exc.pages)})


def _read_file(path: str, max_bytes: int) -> bytes:
    try:
        with open_file(path, max_bytes) as file:
            return file.content()
    except OSError as exc:
        raise UnreadableDocument(f"It cannot be opened: {exc.strerror}.") from exc


# --- protocol -----------------------------------------------------------------------------------


class ParseCall(TypedDict):
    """The parameters of a call: a file, and the processor time that reading it may take.

    `recognised`: pages by their numbers, see `parse`.
    """

    path: str
    cpu_seconds: float
    recognised: Mapping[str, tuple[str, float, str]] | None


def handle_parse(limits: Limits, params: ParseCall, content: list[bytes]) -> Reply:
    """Reply to one call with the parsed file; `decode_chunks` reads the blobs.

    `content`: what is read in place of the file, if anything.
    """
    with cpu_limit(params["cpu_seconds"]):
        parsed = parse(params["path"], limits, _decode_pages(params["recognised"]), *content)
        rows = [_encode_chunk(chunk) for chunk in parsed.chunks]
        batches = [rows[i : i + CHUNKS_PER_BLOB] for i in range(0, len(rows), CHUNKS_PER_BLOB)]
        blobs = [json.dumps(batch).encode("ascii") for batch in batches]
    head = {
        "format": parsed.format,
        "title": parsed.title,
        "metadata": parsed.metadata,
        "peak": peak_memory(),
    }
    return head, blobs


def encode_pages(
    pages: Mapping[int, RecognisedPage] | None,
) -> dict[str, tuple[str, float, str]] | None:
    """Return recognised pages as a call has them."""
    if pages is None:
        return None
    return {str(n): (page.text, page.confidence, page.problem) for n, page in pages.items()}


def _decode_pages(
    pages: Mapping[str, tuple[str, float, str]] | None,
) -> dict[int, RecognisedPage] | None:
    if pages is None:
        return None
    return {int(n): RecognisedPage(*page) for n, page in pages.items()}


def _encode_chunk(chunk: Chunk) -> list[Any]:
    lines = chunk.start_line, chunk.end_line
    place = chunk.start, chunk.end, *lines, chunk.page
    return [chunk.index, chunk.text, *place, chunk.heading, chunk.context]


def decode_chunks(blob: bytes) -> list[Chunk]:
    """Return the chunks in one blob of a reply."""
    return [
        Chunk(index, text, start, end, first, last, page, tuple(heading), context)
        for index, text, start, end, first, last, page, heading, context in json.loads(blob)
    ]


# --- process ------------------------------------------------------------------------------------


def main() -> None:
    """Answer `parse` calls until the pool closes the pipe."""
    faulthandler.enable()
    limits = Limits.from_json(sys.argv[1])
    limit_resources(limits.memory, _NICENESS)
    serve({"parse": partial(handle_parse, limits)})


if __name__ == "__main__":
    main()
