"""Periodic maintenance: drop unused vectors, and retry files that a limit has stopped."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from allma_server.errors import AllmaError
from allma_server.indexing.jobs import INGEST, Jobs
from allma_server.indexing.schedule import Priority

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 3600.0
FIRST_DELAY_SECONDS = 300.0
"""Maintenance begins after the busy time that follows a start."""

IDLE_LOAD = 0.5
"""The load average for each core below which a machine counts as idle."""


class Catalogue(Protocol):
    """The methods of the catalogue that are used here."""

    async def drop_unused_vectors(self, embedders: Collection[str], after: int) -> int | None: ...


class Maintenance:
    """Runs the periodic tasks.

    `embedders_in_use` returns the embedders whose vectors are never dropped. `retry_limited` starts
    runs that read files again which a limit of time or memory has stopped.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        jobs: Jobs,
        embedders_in_use: Callable[[], Awaitable[list[str]]],
        retry_limited: Callable[[], Awaitable[None]],
    ) -> None:
        self._catalogue = catalogue
        self._jobs = jobs
        self._embedders_in_use = embedders_in_use
        self._retry_limited = retry_limited
        self._has_retried = False

    async def run(self) -> None:
        """Run the tasks every INTERVAL_SECONDS until cancelled."""
        await asyncio.sleep(FIRST_DELAY_SECONDS)
        while True:
            try:
                await self.run_once()
            except AllmaError as exc:
                log.warning("maintenance failed, will retry: %s", exc)
            except Exception:
                log.exception("maintenance failed because of a bug")
            await asyncio.sleep(INTERVAL_SECONDS)

    async def run_once(self) -> None:
        """Drop vectors that were unused for a long time, and retry failed files."""
        try:
            await self._drop_unused_vectors()
        except AllmaError as exc:
            log.warning("unused vectors stay for now: %s", exc)
        # Once only: a file that exceeds its limit on an idle machine will always do so.
        if not self._has_retried and not self._jobs.runs(INGEST) and is_machine_idle():
            self._has_retried = True
            await self._retry_limited()

    async def _drop_unused_vectors(self) -> None:
        after: int | None = 0
        embedders = await self._embedders_in_use()
        while after is not None:
            await self._jobs.schedule.wait_until_idle(lambda: Priority.MAINTENANCE)
            async with self._jobs.schedule.writing:
                after = await self._catalogue.drop_unused_vectors(embedders, after)


def is_machine_idle() -> bool:
    """Return whether the load of the machine is low; False on Windows, where it is unknown."""
    if not hasattr(os, "getloadavg"):
        return False
    return os.getloadavg()[0] < IDLE_LOAD * (os.cpu_count() or 1)
