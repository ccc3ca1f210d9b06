"""Keeps a vector store as SQLite is: writes what changed, notices damage, and builds it anew."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from allma_server.errors import UNWRITABLE, StorageError, VectorStoreDown
from allma_server.storage.sqlite.database import Database
from allma_server.storage.sqlite.outbox import Announced, Outbox
from allma_server.storage.vectors.cache import VectorCache
from allma_server.storage.vectors.config import Inspection, RebuildableStore

log = logging.getLogger(__name__)

BATCH_IDLE, BATCH_BUSY = 1_000, 32
"""Changes written in one call; a search waits for the one that is being written."""

BUSY_SECONDS = 10.0
"""After a search, others are expected for so long."""

QUERIES = 3
"""Searches in one process after which a store is worth its start."""

WASTE = 5_000
"""Dead slots that are no reason to rebuild; beyond them, half as many as live ones are."""

MOST_ERASED = 5_000
"""With more changes waiting, the store is not yet worth keeping for what it holds."""

HOPELESS = 3
"""Failures in a row after which the store is built anew, though nothing is known to be broken."""

CALM_SECONDS = 900.0
"""A failure after so long a time is the first of a new row."""


@dataclass(frozen=True, slots=True)
class ActiveIndex:
    """A store, the embedder whose vectors it holds, and the same vectors in memory."""

    embedder: str
    store: RebuildableStore
    cache: VectorCache


class VectorIndexer:
    """The one task that writes to a vector store.

    `kept` is what it looks after. `ready`: the store holds what SQLite holds, but for what waits
    in the outbox. `trouble`: the failure that keeps it from being so.
    """

    def __init__(
        self, database: Database, outbox: Outbox, *, settle: float, pauses: Sequence[float]
    ) -> None:
        self.kept: ActiveIndex | None = None
        self.ready = False
        self.started = False
        self.trouble: str | None = None
        self.total = 0
        self._changed = database.changed
        self._check_writable = database.check_writable
        self._outbox = outbox
        self._settle = settle
        self._pauses = pauses
        self._turn = asyncio.Lock()
        self._needed = asyncio.Event()
        self._ending = asyncio.Event()
        self._idle = False
        self._round = asyncio.Condition()
        self._anew = self._tidied = False
        self._deleted = 0
        self._queries = 0
        self._last_query = self._last_failure = float("-inf")

    async def keep(self, kept: ActiveIndex, *, anew: bool) -> None:
        """Looks after another store from now on; `anew`: it has nothing of this embedder yet."""
        async with self._turn:
            former, self.kept = self.kept, kept
            self.ready = self._tidied = False
            if anew:
                await self._outbox.announce_all(kept.embedder)
            if former is not None:
                await former.store.close()
        self._changed.set()

    def rebuild(self) -> None:
        """Has the store built anew, soon; exact search serves until it is complete."""
        self._anew = True
        self._needed.set()
        self._changed.set()

    async def empty(self) -> bool:
        """Empties the store now, and has it built anew; False when no store is kept yet."""
        async with self._turn:
            if self.kept is None:
                return False
            await self._empty(self.kept)
        self._needed.set()
        return True

    async def erase_deleted(self) -> bool:
        """Leaves nothing of deleted chunks in the store's files; False when none is kept yet.

        Where many are deleted, or the store is not in order, it is emptied and built anew.
        """
        async with self._turn:
            kept = self.kept
            if kept is None:
                return False
            self.ready = False
            try:
                if await kept.store.exists():
                    await self._erase_deleted(kept)
            except VectorStoreDown as exc:
                log.warning("the vector index is built anew to erase what was deleted: %s", exc)
                await self._empty(kept)
                self._needed.set()
            await kept.store.remove_others()
        self._changed.set()
        return True

    async def _erase_deleted(self, kept: ActiveIndex) -> None:
        waiting = await self._outbox.waiting(MOST_ERASED + 1)
        if len(waiting) > MOST_ERASED:
            await self._empty(kept)
            self._needed.set()
            return
        # What was there before a change that still waits goes as well.
        for begin in range(0, len(waiting), BATCH_IDLE):
            await kept.store.delete(waiting[begin : begin + BATCH_IDLE])
        found = await kept.store.inspect()
        if found.rows == 0 or found.used - found.live > found.live // 10:
            await self._empty(kept)
            self._needed.set()
        else:
            await kept.store.erase_deleted()

    async def _empty(self, kept: ActiveIndex) -> None:
        await self._begin_anew(kept)
        await kept.store.remove_others()
        await kept.cache.clear()

    def searched(self) -> None:
        """Notes a search: writes become small, and the store worth its start."""
        self._last_query = time.monotonic()
        self._queries += 1
        if self._queries >= QUERIES:
            self._needed.set()

    def lost(self) -> None:
        """Notes that the store failed a search; it is looked at before it serves again."""
        self.ready = False
        self._changed.set()

    async def settled(self) -> None:
        """Returns once the store holds everything; waits out failures."""
        async with self._round:
            await self._round.wait_for(lambda: self._idle and not self._changed.is_set())

    async def failed(self) -> str:
        """Returns what is wrong once something is."""
        async with self._round:
            await self._round.wait_for(lambda: self.trouble is not None)
        return self.trouble or ""

    def end(self) -> None:
        """Lets `run` return after the call it is at."""
        self._ending.set()
        self._needed.set()
        self._changed.set()

    async def close(self) -> None:
        if self.kept is not None:
            await self.kept.store.close()

    async def run(self) -> None:
        """Brings the store up to date whenever something changed, until `end`."""
        await _reached(self._needed, self._settle)
        self.started = True
        failures = since_complete = 0
        while not self._ending.is_set():
            self._changed.clear()
            self._idle = False
            try:
                await self._catch_up()
                self.trouble, since_complete = None, 0
                await self._tell(idle=self.ready)
                await self._changed.wait()
            except StorageError as exc:
                log.warning("the vector index: %s", exc)
                failures = 1 if self._long_calm() else failures + 1
                since_complete += 1
                damaged = self.kept is not None and self.kept.store.damage is not None
                if damaged or (failures == HOPELESS and not isinstance(exc, UNWRITABLE)):
                    self._anew = True
                await self._pause(exc.message, since_complete)
            except Exception:
                # Exact search goes on serving, and the engine with it.
                log.exception("the vector index is not kept because of a bug")
                since_complete += 1
                await self._pause("A bug in Allma; the log has the details.", since_complete)

    async def _pause(self, trouble: str, since_complete: int) -> None:
        self.ready, self.trouble = False, trouble
        await self._tell(idle=False)
        await _reached(self._ending, self._pauses[min(since_complete, len(self._pauses)) - 1])

    async def _tell(self, *, idle: bool) -> None:
        async with self._round:
            self._idle = idle
            self._round.notify_all()

    async def _catch_up(self) -> None:
        # A store writes to the disk even when it is only opened; exact search needs nothing of it.
        await self._check_writable()
        while not self._ending.is_set():
            async with self._turn:
                if self.kept is None:
                    return
                if self._anew:
                    await self._begin_anew(self.kept)
                if not self.ready:
                    await self._verify(self.kept)
                batch = await self._outbox.changes(self.kept.embedder, 0, self._batch_size())
                if not batch:
                    await self._complete(self.kept)
                    return
                await self._write(self.kept, batch)

    async def _verify(self, kept: ActiveIndex) -> None:
        """Is all there that should be? What waits may have been written before a crash, or not."""
        found = await kept.store.inspect()
        waiting, settled = await self._outbox.size(), await self._outbox.settled(kept.embedder)
        if not settled <= found.rows <= settled + waiting:
            log.info("the vector index has %s of %s vectors", found.rows, settled)
            await self._begin_anew(kept)
        elif _wasteful(found):
            await self._begin_anew(kept)
        self.ready = True

    async def _write(self, kept: ActiveIndex, batch: Sequence[Announced]) -> None:
        self.total = max(self.total, await self._outbox.size())
        gone = [change.chunk_id for change in batch if change.record is None]
        await kept.store.delete(gone)
        await kept.store.upsert([change.record for change in batch if change.record is not None])
        await kept.cache.keep_up()
        await self._outbox.acknowledge(batch)
        self._deleted += len(gone)

    async def _complete(self, kept: ActiveIndex) -> None:
        self.total = 0
        await kept.cache.clear()
        if not self._tidied:
            await kept.store.remove_others()
            self._tidied = True
        if self._deleted > WASTE:
            # Looked at again before it serves the next search.
            self._deleted, self.ready = 0, False
            await self._verify(kept)

    async def _begin_anew(self, kept: ActiveIndex) -> None:
        """In this order: a crash between the two leaves a store that is written once more."""
        log.info("building the vector index anew")
        self.ready = False
        await self._outbox.announce_all(kept.embedder)
        await kept.store.reset()
        self._anew, self.trouble = False, None
        self._changed.set()

    def _batch_size(self) -> int:
        busy = time.monotonic() - self._last_query < BUSY_SECONDS
        return BATCH_BUSY if busy else BATCH_IDLE

    def _long_calm(self) -> bool:
        now = time.monotonic()
        calm, self._last_failure = now - self._last_failure > CALM_SECONDS, now
        return calm


def _wasteful(found: Inspection) -> bool:
    """Slots of deleted vectors are never used again, and searches walk through them."""
    dead = found.used - found.live
    return dead > WASTE and dead > found.live // 2


async def _reached(event: asyncio.Event, seconds: float) -> None:
    """Waits for an event, or for so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
