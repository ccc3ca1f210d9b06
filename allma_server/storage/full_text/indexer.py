"""Keep the full-text index equal to SQLite: write changes, notice damage, and rebuild."""

import asyncio
import contextlib
import logging
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from allma_server._internal.imports import imported
from allma_server.errors import UNWRITABLE, FullTextDown, StorageError
from allma_server.storage.sqlite.database import Database
from allma_server.storage.sqlite.full_text_outbox import FullTextOutbox, IndexState, PendingText

if TYPE_CHECKING:
    from allma_server.storage.full_text.store import WordStore

log = logging.getLogger(__name__)

BATCH = 250
"""Changes written in one step."""

COMMIT_CHANGES = 5_000
"""Changes after which a rebuild becomes visible and durable; each commit takes some 20 ms."""

PAUSE_SECONDS = 2.0
"""Between two commits while documents are being indexed, so that they do not slow that down."""

START_SECONDS = 1.0
"""Before the index is opened, so that a process that answers one call and exits need not."""

IDLE_SECONDS = 20.0
"""Without a change for this long, the memory for writing is freed."""

RETRY_PAUSES = (0.5, 5.0, 30.0, 120.0, 600.0)
"""Seconds before each retry after a failure; the last one repeats."""


class FullTextIndexer:
    """The one writer of the full-text index.

    `store`: the open index; None before it was needed, and while it cannot be used. `failure`: why
    changes are not written. `total`: how many changes a rebuild began with, 0 outside of one.
    `opened_seq`: the last change in SQLite before this process made one.
    """

    def __init__(
        self, database: Database, outbox: FullTextOutbox, directory: Path, opened_seq: int
    ) -> None:
        self.store: WordStore | None = None
        self.failure: str | None = None
        self.total = 0
        self._database = database
        self._outbox = outbox
        self._directory = directory
        self._changed = database.words_changed
        self._writing = asyncio.Lock()
        self._progress = asyncio.Condition()
        self._stopping = asyncio.Event()
        self._opened_seq = opened_seq
        self._last_commit = float("-inf")
        self._is_counted = True

    # --- the task ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Write every change soon after it, until `stop`."""
        await _wait_for(self._changed, START_SECONDS)
        failures = 0
        while not self._stopping.is_set():
            self._changed.clear()
            try:
                await self.write_pending()
                failures = 0
            except StorageError as exc:
                log.warning("the full-text index failed: %s", exc)
                failures += 1
            except Exception:
                # The scan and the engine go on.
                log.exception("updating the full-text index failed because of a bug")
                self.failure = "Unexpected error; the log has the details."
                failures += 1
            if failures:
                await self._notify()
                pause = RETRY_PAUSES[min(failures, len(RETRY_PAUSES)) - 1]
                await _wait_for(self._stopping, pause)
            else:
                await self._wait_for_change()

    def stop(self) -> None:
        """Let `run` return after the step in progress."""
        self._stopping.set()
        self._changed.set()

    async def close(self) -> None:
        """Finish the step in progress, write the last changes, and free the memory."""
        async with self._writing:
            with contextlib.suppress(StorageError):
                if 0 < await self._outbox.size(COMMIT_CHANGES) <= BATCH:
                    await self._write_some()
                if self.store is not None:
                    await asyncio.to_thread(self.store.close)
            self.store = None

    async def _wait_for_change(self) -> None:
        if not await _wait_for(self._changed, IDLE_SECONDS):
            async with self._writing:
                if self.store is not None:
                    await asyncio.to_thread(self.store.close_writer)
            await self._changed.wait()
        pause = self._last_commit + PAUSE_SECONDS - time.monotonic()
        await _wait_for(self._stopping, max(pause, 0.0))

    # --- steps ------------------------------------------------------------------------------

    async def write_pending(self) -> None:
        """Write all pending changes.

        Raises:
            FullTextDown, DiskFull, DataReadOnly: they cannot be written; they stay pending.
        """
        while not self._stopping.is_set():
            async with self._writing:
                if not await self._outbox.size(1) and self.store is not None:
                    if await self._is_complete(self.store):
                        self.total, self.failure = 0, None
                        break
                    log.warning("rebuilding the full-text index: it does not hold each chunk once")
                    await self._start_over()
                await self._write_some()
            await self._notify()
        await self._notify()

    async def opened(self) -> "WordStore | None":
        """Return the index to search in, opened if it was not; None while it cannot be used."""
        if self.store is None and not self._stopping.is_set():
            async with self._writing:
                with contextlib.suppress(StorageError):
                    await self._open()
        return self.store

    async def rebuild(self) -> None:
        """Begin anew with an empty index; nothing of the former one is left on the disk.

        Raises:
            FullTextDown, DiskFull, DataReadOnly: it cannot be written.
        """
        async with self._writing:
            await self._open()
            await self._start_over()
        self._changed.set()

    async def erase_deleted(self) -> None:
        """Leave nothing of removed chunks on the disk.

        The parts of the index that hold some are merged, which drops them. A search finds all
        others meanwhile.

        Raises:
            FullTextDown, DiskFull, DataReadOnly: they cannot be erased now.
        """
        await self.write_pending()
        async with self._writing:
            store = self._used_store()
            await asyncio.to_thread(store.close_writer)  # and with it merging
            worn = await asyncio.to_thread(store.worn_segments)
            if worn:
                await self._merge(store, worn)
                await asyncio.to_thread(store.close_writer)
            if worn & await asyncio.to_thread(store.worn_segments):
                await self._start_over()
            else:
                await asyncio.to_thread(store.collect_garbage)
        await self.write_pending()

    async def _merge(self, store: "WordStore", segments: set[str]) -> None:
        """Have parts of the index merged; `_writing` is held."""
        from allma_server.storage.full_text.store import MERGED_PARTS

        # Each of some chunks makes a new part; a former part of which nothing is left goes.
        chunks = await asyncio.to_thread(store.chunks_in, segments, 2 * MERGED_PARTS)
        size = await asyncio.to_thread(store.prepare_merge, segments)
        for text in await self._outbox.texts(chunks):
            await asyncio.to_thread(store.write, [text.chunk_id], [text])
            await self._commit_again(store)
            if await asyncio.to_thread(store.is_merging, size):
                break

    def _used_store(self) -> "WordStore":
        """Return the open index.

        Raises:
            FullTextDown: it is not open.
        """
        if self.store is None:
            raise FullTextDown("The full-text index is not open.")
        return self.store

    async def _commit_again(self, store: "WordStore") -> None:
        """Commit what no change in SQLite asked for; `_writing` is held."""
        state = await self._outbox.state()
        seq = state.seq if state is not None else 0
        commit = await asyncio.to_thread(store.commit, seq)
        await self._outbox.acknowledge(IndexState(store.folder.name, commit, seq))

    async def wait_until_current(self) -> None:
        """Return once nothing is pending, or writing has failed."""
        async with self._progress:
            while not await self._is_current_now() and not self._stopping.is_set():
                if self.failure is not None:
                    return
                self._changed.set()
                await self._progress.wait()

    async def _is_current_now(self) -> bool:
        return self._is_counted and not await self._outbox.size(1)

    async def note_damage(self, store: "WordStore", failure: StorageError) -> None:
        """Replace an index that failed a search."""
        async with self._writing:
            if self.store is not store:
                return  # it was replaced meanwhile
            log.warning("rebuilding the full-text index: %s", failure)
            self.store = None
            with contextlib.suppress(StorageError):
                await self._start_over()
        self._changed.set()

    async def _write_some(self) -> None:
        """Write a batch that ends with a commit; `_writing` is held."""
        try:
            await self._database.check_writable()
            await self._open()
            store, last, written = self.store, 0, 0
            assert store is not None
            while written < COMMIT_CHANGES and not (written and self._stopping.is_set()):
                batch = await self._outbox.pending(BATCH, after=last)
                if not batch:
                    break
                await asyncio.to_thread(_write, store, batch)
                last, written = batch[-1].seq, written + len(batch)
            if written:
                commit = await asyncio.to_thread(store.commit, last)
                await self._outbox.acknowledge(IndexState(store.folder.name, commit, last))
                self._last_commit = time.monotonic()
        except StorageError as exc:
            self.failure = exc.message
            if not isinstance(exc, UNWRITABLE):
                self.store = None  # opened again, and so checked
            raise
        self.failure = None

    async def _open(self) -> None:
        """Open the index if it is not, or begin a new one; `_writing` is held.

        Raises:
            FullTextDown, DiskFull, DataReadOnly: neither is possible.
        """
        if self.store is not None:
            return
        await imported("tantivy")
        from allma_server.storage.full_text.fields import VERSION
        from allma_server.storage.full_text.store import WordStore

        state = await self._outbox.state()
        if state is not None and state.name.startswith(f"{VERSION}-"):
            try:
                store = await asyncio.to_thread(WordStore.open, self._directory / state.name)
                if await self._is_current(store, state):
                    self.store = store
                    return
                log.info("the full-text index is not that of the database")
            except FullTextDown as exc:
                log.warning("%s", exc)
        await self._start_over()

    async def _is_current(self, store: "WordStore", state: IndexState) -> bool:
        """Return whether an index holds what SQLite says, but for pending changes."""
        commit = await asyncio.to_thread(store.last_commit)
        if commit != state.commit:
            # A crash can be between a commit and its acknowledgement; its changes are then pending.
            before, seq = await asyncio.to_thread(store.intent)
            if before != state.commit or not state.seq <= seq <= self._opened_seq:
                return False
        pending, chunks = await self._outbox.size(), await self._outbox.chunks()
        self._is_counted = not pending
        return abs(store.entries - chunks) <= pending

    async def _is_complete(self, store: "WordStore") -> bool:
        """Return whether an index has as many entries as there are chunks; nothing is pending.

        Only once after it was opened with pending changes: its writer may have been killed.
        """
        if self._is_counted:
            return True
        chunks = await self._outbox.chunks()
        if await self._outbox.size(1):
            return True  # what was counted is not what it holds; it is counted later
        self._is_counted = True
        return store.entries == chunks

    async def _start_over(self) -> None:
        """Replace the index by an empty one, with every chunk pending; `_writing` is held."""
        from allma_server.storage.full_text.fields import VERSION
        from allma_server.storage.full_text.store import WordStore

        self.store = None
        await self._database.check_writable()
        name = f"{VERSION}-{secrets.token_hex(4)}"
        await self._outbox.start_over(name)
        await asyncio.to_thread(_delete_indexes, self._directory)
        self.store = await asyncio.to_thread(WordStore.create, self._directory / name)
        commit = await asyncio.to_thread(self.store.last_commit)
        await self._outbox.acknowledge(IndexState(name, commit))
        self.total = await self._outbox.size()

    async def _notify(self) -> None:
        async with self._progress:
            self._progress.notify_all()


def _write(store: "WordStore", batch: Sequence[PendingText]) -> None:
    texts = [change.text for change in batch if change.text is not None]
    store.write([change.chunk_id for change in batch], texts)


def _delete_indexes(directory: Path) -> None:
    """Delete all indexes below a folder.

    Raises:
        FullTextDown: the disk refuses.
    """
    try:
        if directory.is_dir():
            for folder in directory.iterdir():
                shutil.rmtree(folder)
    except OSError as exc:
        raise FullTextDown(f"A former full-text index cannot be deleted: {exc}.") from exc


async def _wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Return whether the event is set within so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await event.wait()
    return False
