"""A pool of worker processes that read files; a file that crashes one fails alone."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from allma_server._internal.child_process import Child, ChildFailed
from allma_server.config import Config, child_environment
from allma_server.documents import cpu_limit
from allma_server.documents.chunking import ChunkSettings
from allma_server.documents.worker import Limits, ParseCall, decode_chunks, encode_pages
from allma_server.errors import LimitReached, UnreadableDocument
from allma_server.ports import Embedder
from allma_server.types import Chunk, Parsed, RecognisedPage

IDLE_SECONDS = 30.0
FILES_PER_PROCESS = 2_000
MAX_PEAK_MEMORY = 600 << 20
DOUBLE_TIME_BYTES = 5 << 20
"""The size at which a file gets twice the time limit of a small one, in bytes."""

WALL_FACTOR = 30
"""The limit of elapsed time, as a multiple of the limit of processor time.

Readers run at low priority and get a small share of a busy machine, so only a process that is
blocked or stopped reaches this limit.
"""

_CLOSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class ParserPool:
    """Implements `ports.Parser` with child processes that read one file at a time each.

    A process starts when a file needs it, and ends when it was idle for `idle_seconds`, has read
    FILES_PER_PROCESS files, or has held more than MAX_PEAK_MEMORY bytes. A small file may take
    `cpu_seconds` of processor time, and `wall_factor` times as long in all. `spare` processes are
    reserved for urgent files.
    """

    def __init__(
        self,
        limits: Limits,
        workers: int,
        cpu_seconds: float,
        idle_seconds: float = IDLE_SECONDS,
        wall_factor: float = WALL_FACTOR,
        spare: int = 0,
    ) -> None:
        self._cpu_seconds = cpu_seconds
        self._wall_factor = wall_factor
        arguments = (limits.to_json(),)
        environment = child_environment()
        self._free = [
            _Worker(
                Child("allma_server.documents.worker", arguments, environment=environment),
                idle_seconds,
            )
            for _ in range(workers + spare)
        ]
        self._workers = tuple(self._free)
        self._all_slots = asyncio.Semaphore(workers + spare)
        self._regular_slots = asyncio.Semaphore(workers)

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that are running."""
        return [pid for worker in self._workers if (pid := worker.child.pid)]

    async def parse(
        self,
        path: str,
        size: int = 0,
        *,
        urgent: bool = False,
        recognised: Mapping[int, RecognisedPage] | None = None,
        content: bytes | None = None,
    ) -> Parsed:
        async with contextlib.nullcontext() if urgent else self._regular_slots, self._all_slots:
            cpu = self._cpu_seconds * (1 + size / DOUBLE_TIME_BYTES)
            wall = cpu * self._wall_factor
            # Reuse the most recent one, so that the others become idle and end.
            worker = self._free.pop()
            try:
                return await worker.parse(path, cpu, wall, recognised, content)
            except ChildFailed as exc:
                raise _failure(exc, path, cpu, wall) from exc
            finally:
                self._free.append(worker)

    async def close(self) -> None:
        """End all processes, also those that are reading a file."""
        async with asyncio.TaskGroup() as closing:
            for worker in self._workers:
                closing.create_task(worker.close())


@asynccontextmanager
async def open_parser_pool(config: Config, embedder: Embedder) -> AsyncGenerator[ParserPool]:
    """Open the parser for `config`, with chunks of at most the tokens that `embedder` takes."""
    file = embedder.tokenizer_file
    settings = ChunkSettings(
        size=config.chunk_size,
        overlap=config.chunk_overlap,
        max_tokens=embedder.max_tokens,
        tokenizer_file=str(file) if file else None,
    )
    limits = Limits(config.max_file_mb * 1_000_000, settings, mask_secrets=config.mask_secrets)
    # Half of the cores: the embedder needs the others.
    workers = config.parse_workers or max(1, min(4, (os.cpu_count() or 1) // 2))
    # The spare one reads a file that is saved while all others are busy with large files.
    pool = ParserPool(limits, workers, config.parse_seconds, spare=1)
    try:
        yield pool
    finally:
        await pool.close()


class _Worker:
    """A child process, the number of files it has read, and the timer that ends it when idle."""

    def __init__(self, child: Child, idle_seconds: float) -> None:
        self.child = child
        self._idle_seconds = idle_seconds
        self._idle_timer: asyncio.TimerHandle | None = None
        self._files = 0

    async def parse(
        self,
        path: str,
        cpu: float,
        wall: float,
        recognised: Mapping[int, RecognisedPage] | None,
        content: bytes | None,
    ) -> Parsed:
        if self._idle_timer:
            self._idle_timer.cancel()
        params = ParseCall(
            path=path,
            cpu_seconds=cpu,
            recognised=encode_pages(recognised),
        )
        try:
            given = () if content is None else (content,)
            head, blobs = await self.child.call("parse", params, given, limit=wall)
        finally:
            self._idle_timer = asyncio.get_running_loop().call_later(
                self._idle_seconds, self.child.dismiss
            )
        self._files += 1
        if self._files >= FILES_PER_PROCESS or head["peak"] > MAX_PEAK_MEMORY:
            self._files = 0
            self.child.dismiss()
        chunks: list[Chunk] = []
        for blob in blobs:
            chunks += decode_chunks(blob)
            await asyncio.sleep(0)  # decoding a long document must not block the event loop
        return Parsed(head["format"], head["title"], head["metadata"], tuple(chunks))

    async def close(self) -> None:
        if self._idle_timer:
            self._idle_timer.cancel()
        await self.child.close(_CLOSE_SECONDS)


def _failure(exc: ChildFailed, path: str, cpu: float, wall: float) -> UnreadableDocument:
    if exc.exit_code == cpu_limit.EXIT_CODE:
        return LimitReached(f"Reading it took more than {cpu:.3g} s of processor time.")
    if exc.hung:
        return LimitReached(f"Reading it did not end within {wall:.3g} s.")
    if exc.bug:
        _log.error("The worker failed on %s:\n%s", path, exc.bug)
        return UnreadableDocument("The reader failed on it.")
    return UnreadableDocument("The reader crashed on it.")
