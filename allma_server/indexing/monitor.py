"""Watch the workspaces: index changed files soon after an event, and rescan regularly.

Events only say where to look. Whether and how a file has changed is read from the disk.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Iterable
from pathlib import Path

from allma_server.errors import AllmaError
from allma_server.indexing.ignore_rules import IGNORE_FILES
from allma_server.indexing.jobs import Run
from allma_server.indexing.schedule import Priority
from allma_server.indexing.watch import Watch
from allma_server.types import Workspace

log = logging.getLogger(__name__)

SETTLE_SECONDS = 0.1
"""The pause after an event, in which the other events of one save arrive."""

MAX_URGENT_FILES = 50
"""So many changed files get the priority of a save; more come from a tool and are scanned."""

MAX_DIRTY_PATHS = 2000
"""With more events than this, the system may have dropped some: all workspaces are rescanned."""

RESCAN_SECONDS = 300.0
RETRY_SECONDS = 30.0


class ChangeMonitor:
    """Collects changed paths and starts runs over them.

    `workspaces` returns the current workspaces. `update` starts a run over a workspace, or over the
    given files and folders in it. Runs over folders or many files are not waited for, so that files
    saved meanwhile are indexed first.
    """

    def __init__(
        self,
        workspaces: Callable[[], Awaitable[list[Workspace]]],
        update: Callable[[Workspace, Collection[str] | None, Priority], Run],
        data_dir: Path,
        *,
        watch: bool,
    ) -> None:
        self.enabled = False
        """Set by the caller that starts `run`."""
        self._workspaces = workspaces
        self._update = update
        self._watches_events = watch
        self._dirty: set[str] = set()
        self._scanning: set[str] = set()
        self._retry: set[str] = set()
        self._wake = asyncio.Event()
        self._watch = Watch(self.mark_dirty, data_dir)

    async def run(self, resume: Callable[[], Awaitable[None]]) -> None:
        """Call `resume`, bring all workspaces up to date, and keep them so until cancelled.

        What fails, because the embedder is away or the disk is full, is tried again.
        """
        while True:
            try:
                await resume()
                await self.workspaces_changed()
                self.mark_dirty(workspace.path for workspace in await self._workspaces())
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._process_changes(group))
                    group.create_task(self._rescan())
                    if self._watches_events:
                        group.create_task(self._watch.run())
            except* AllmaError as group_error:
                log.warning("monitoring was interrupted: %s", group_error.exceptions)
            except* Exception:
                log.exception("monitoring was interrupted by a bug")
            await asyncio.sleep(RETRY_SECONDS)

    def mark_dirty(self, paths: Iterable[str]) -> None:
        """Note that files or folders may have changed."""
        for path in paths:
            # An ignore file affects its whole folder.
            is_ignore_file = os.path.basename(path) in IGNORE_FILES
            self._dirty.add(os.path.dirname(path) if is_ignore_file else path)
        self._wake.set()

    async def workspaces_changed(self) -> None:
        """Watch the current workspaces; call it after workspaces were added or removed."""
        self._watch.set_roots([workspace.path for workspace in await self._workspaces()])

    @property
    def is_watching(self) -> bool:
        """Whether changes are found by events, as they happen."""
        return self.enabled and self._watches_events and self._watch.problem is None

    @property
    def problem(self) -> str | None:
        """Why changes are not found by events although they should be."""
        return self._watch.problem if self.enabled and self._watches_events else None

    @property
    def is_busy(self) -> bool:
        """Whether paths are being scanned or wait for it; paths that wait for a retry excluded."""
        return bool(self._dirty or self._scanning)

    def pending(self, folder: str = "") -> int:
        """Return how many files and folders wait to be scanned, in `folder` or in all."""
        pending = self._dirty | self._scanning | self._retry
        return sum(1 for path in pending if not folder or _contains(folder, path))

    async def _process_changes(self, scans: asyncio.TaskGroup) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self._wake.clear()
            dirty, self._dirty = self._dirty, set()
            workspaces = await self._workspaces()
            if len(dirty) > MAX_DIRTY_PATHS:
                dirty = {workspace.path for workspace in workspaces}
            folders = await asyncio.to_thread(_folders, dirty)
            for workspace in workspaces:
                paths = {p for p in dirty if _contains(workspace.path, p)}
                files = paths - folders
                if len(files) > MAX_URGENT_FILES:
                    files = set[str]()
                if files:
                    await self._update_paths(workspace, files, Priority.SAVED)
                if paths - files:
                    scans.create_task(self._scan(workspace, paths - files))

    async def _scan(self, workspace: Workspace, dirty: set[str]) -> None:
        """Scan folders or many files, while saved files are indexed."""
        if workspace.path not in dirty:
            await self._update_paths(workspace, dirty, Priority.SCAN)
            return
        if workspace.path in self._scanning:
            # That run may have passed the changed file already: scan once more after it.
            self._retry.add(workspace.path)
            return
        self._scanning.add(workspace.path)
        try:
            await self._update_paths(workspace, dirty, Priority.SCAN)
        finally:
            self._scanning.discard(workspace.path)
        if workspace.path in self._retry:
            self._retry.discard(workspace.path)
            self.mark_dirty([workspace.path])

    async def _update_paths(
        self, workspace: Workspace, dirty: set[str], priority: Priority
    ) -> None:
        run = self._update(workspace, None if workspace.path in dirty else dirty, priority)
        assert run.task is not None
        await asyncio.wait({run.task})
        if run.error is not None:
            log.warning("%s is not up to date: %s", workspace.path, run.error)
            self._retry |= dirty
            # Do not wait here: files saved meanwhile are indexed in the meantime.
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._mark_failed_dirty)

    def _mark_failed_dirty(self) -> None:
        retry, self._retry = self._retry, set()
        self.mark_dirty(retry)

    async def _rescan(self) -> None:
        while True:
            await asyncio.sleep(RESCAN_SECONDS)
            self.mark_dirty(workspace.path for workspace in await self._workspaces())


def _folders(paths: Collection[str]) -> set[str]:
    return {path for path in paths if os.path.isdir(path)}


def _contains(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
