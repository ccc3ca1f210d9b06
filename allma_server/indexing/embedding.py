"""Vectors that are still to be made, in the background: of texts that the embedder did not take
when they were indexed, and of all texts when the settings name another embedder.

The serving embedder goes on serving until the other one has a vector for every chunk; a search
meets the one or the other, never both. While a model server is away, the work waits and is tried
again. What has been made is kept, so that a restart goes on from there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from allma_server.errors import AllmaError, InputRefused, InvalidArgument
from allma_server.indexing.jobs import Jobs, Run
from allma_server.indexing.pipeline import refusal_of
from allma_server.indexing.schedule import Priority
from allma_server.ports import Embedder, Vector

log = logging.getLogger(__name__)

EMBED = "embed"
"""The kind of the job that makes these vectors."""

EMBEDDED_AT_ONCE = 64
"""Texts of one call; between two of them, whatever is more urgent passes."""

Keep = Callable[[str, Mapping[bytes, Vector]], Awaitable[None]]
"""Stores vectors of an embedder by the hashes of their texts."""

PAUSES = (1.0, 5.0, 15.0, 60.0)
"""Seconds before an embedder that failed is tried again; the last one repeats."""


class Catalogue(Protocol):
    """What this needs of the catalogue."""

    async def check_writable(self) -> None: ...
    async def missing_vectors(
        self, embedder: str, after: int, limit: int
    ) -> tuple[dict[bytes, str], int | None]: ...
    async def count_missing_vectors(self, embedder: str) -> int: ...
    async def fail_documents_with(self, text_hash: bytes, reason: str, code: str) -> None: ...
    async def keep_vectors(self, embedder: str, vectors: Mapping[bytes, Vector]) -> None: ...
    async def add_vectors(self, embedder: str, vectors: Mapping[bytes, Vector]) -> None: ...


class Embedders(Protocol):
    """The embedder that serves, and the one that the settings want in its place."""

    async def serving(self) -> Embedder | None: ...
    async def wanted(self) -> Embedder | None: ...
    async def adopt(self, embedder: Embedder) -> None: ...


class Embedding:
    """Makes missing vectors; one job at a time.

    `adopted` is called when another embedder has taken over: documents may have to be cut anew.
    `trouble`: why it does not get on, a sentence; `incomplete`: likewise, when vectors of the
    serving embedder are missing.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        embedders: Embedders,
        jobs: Jobs,
        adopted: Callable[[], Awaitable[None]],
    ) -> None:
        self._catalogue = catalogue
        self._embedders = embedders
        self._jobs = jobs
        self._adopted = adopted
        self._retry = asyncio.Event()
        # Nobody knows what an earlier process left to do.
        self._unfinished = True
        self.trouble: str | None = None
        self.incomplete: str | None = None

    def needed(self) -> None:
        """Documents were published without vectors."""
        self._unfinished = True

    def begin(self) -> None:
        """Starts the work if there may be any; if it waits, it tries again now."""
        self._retry.set()
        if self._unfinished and not self._jobs.runs(EMBED):
            self._unfinished = False
            self._jobs.start("", self._work, Priority.SCAN, kind=EMBED)

    async def ended(self) -> None:
        """Returns once there is nothing left to do, or nothing that can be done now."""
        while True:
            tasks = {r.task for r in self._jobs.runs(EMBED) if r.task is not None and not r.resting}
            if not tasks:
                return
            await asyncio.wait(tasks, timeout=0.1)

    async def _work(self, run: Run) -> None:
        failures = 0
        while True:
            try:
                await self._catalogue.check_writable()
                await self._fill_serving(run)
                self.incomplete = None
                await self._fill_wanted(run)
            except InvalidArgument as exc:
                self.trouble = str(exc)
                log.warning("the embedder of the settings: %s", exc)
                return
            except AllmaError as exc:
                self._unfinished = True
                self.incomplete = str(exc) if await self._is_incomplete() else None
                await self._pause(run, exc, PAUSES[min(failures, len(PAUSES) - 1)])
                failures += 1
            else:
                self.trouble = None
                return

    async def _pause(self, run: Run, exc: AllmaError, seconds: float) -> None:
        self.trouble = str(exc)
        log.info("embedding waits for %g s: %s", seconds, exc)
        await run.report(run.job.done, run.job.total, f"waiting: {exc}")
        run.resting = True
        self._retry.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._retry.wait()
        except TimeoutError:
            pass
        finally:
            run.resting = False

    async def _is_incomplete(self) -> bool:
        try:
            embedder = await self._embedders.serving()
        except AllmaError:
            return True
        if embedder is None:
            return False
        return await self._catalogue.count_missing_vectors(embedder.identity) > 0

    async def _fill_serving(self, run: Run) -> None:
        """Gives chunks that were published without vectors theirs."""
        embedder = await self._embedders.serving()
        if embedder is not None and await self._catalogue.count_missing_vectors(embedder.identity):
            await self._fill(run, embedder, self._catalogue.add_vectors, "embedding")

    async def _fill_wanted(self, run: Run) -> None:
        """Gives the wanted embedder a vector for every chunk; then it takes over."""
        embedder = await self._embedders.wanted()
        if embedder is None:
            return
        name, keep = embedder.identity, self._catalogue.keep_vectors
        while True:
            await self._fill(run, embedder, keep, f"embedding again with {name}")
            async with run.schedule.writing:
                # What was indexed meanwhile has the serving embedder's vectors only.
                if await self._catalogue.count_missing_vectors(name) == 0:
                    await self._embedders.adopt(embedder)
                    break
        log.info("%s has taken over", name)
        await self._adopted()
        await self._fill_serving(run)

    async def _fill(
        self,
        run: Run,
        embedder: Embedder,
        keep: Keep,
        message: str,
    ) -> None:
        """Embeds what has no vector of this embedder, in the order of the chunks."""
        total = await self._catalogue.count_missing_vectors(embedder.identity)
        done, after = 0, 0
        while True:
            await run.report(min(done, total), total, message)
            texts, last = await self._catalogue.missing_vectors(
                embedder.identity, after, EMBEDDED_AT_ONCE
            )
            if last is None:
                return
            await run.quiet()
            urgent = run.priority <= Priority.ASKED
            try:
                vectors = await embedder.embed_documents(list(texts.values()), urgent=urgent)
            except InputRefused:
                await self._fill_apart(embedder, keep, texts)
            else:
                await keep(embedder.identity, dict(zip(texts, vectors, strict=True)))
            done, after = done + len(texts), last

    async def _fill_apart(self, embedder: Embedder, keep: Keep, texts: Mapping[bytes, str]) -> None:
        """Embeds each text by itself; documents with one that the embedder does not take fail."""
        for digest, text in texts.items():
            try:
                [vector] = await embedder.embed_documents([text])
            except InputRefused as exc:
                async with self._jobs.schedule.writing:
                    await self._catalogue.fail_documents_with(digest, refusal_of(exc), exc.code)
            else:
                await keep(embedder.identity, {digest: vector})
