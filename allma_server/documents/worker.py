"""The worker process that reads untrusted files: choose the reader, read, mask secrets, chunk.

`pool.py` starts it as `python -m allma_server.documents.worker LIMITS` (JSON) and calls it through
a pipe (`_internal/child_process.py`). The worker enforces the limits of memory and processor time;
the pool enforces the limit of elapsed time.
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
from typing import Any, Self, TypedDict

from allma_server._internal.child_server import Reply, serve
from allma_server._internal.workspace_files import open_file
from allma_server.documents.chunking import ChunkSettings, chunk
from allma_server.documents.cpu_limit import cpu_limit
from allma_server.documents.readers import reader_of
from allma_server.errors import AllmaError, NothingToIndex, UnreadableDocument
from allma_server.secrets import mask_extract
from allma_server.types import Chunk, Parsed, format_of

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


def parse(path: str, limits: Limits) -> Parsed:
    """Read the file at `path` and split it into chunks.

    Raises:
        NothingToIndex: its format has no reader, it is too large, or it has no text but secrets.
        UnreadableDocument: it cannot be read, or its reader failed on it.
    """
    name = PurePath(path)
    if (file_format := format_of(name)) is None:
        raise NothingToIndex(f"Allma does not read files ending in {name.suffix}.")
    try:
        extract = reader_of(file_format)(_read_file(path, limits.file_bytes), name)
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
    if not chunks:
        raise NothingToIndex("It holds no text.")
    return Parsed(file_format, extract.title or name.name, extract.metadata, chunks)


def _read_file(path: str, max_bytes: int) -> bytes:
    try:
        with open_file(path, max_bytes) as file:
            return file.content()
    except OSError as exc:
        raise UnreadableDocument(f"It cannot be opened: {exc.strerror}.") from exc


# --- protocol -----------------------------------------------------------------------------------


class ParseCall(TypedDict):
    """The parameters of a call: a file, and the processor time that reading it may take."""

    path: str
    cpu_seconds: float


def handle_parse(limits: Limits, params: ParseCall, _: list[bytes]) -> Reply:
    """Reply to one call with the parsed file; `decode_chunks` reads the blobs."""
    with cpu_limit(params["cpu_seconds"]):
        parsed = parse(params["path"], limits)
        rows = [_encode_chunk(chunk) for chunk in parsed.chunks]
        batches = [rows[i : i + CHUNKS_PER_BLOB] for i in range(0, len(rows), CHUNKS_PER_BLOB)]
        blobs = [json.dumps(batch).encode("ascii") for batch in batches]
    head = {
        "format": parsed.format,
        "title": parsed.title,
        "metadata": parsed.metadata,
        "peak": _peak_memory(),
    }
    return head, blobs


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


def _peak_memory() -> int:
    """Return the peak memory of this process in bytes; 0 where the system does not report it."""
    with contextlib.suppress(OSError):
        # On Linux, `ru_maxrss` includes the memory of the parent before `exec`.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _limit_resources(memory: int) -> None:
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
    """Answer `parse` calls until the pool closes the pipe."""
    faulthandler.enable()
    limits = Limits.from_json(sys.argv[1])
    _limit_resources(limits.memory)
    serve({"parse": partial(handle_parse, limits)})


if __name__ == "__main__":
    main()
