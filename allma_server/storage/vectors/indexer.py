"""Keep a vector store equal to SQLite: write changes, detect damage, and rebuild."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from allma_server.errors import UNWRITABLE, StorageError, VectorStoreDown
from allma_server.ports import VectorStore
from allma_server.storage.sqlite.database import Database
from allma_server.storage.sqlite.outbox import Outbox, PendingChange
from allma_server.storage.vectors.exact_vectors import ExactVectors
from allma_server.storage.vectors.folders import delete_collections, disk_errors
from allma_server.types import VectorStoreHealth

log = logging.getLogger(__name__)

IDLE_BATCH, BUSY_BATCH = 1_000, 32
"""Changes written in one call; a search waits for the call in progress."""

BUSY_SECONDS = 10.0
"""After a search, more searches are expected for this long."""

SEARCHES_BEFORE_START = 3
"""Searches in one process after which starting the store is worth its cost."""

SETTLE_SECONDS = 0.5
"""After a change, before the store is written: saves in a row are written at once, and a search
that follows a save has the processor for itself."""

MAX_SETTLES = 10
"""Of these pauses in a row, while documents are being indexed: a call of the store with few vectors
costs nearly as much as one with many. Exact search finds them all meanwhile."""

REST_SECONDS = 60.0
"""Without a change for this long, a store that no search asks is closed: its process takes 110 MB.
"""

MAX_DEAD_SLOTS = 5_000
"""Dead slots that never cause a rebuild; above, half the number of live ones does."""

MAX_ERASED_CHANGES, MIN_ERASED_FROM = 5_000, 1_000
"""With more pending changes, or fewer vectors, emptying a store is faster than erasing in it."""

FAILURES_BEFORE_REBUILD = 3
"""Failures in a row after which the store is rebuilt, though no damage was reported."""

FAILURE_WINDOW_SECONDS = 900.0
"""A failure this long after the previous one starts a new row."""


@dataclass(frozen=True, slots=True)
class ActiveIndex:
    """A store, the embedder of its vectors, exact search over them, and the store's folder."""

    embedder: str
    store: VectorStore
    exact: ExactVectors
    directory: Path


