"""Follow folders. An event is a hint that something changed; what changed, the disk tells.

Only folders that are indexed are watched, each by itself, so that an ignored tree costs no
watches. New folders are watched as they appear, and looked through then, because their first
files come before the watch does.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import threading
from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from allma_server._internal.tasks import completed
from allma_server.errors import UnreadableDocument
from allma_server.indexing import scope

log = logging.getLogger(__name__)

Changed = Callable[[set[str]], None]
Batches = Generator[set[str]]


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
        self._again = threading.Event()
        self._armed = asyncio.Event()
        self.trouble: str | None = None

    def follow(self, roots: Sequence[str]) -> None:
        """Watches these workspaces from now on, and no others."""
        if tuple(roots) != self._roots:
            self._roots = tuple(roots)
            self._armed.clear()
            self._again.set()

    async def armed(self) -> None:
        """Waits until the present workspaces are watched."""
        await self._armed.wait()

    async def run(self, retry_seconds: float = 60.0) -> None:
        """Watches until cancelled. Where the system refuses, it is tried again from time to time.

        Sweeps must find what is missed meanwhile.
        """
        loop = asyncio.get_running_loop()
        executor = ThreadPoolExecutor(1, thread_name_prefix="watch")
        stop = threading.Event()
        try:
            while True:
                try:
                    await loop.run_in_executor(executor, self._listen, stop, loop)
                except OSError as exc:
                    self._watched = frozenset()
                    self.trouble = f"Changes are found by sweeps only: {exc}."
                    log.warning("watching failed: %s", self.trouble)
                    self._armed.set()
                    await asyncio.sleep(retry_seconds)
        finally:
            stop.set()
            self._again.set()
            await completed(asyncio.to_thread(executor.shutdown))

    def _listen(self, stop: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        """Watches until `stop` is set, other folders as folders and workspaces come and go."""
        former: Batches | None = None
        while not stop.is_set():
            self._again.clear()
            folders = self._folders()
            if not folders:
                loop.call_soon_threadsafe(self._armed.set)
                self._again.wait()
                continue
            batches = _batches(folders, stop)
            try:
                changed = next(batches, set[str]())
            except FileNotFoundError:
                continue  # a folder went before it could be watched
            # Let go only now: what changed meanwhile, the former watch has seen.
            if former is not None:
                changed |= next(former, set[str]())
                former.close()
            former, fresh, self._watched = batches, folders - self._watched, folders
            self.trouble = None
            if not self._again.is_set():
                loop.call_soon_threadsafe(self._armed.set)
            # Between the walk that found a folder and the watch, files may have come.
            loop.call_soon_threadsafe(self._changed, set(fresh))
            self._pass_on(changed, batches, loop)

    def _pass_on(
        self, changed: set[str], batches: Batches, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Tells of changes until a folder comes or goes, or others shall be watched."""
        for paths in itertools.chain([changed], batches):
            if paths:
                loop.call_soon_threadsafe(self._changed, set(paths))
            # A folder that is there again is another one, of which nothing is known.
            self._watched, gone = self._watched - paths, self._watched & paths
            if gone or self._again.is_set() or any(map(self._is_folder_of_ours, paths)):
                return

    def _folders(self) -> frozenset[str]:
        found: set[str] = set()
        for root in self._roots:
            # A run over it tells its user why.
            with contextlib.suppress(UnreadableDocument):
                inside = scope.folders(Path(root), self._data_dir)
                found.update(folder for folder in inside if os.path.isdir(folder))
        return frozenset(found)

    def _is_folder_of_ours(self, path: str) -> bool:
        inside = any(path == root or path.startswith(root + os.sep) for root in self._roots)
        return inside and os.path.isdir(path)


def _batches(folders: Collection[str], stop: threading.Event) -> Batches:
    """What changes in these folders, in batches that may be empty; armed at the first one.

    The library cannot tell names that are not UTF-8: at the first one they end with all folders,
    which may have changed.

    Raises:
        FileNotFoundError: one of the folders is not there.
        OSError: the system does not watch so many.
    """
    # A native library, needed only once there is something to watch.
    import watchfiles

    found = watchfiles.watch(
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
    with contextlib.closing(found):
        try:
            for batch in found:
                yield {path for _, path in batch}
        except RuntimeError as exc:
            if "decode path" not in str(exc):
                raise
            log.info("watching begins anew: %s", exc)
            yield set(folders)
