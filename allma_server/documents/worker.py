"""The process that reads untrusted files: finds the reader, reads, chunks, answers.

It runs as `python -m allma_server.documents.worker LIMITS` (JSON) behind the pipe of `child.py`. It
keeps the limits of memory and processor time itself; how long a call may take in all is kept by the
other end, `pool.py`.
"""

import contextlib
import faulthandler
import json
import os
import sys
import traceback
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any, Self

from allma_server._internal.child_server import Reply, serve
from allma_server._internal.workspace_files import open_file
from allma_server.documents.chunking import ChunkSettings, chunk
from allma_server.documents.cpu_limit import cpu_limit
from allma_server.documents.readers import reader_of
from allma_server.errors import AllmaError, NothingToIndex, UnreadableDocument
from allma_server.secrets import mask_extract
from allma_server.types import Chunk, Parsed, format_of

MEMORY = 2 << 30
"""Address space of a worker in bytes; a sound file needs a small part of it."""

BATCH = 200
"""Chunks in one blob of an answer, so that the other end can pause between them."""

_NICENESS = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for each file, in bytes; a file larger than `file_bytes` is not read."""

    file_bytes: int
    chunks: ChunkSettings
    memory: int = MEMORY
    mask_secrets: bool = True

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        values = json.loads(text)
        chunks = ChunkSettings(**values["chunks"])
        return cls(**values | {"chunks": chunks})


def parse(path: str, limits: Limits) -> Parsed:
    """The file at `path`, read and cut into chunks.

    Raises:
        NothingToIndex: it is of no readable format, too large, holds no text, or only secrets.
        UnreadableDocument: it cannot be read, or its reader failed on it.
    """
    name = PurePath(path)
    if (file_format := format_of(name)) is None:
        raise NothingToIndex(f"Allma does not read files ending in {name.suffix}.")
    try:
        extract = reader_of(file_format)(_content(path, limits.file_bytes), name)
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
        # Whatever a strange file does to a library, it is this file that failed.
        traceback.print_exc()
        raise UnreadableDocument(
            f"The {file_format} reader failed on it ({type(exc).__name__})."
        ) from exc
    if not chunks:
        raise NothingToIndex("It holds no text.")
    return Parsed(file_format, extract.title or name.name, extract.metadata, chunks)


def _content(path: str, most: int) -> bytes:
    try:
        with open_file(path, most) as file:
            return file.content()
    except OSError as exc:
        raise UnreadableDocument(f"It cannot be opened: {exc.strerror}.") from exc


# --- the wire -----------------------------------------------------------------------------------


def answer(limits: Limits, params: dict[str, Any], _: list[bytes]) -> Reply:
    """The reply to one call; `unpacked` reads it."""
    with cpu_limit(params["cpu_seconds"]):
        parsed = parse(params["path"], limits)
        rows = [_row(chunk) for chunk in parsed.chunks]
        batches = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
        blobs = [json.dumps(batch).encode("ascii") for batch in batches]
    head = {
        "format": parsed.format,
        "title": parsed.title,
        "metadata": parsed.metadata,
        "peak": _peak_memory(),
    }
    return head, blobs


def _row(chunk: Chunk) -> list[Any]:
    lines = chunk.start_line, chunk.end_line
    place = chunk.start, chunk.end, *lines, chunk.page
    return [chunk.index, chunk.text, *place, chunk.heading, chunk.context]


def unpacked(blob: bytes) -> list[Chunk]:
    """The chunks in one blob of an answer."""
    return [
        Chunk(index, text, start, end, first, last, page, tuple(heading), context)
        for index, text, start, end, first, last, page, heading, context in json.loads(blob)
    ]


# --- the process --------------------------------------------------------------------------------


def _peak_memory() -> int:
    """The most this process ever held, in bytes; 0 where the system does not say."""
    with contextlib.suppress(OSError):
        # Linux counts what the parent held before this program began into `ru_maxrss`.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _confine(memory: int) -> None:
    if sys.platform == "win32":
        return
    import resource

    os.nice(_NICENESS)
    # macOS has the limit but may refuse to set it.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Answers `parse` calls until the other end hangs up."""
    faulthandler.enable()
    limits = Limits.from_json(sys.argv[1])
    _confine(limits.memory)
    serve({"parse": partial(answer, limits)})


if __name__ == "__main__":
    main()