class VectorIndexer:
    """The one task that writes to a vector store.

    `active`: what it keeps current. `ready`: the store holds what SQLite holds, except for the
    changes in the outbox. `failure`: why it is not ready. `directory` holds the local collections.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        directory: Path,
        *,
        start_delay: float,
        retry_pauses: Sequence[float],
    ) -> None:
        self.active: ActiveIndex | None = None
        self.ready = False
        self.started = False
        self.failure: str | None = None
        self.total = 0
        self._changed = database.changed
        self._check_writable = database.check_writable
        self._outbox = outbox
        self._directory = directory
        self._start_delay = start_delay
        self._retry_pauses = retry_pauses
        self._writing = asyncio.Lock()
        self._needed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()
        self._asked = False
        self._current = False
        self._state_changed = asyncio.Condition()
        self._rebuild_requested = self._others_removed = self._exact_verified = False
        self._deleted = 0
        self._searches = 0
        self._last_search = self._last_failure = float("-inf")

    async def activate(self, index: ActiveIndex, *, is_new: bool) -> None:
        """Keep another store current from now on; `is_new`: it holds nothing yet."""
        async with self._writing:
            previous, self.active = self.active, index
            self.ready = self._others_removed = self._exact_verified = False
            if is_new:
                await index.exact.enqueue_all()
            if previous is not None:
                await previous.store.close()
                await previous.exact.close()
        self._changed.set()

    def rebuild(self) -> None:
        """Rebuild the store soon; exact search answers until it is complete."""
        self._rebuild_requested = True
        self._needed.set()
        self._changed.set()

    async def empty(self) -> bool:
        """Empty the store now and rebuild it; return False when no store is active yet."""
        async with self._writing:
            if self.active is None:
                return False
            await self._empty(self.active)
            with disk_errors():
                await self.active.exact.reset()
        self._needed.set()
        return True

    async def erase_deleted(self) -> bool:
        """Leave nothing of deleted chunks in the store; return False when none is active yet.

        Where many are deleted, or the store fails, it is emptied and rebuilt.
        """
        async with self._writing:
            active = self.active
            if active is None:
                return False
            self.ready = False
            with disk_errors():
                await active.exact.update()
            try:
                if await active.store.exists():
                    await self._erase_deleted(active)
            except VectorStoreDown as exc:
                log.warning("rebuilding the vector index to erase deleted chunks: %s", exc)
                await self._empty(active)
                self._needed.set()
            await self._remove_others(active)
        self._changed.set()
        return True

    async def _erase_deleted(self, active: ActiveIndex) -> None:
        pending = await self._outbox.pending_ids(MAX_ERASED_CHANGES + 1)
        kept = await self._outbox.count_acknowledged(active.embedder)
        if len(pending) > MAX_ERASED_CHANGES or kept < MIN_ERASED_FROM:
            await self._empty(active)
            self._needed.set()
            return
        # The state before a pending change must go as well.
        for start in range(0, len(pending), IDLE_BATCH):
            await active.store.delete(pending[start : start + IDLE_BATCH])
        health = await active.store.health()
        if health.rows == 0 or health.used_slots - health.live_slots > health.live_slots // 10:
            await self._empty(active)
            self._needed.set()
        else:
            await active.store.erase_deleted()

    async def _empty(self, active: ActiveIndex) -> None:
        await self._start_rebuild(active)
        await self._remove_others(active)

    async def _remove_others(self, active: ActiveIndex) -> None:
        """Delete the collections that this one replaces, of whichever store."""
        await active.store.remove_others()
        keep = {active.directory, active.exact.path}
        await asyncio.to_thread(delete_collections, self._directory, keep=keep)

    def note_search(self) -> None:
        """Record a search: writes become small, and starting the store pays off."""
        self._last_search = time.monotonic()
        self._searches += 1
        if self._searches >= SEARCHES_BEFORE_START:
            self._needed.set()

    def note_store_search(self) -> None:
        """Record that a search asks the store, which stays open from now on."""
        self._asked = True

    def note_store_failure(self) -> None:
        """Record that the store failed a search; it is checked before it is asked again."""
        self.ready = False
        self._changed.set()

    async def wait_until_current(self) -> None:
        """Return once the store, started if need be, holds everything, or the engine ends."""
        self._needed.set()
        async with self._state_changed:
            while not self._stopping.is_set() and (not self._current or self._changed.is_set()):
                self._hurried.set()
                await self._state_changed.wait()

    async def wait_for_failure(self) -> str:
        """Return what failed, once something has."""
        async with self._state_changed:
            await self._state_changed.wait_for(lambda: self.failure is not None)
        return self.failure or ""

    def stop(self) -> None:
        """Let `run` return after the call in progress."""
        self._stopping.set()
        self._needed.set()
        self._hurried.set()
        self._changed.set()

    async def close(self) -> None:
        if self.active is not None:
            await self.active.store.close()
            await self.active.exact.close()

    async def run(self) -> None:
        """Update the store after every change, until `stop`."""
        await _wait_for(self._needed, self._start_delay)
        self.started = True
        failures = since_complete = 0
        while not self._stopping.is_set():
            self._changed.clear()
            self._current = False
            try:
                await self._catch_up()
                self.failure, since_complete = None, 0
                self._hurried.clear()
                # Without an embedder there is nothing to hold.
                await self._notify(current=self.ready or self.active is None)
                await self._wait_for_change()
            except StorageError as exc:
                log.warning("the vector index failed: %s", exc)
                failures = 1 if self._is_first_failure() else failures + 1
                since_complete += 1
                damaged = self.active is not None and self.active.store.damage is not None
                repeated = failures == FAILURES_BEFORE_REBUILD and not isinstance(exc, UNWRITABLE)
                if damaged or repeated:
                    self._rebuild_requested = True
                await self._pause(exc.message, since_complete)
            except Exception:
                # Exact search and the engine continue.
                log.exception("updating the vector index failed because of a bug")
                since_complete += 1
                await self._pause("Unexpected error; the log has the details.", since_complete)
        await self._notify(current=False)

    async def _wait_for_change(self) -> None:
        if not await _wait_for(self._changed, REST_SECONDS):
            await self._rest()
            await self._changed.wait()
        self._current = False
        for _ in range(MAX_SETTLES):
            self._changed.clear()
            if await _wait_for(self._hurried, SETTLE_SECONDS) or not self._changed.is_set():
                break

    async def _rest(self) -> None:
        """Close a store that no search asks; the next change opens it again."""
        async with self._writing:
            if self.active is not None and not self._asked:
                await self.active.store.close()

    async def _pause(self, failure: str, since_complete: int) -> None:
        self.ready, self.failure = False, failure
        await self._notify(current=False)
        pause = self._retry_pauses[min(since_complete, len(self._retry_pauses)) - 1]
        await _wait_for(self._stopping, pause)

    async def _notify(self, *, current: bool) -> None:
        async with self._state_changed:
            self._current = current
            self._state_changed.notify_all()

    async def _catch_up(self) -> None:
        # Opening a store already writes to the disk; exact search does not.
        await self._check_writable()
        while not self._stopping.is_set():
            async with self._writing:
                if self.active is None:
                    return
                if self._rebuild_requested:
                    await self._start_rebuild(self.active)
                if not self.ready:
                    await self._verify(self.active)
                if not self._exact_verified:
                    # Last: at a million chunks, making its file takes longer than to open a store.
                    await self._verify_exact(self.active)
                batch = await self._outbox.pending_changes(
                    self.active.embedder, 0, self._batch_size()
                )
                if not batch:
                    await self._complete(self.active)
                    return
                await self._write(self.active, batch)

    async def _verify(self, active: ActiveIndex) -> None:
        """Check that nothing is missing; a crash may have been before or after a pending write."""
        await active.store.open()
        health = await active.store.health()
        pending = await self._outbox.size()
        expected = await self._outbox.count_acknowledged(active.embedder)
        if not expected <= health.rows <= expected + pending:
            log.info("the vector index holds %s of %s vectors", health.rows, expected)
            await self._start_rebuild(active)
        elif _has_many_dead_slots(health):
            await self._start_rebuild(active)
        self.ready = True

    async def _verify_exact(self, active: ActiveIndex) -> None:
        """Open exact search, and check that nothing is missing there."""
        # Counted first: what changes meanwhile is pending then.
        found = await active.exact.count()
        pending = await self._outbox.size()
        expected = await self._outbox.count_acknowledged(active.embedder)
        if not expected <= found <= expected + pending:
            log.warning("exact search holds %s of %s vectors", found, expected)
            with disk_errors():
                await active.exact.reset()
        self._exact_verified = True

    async def _write(self, active: ActiveIndex, batch: Sequence[PendingChange]) -> None:
        self.total = max(self.total, await self._outbox.size())
        deleted = [change.chunk_id for change in batch if change.record is None]
        await active.store.delete(deleted)
        await active.store.upsert([change.record for change in batch if change.record is not None])
        await active.exact.update()
        await self._outbox.acknowledge(batch)
        self._deleted += len(deleted)

    async def _complete(self, active: ActiveIndex) -> None:
        self.total = 0
        if not self._others_removed:
            await self._remove_others(active)
            self._others_removed = True
        if self._deleted > MAX_DEAD_SLOTS:
            # Not ready while it is checked: a rebuild may follow.
            self._deleted, self.ready = 0, False
            await self._verify(active)

    async def _start_rebuild(self, active: ActiveIndex) -> None:
        """Enqueue everything, then empty the store: a crash in between costs one more rebuild."""
        log.info("rebuilding the vector index")
        self.ready = False
        await active.exact.enqueue_all()
        await active.store.reset()
        self._rebuild_requested, self.failure = False, None
        self._changed.set()

    def _batch_size(self) -> int:
        busy = time.monotonic() - self._last_search < BUSY_SECONDS
        return BUSY_BATCH if busy else IDLE_BATCH

    def _is_first_failure(self) -> bool:
        now = time.monotonic()
        elapsed, self._last_failure = now - self._last_failure, now
        return elapsed > FAILURE_WINDOW_SECONDS


def _has_many_dead_slots(health: VectorStoreHealth) -> bool:
    """Return whether a rebuild pays: slots of deleted vectors are never reused but searched."""
    dead = health.used_slots - health.live_slots
    return dead > MAX_DEAD_SLOTS and dead > health.live_slots // 2


async def _wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Return whether the event is set within so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await event.wait()
    return False
