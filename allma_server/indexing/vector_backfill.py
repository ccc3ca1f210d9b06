"""Make missing vectors in the background.

Vectors are missing for texts that the embedder could not embed when they were indexed, and for all
texts when the settings name another embedder. The serving embedder serves until the other one has a
vector for every chunk; a search never mixes both. While a model server is away, the work waits and
is tried again. Vectors are stored as they are made, so that a restart continues.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from allma_server.errors import AllmaError, InvalidArgument
from allma_server.indexing.batch_embedder import EMBED_BATCH, embed_accepted
from allma_server.indexing.jobs import Jobs, Run
from allma_server.indexing.schedule import Priority
from allma_server.ports import Embedder, Vector

log = logging.getLogger(__name__)

EMBED = "embed"
"""The kind of the job that makes these vectors."""

StoreVectors = Callable[[str, Mapping[bytes, Vector]], Awaitable[None]]
"""Stores vectors of an embedder, by the hashes of their texts."""

RETRY_DELAYS = (1.0, 5.0, 15.0, 60.0)
"""Seconds before an embedder that failed is tried again; the last one repeats."""


class Catalogue(Protocol):
    """The methods of the catalogue that are used here."""

    async def check_writable(self) -> None: ...
    async def missing_vectors(
        self, embedder: str, after: int, limit: int
    ) -> tuple[dict[bytes, str], int | None]: ...
    async def count_missing_vectors(self, embedder: str) -> int: ...
    async def note_refused(self, embedder: str, refused: Mapping[bytes, str]) -> None: ...
    async def keep_vectors(self, embedder: str, vectors: Mapping[bytes, Vector]) -> None: ...
    async def add_vectors(self, embedder: str, vectors: Mapping[bytes, Vector]) -> None: ...


class Embedders(Protocol):
    """The current embedder, and its replacement if the settings name another."""

    async def current(self) -> Embedder | None: ...
    async def replacement(self) -> Embedder | None: ...
    async def switch_to(self, embedder: Embedder) -> None: ...


class VectorBackfill:
    """Create missing vectors; one job at a time.

    `on_switched` is called after a change of the embedder, because documents may have to be
    chunked again. `problem` is a sentence with the reason why vectors cannot be created;
    `missing_reason` says why vectors of the current embedder are missing, while they are.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        embedders: Embedders,
        jobs: Jobs,
        on_switched: Callable[[], Awaitable[None]],
    ) -> None:
        self._catalogue = catalogue
        self._embedders = embedders
        self._jobs = jobs
        self._on_switched = on_switched
        self._retry = asyncio.Event()
        # An earlier process may have left chunks without vectors.
        self._is_needed = True
        self.problem: str | None = None
        self.missing_reason: str | None = None

    def mark_needed(self) -> None:
        """Note that documents were published without vectors."""
        self._is_needed = True

    def start(self) -> None:
        """Start the job if vectors may be missing; if it waits for a retry, let it retry now."""
        self._retry.set()
        if self._is_needed and not self._jobs.runs(EMBED):
            self._is_needed = False
            self._jobs.start("", self._work, Priority.SCAN, kind=EMBED)

    async def wait(self) -> None:
        """Wait until no vectors are missing, or the job waits for a retry."""
        while True:
            runs = self._jobs.runs(EMBED)
            tasks = {r.task for r in runs if r.task is not None and not r.is_waiting}
            if not tasks:
                return
            await asyncio.wait(tasks, timeout=0.1)

    async def _work(self, run: Run) -> None:
        failures = 0
        while True:
            try:
                await self._catalogue.check_writable()
                await self._fill_all(run)
                self.missing_reason = None
            except InvalidArgument as exc:
                self.problem = str(exc)
                log.warning("the embedder in the settings: %s", exc)
                return
            except AllmaError as exc:
                self._is_needed = True
                self.missing_reason = str(exc) if await self._has_missing_vectors() else None
                await self._pause(run, exc, RETRY_DELAYS[min(failures, len(RETRY_DELAYS) - 1)])
                failures += 1
            else:
                self.problem = None
                return

    async def _fill_all(self, run: Run) -> None:
        """Create the missing vectors of the current embedder, and those of its replacement.

        The current one may have failed for good, which is why another one was chosen.
        """
        failure: AllmaError | None = None
        try:
            await self._fill_current(run)
        except AllmaError as exc:
            failure = exc
        try:
            has_taken_over = await self._fill_replacement(run)
        except AllmaError as exc:
            raise failure or exc from None
        if failure is not None and not has_taken_over:
            raise failure

    async def _pause(self, run: Run, exc: AllmaError, seconds: float) -> None:
        self.problem = str(exc)
        log.info("embedding is tried again in %g s: %s", seconds, exc)
        await run.report(run.job.done, run.job.total, f"waiting: {exc}")
        run.is_waiting = True
        run.schedule.leave(run.priority)  # less urgent work need not wait for a server
        self._retry.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._retry.wait()
        except TimeoutError:
            pass
        finally:
            run.schedule.enter(run.priority)
            run.is_waiting = False

    async def _has_missing_vectors(self) -> bool:
        try:
            embedder = await self._embedders.current()
        except AllmaError:
            return True
        if embedder is None:
            return False
        return await self._catalogue.count_missing_vectors(embedder.identity) > 0

    async def _fill_current(self, run: Run) -> None:
        """Create the vectors of chunks that were published without them."""
        embedder = await self._embedders.current()
        if embedder is None:
            return
        if missing := await self._catalogue.count_missing_vectors(embedder.identity):
            self.missing_reason = f"{missing:,} passages are still being embedded."
            await self._fill(run, embedder, self._catalogue.add_vectors, "embedding")
            self.missing_reason = None

    async def _fill_replacement(self, run: Run) -> bool:
        """Create a vector for every chunk with the replacement, if any; return if it took over."""
        embedder = await self._embedders.replacement()
        if embedder is None:
            return False
        name, store = embedder.identity, self._catalogue.keep_vectors
        while True:
            await self._fill(run, embedder, store, f"embedding again with {name}")
            async with run.schedule.writing:
                # Documents indexed meanwhile have only vectors of the current embedder.
                if await self._catalogue.count_missing_vectors(name) == 0:
                    await self._embedders.switch_to(embedder)
                    break
        log.info("switched to the embedder %s", name)
        await self._on_switched()
        await self._fill_current(run)
        return True

    async def _fill(self, run: Run, embedder: Embedder, store: StoreVectors, message: str) -> None:
        """Embed the texts without a vector of this embedder, in the order of the chunks."""
        total = await self._catalogue.count_missing_vectors(embedder.identity)
        done, after = 0, 0
        while True:
            await run.report(min(done, total), total, message)
            texts, last = await self._catalogue.missing_vectors(
                embedder.identity, after, EMBED_BATCH
            )
            if last is None:
                return
            await run.wait_until_idle()
            urgent = run.priority <= Priority.ASKED
            embedded = await embed_accepted(embedder, texts, urgent=urgent)
            await store(embedder.identity, embedded.vectors)
            if embedded.refused:
                async with run.schedule.writing:
                    await self._catalogue.note_refused(embedder.identity, embedded.refused)
            done, after = done + len(texts), last
