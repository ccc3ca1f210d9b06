"""Watch folders for changes. An event says where to look; what has changed is read from the disk.

Only folders that are indexed are watched, each by itself, so that ignored trees cost no watches.
A new folder is watched when it appears, and then scanned, because its first files may have been
written before the watch began.
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
    """Watches the folders of all workspaces, in one thread.

    `changed` is called on the event loop with paths that may have changed: files, or folders to
    scan. `problem` is a sentence that says why some changes are not reported.
    """

    def __init__(self, changed: Changed, data_dir: Path) -> None:
        self._changed = changed
        self._data_dir = data_dir
        self._roots: tuple[str, ...] = ()
        self._watched: frozenset[str] = frozenset()
        self._restart = threading.Event()
        self._ready = asyncio.Event()
        self.problem: str | None = None

    def set_roots(self, roots: Sequence[str]) -> None:
        """Watch these workspaces from now on, and no others."""
        if tuple(roots) != self._roots:
            self._roots = tuple(roots)
            self._ready.clear()
            self._restart.set()

    async def wait_until_ready(self) -> None:
        """Wait until the current workspaces are watched."""
        await self._ready.wait()

    async def run(self, retry_seconds: float = 60.0) -> None:
        """Watch until cancelled. If the system refuses, try again every `retry_seconds`.

        Changes in the meantime are found by a rescan only.
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
                    self.problem = f"Changes are found by regular rescans only: {exc}."
                    log.warning("watching failed: %s", self.problem)
                    self._ready.set()
                    await asyncio.sleep(retry_seconds)
        finally:
            stop.set()
            self._restart.set()
            await completed(asyncio.to_thread(executor.shutdown))

    def _listen(self, stop: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        """Watch until `stop` is set; begin again when folders or workspaces come and go."""
        former: Batches | None = None
        while not stop.is_set():
            self._restart.clear()
            folders = self._folders()
            if not folders:
                loop.call_soon_threadsafe(self._ready.set)
                self._restart.wait()
                continue
            batches = _change_batches(folders, stop)
            try:
                changed = next(batches, set[str]())
            except FileNotFoundError:
                continue  # a folder was removed before it could be watched
            # Close the former watch only now: it has seen what changed in the meantime.
            if former is not None:
                changed |= next(former, set[str]())
                former.close()
            former, new, self._watched = batches, folders - self._watched, folders
            self.problem = None
            if not self._restart.is_set():
                loop.call_soon_threadsafe(self._ready.set)
            # Files may have been written between the walk that found a folder and its watch.
            loop.call_soon_threadsafe(self._changed, set(new))
            self._report_changes(changed, batches, loop)

    def _report_changes(
        self, changed: set[str], batches: Batches, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Report changes until a folder comes or goes, or the workspaces change."""
        for paths in itertools.chain([changed], batches):
            if paths:
                loop.call_soon_threadsafe(self._changed, set(paths))
            # A folder that was removed and created again is a new one, and must be scanned.
            self._watched, gone = self._watched - paths, self._watched & paths
            if gone or self._restart.is_set() or any(map(self._is_folder_in_roots, paths)):
                return

    def _folders(self) -> frozenset[str]:
        found: set[str] = set()
        for root in self._roots:
            # A run over this workspace reports the reason to the user.
            with contextlib.suppress(UnreadableDocument):
                inside = scope.folders(Path(root), self._data_dir)
                found.update(folder for folder in inside if os.path.isdir(folder))
        return frozenset(found)

    def _is_folder_in_roots(self, path: str) -> bool:
        inside = any(path == root or path.startswith(root + os.sep) for root in self._roots)
        return inside and os.path.isdir(path)


def _change_batches(folders: Collection[str], stop: threading.Event) -> Batches:
    """Yield changed paths in these folders, in batches that may be empty; watching at the first.

    The library cannot report names that are not UTF-8: at the first such name, yield all folders,
    which may have changed, and end.

    Raises:
        FileNotFoundError: one of the folders does not exist.
        OSError: the system does not allow so many watches.
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
            log.info("watching is restarted: %s", exc)
            yield set(folders)
