"""Done from time to time: old vectors go, and files that a limit stopped are tried again."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from allma_server.errors import AllmaError
from allma_server.indexing.jobs import INGEST, Jobs
from allma_server.indexing.schedule import Priority

log = logging.getLogger(__name__)

EACH_SECONDS = 3600.0
FIRST_SECONDS = 300.0
"""After the start, others have enough to do."""

QUIET_LOAD = 0.5
"""A machine with less to do than this, for each of its cores, is quiet."""


class Catalogue(Protocol):
    """What this needs of the catalogue."""

    async def drop_unused_vectors(self, embedders: Collection[str], after: int) -> int | None: ...


class Maintenance:
    """`in_use`: the embedders whose vectors are kept. `retry` has files read again that a limit
    stopped.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        jobs: Jobs,
        in_use: Callable[[], Awaitable[list[str]]],
        retry: Callable[[], Awaitable[None]],
    ) -> None:
        self._catalogue = catalogue
        self._jobs = jobs
        self._in_use = in_use
        self._retry = retry
        self._retried = False

    async def run(self) -> None:
        """Does it again and again until cancelled."""
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            try:
                await self.once()
            except AllmaError as exc:
                log.warning("maintenance is tried again later: %s", exc)
            except Exception:
                log.exception("maintenance failed because of a bug")
            await asyncio.sleep(EACH_SECONDS)

    async def once(self) -> None:
        """Drops vectors that nothing has needed for long; has failed files tried again."""
        after: int | None = 0
        embedders = await self._in_use()
        while after is not None:
            await self._jobs.schedule.quiet(lambda: Priority.MAINTENANCE)
            async with self._jobs.schedule.writing:
                after = await self._catalogue.drop_unused_vectors(embedders, after)
        # Once: a file that needs more than its limit on a quiet machine always will.
        if not self._retried and not self._jobs.runs(INGEST) and is_quiet():
            self._retried = True
            await self._retry()


def is_quiet() -> bool:
    """Whether the machine has little to do; not known on Windows, which counts as no."""
    if not hasattr(os, "getloadavg"):
        return False
    return os.getloadavg()[0] < QUIET_LOAD * (os.cpu_count() or 1)
