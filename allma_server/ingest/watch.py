"""Follow folders. An event is a hint that something changed; what changed, the disk tells.

Only folders that are indexed are watched, each by itself, so that an ignored tree costs no
watches. New folders are watched as they appear, and looked through then, because their first
files come before the watch does.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from allma_server.ingest import scope

log = logging.getLogger(__name__)

Changed = Callable[[set[str]], None]


class Watch:
    """One thread that watches the folders of all workspaces.

    `changed` is called on the event loop with paths that may have changed: files, or folders that
    should be looked through. `trouble` is the sentence that says why some changes will be missed.
    """

    def __init__(self, changed: Changed, data_dir: Path) -> None:
        self._changed = changed
        self._data_dir = data_dir
        self._roots: tuple[str, ...] = ()
        self._watched: frozenset[str] = frozenset()
        self._stop = threading.Event()
        self._armed = asyncio.Event()
        self.trouble: str | None = None

    def follow(self, roots: Sequence[str]) -> None:
        """Watches these workspaces from now on, and no others."""
        if tuple(roots) != self._roots:
            self._roots = tuple(roots)
            self._armed.clear()
            self._stop.set()

    async def armed(self) -> None:
        """Waits until the present workspaces are watched."""
        await self._armed.wait()

    async def run(self, retry_seconds: float = 60.0) -> None:
        """Watches until cancelled. Where the system refuses, it is tried again from time to time.

        Sweeps must find what is missed meanwhile.
        """
        loop = asyncio.get_running_loop()
        executor = ThreadPoolExecutor(1, thread_name_prefix="watch")
        try:
            while True:
                self._stop = threading.Event()
                try:
                    await loop.run_in_executor(executor, self._listen, self._stop, loop)
                    self.trouble = None
                except OSError as exc:
                    self.trouble = f"changes are found by sweeps only: {exc}"
                    log.warning("watching failed, %s", self.trouble)
                    self._armed.set()
                    await asyncio.sleep(retry_seconds)
        finally:
            self._stop.set()
            await asyncio.shield(asyncio.to_thread(executor.shutdown))

    def _listen(self, stop: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        """Watches until a folder comes or goes, or `stop` is set."""
        # A native library, needed only once there is something to watch.
        import watchfiles

        folders = frozenset(
            folder for root in self._roots for folder in scope.folders(Path(root), self._data_dir)
        )
        fresh = folders - self._watched
        if not folders:
            loop.call_soon_threadsafe(self._armed.set)
            stop.wait()
            return
        batches = watchfiles.watch(
            *sorted(folders),
            watch_filter=None,
            debounce=400,
            step=50,
            stop_event=stop,
            rust_timeout=250,
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=False,
        )
        first = True
        for batch in batches:
            if first:
                first = False
                self._watched = folders
                loop.call_soon_threadsafe(self._armed.set)
                if fresh:
                    # Between the walk that found them and the watch, files may have come.
                    loop.call_soon_threadsafe(self._changed, set(fresh))
            paths = {path for _, path in batch}
            if not paths:
                continue
            loop.call_soon_threadsafe(self._changed, paths)
            if any(path in folders or os.path.isdir(path) for path in paths):
                self._watched = folders - paths
                return
