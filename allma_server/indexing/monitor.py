"""Watch the workspaces: changed files are indexed soon after an event, and by a regular rescan.

Events are hints only. Whether a file changed, and how, the disk tells.
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
"""Pause after an event, in which the other events of one save arrive."""

FEW = 50
"""Changed files that are looked at before everything else; more of them are no hand's work."""

MANY = 2000
SWEEP_SECONDS = 300.0
RETRY_SECONDS = 30.0


class ChangeMonitor:
    """Knows what waits to be looked at.

    `on`: whoever starts `run` sets it. `workspaces` are asked for again each time. `update` begins
    a run over one of them, or over the named files and folders inside only. Runs over more than a
    FEW files are not waited for: what is saved meanwhile comes before them.
    """

    def __init__(
        self,
        workspaces: Callable[[], Awaitable[list[Workspace]]],
        update: Callable[[Workspace, Collection[str] | None, Priority], Run],
        data_dir: Path,
        *,
        watch: bool,
    ) -> None:
        self.on = False
        self._workspaces = workspaces
        self._update = update
        self._watched = watch
        self._dirty: set[str] = set()
        self._scanned: set[str] = set()
        self._again: set[str] = set()
        self._wake = asyncio.Event()
        self._watch = Watch(self.hint, data_dir)

    async def run(self, resume: Callable[[], Awaitable[None]]) -> None:
        """Brings everything up to date and keeps it so until cancelled.

        `resume` comes before that. What cannot be done now, because the embedder is away or the
        disk full, is tried again.
        """
        while True:
            try:
                await resume()
                await self.workspaces_changed()
                self.hint(workspace.path for workspace in await self._workspaces())
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._react(group))
                    group.create_task(self._sweep())
                    if self._watched:
                        group.create_task(self._watch.run())
            except* AllmaError as group_error:
                log.warning("following the workspaces was interrupted: %s", group_error.exceptions)
            except* Exception:
                log.exception("following the workspaces was interrupted by a bug")
            await asyncio.sleep(RETRY_SECONDS)

    def hint(self, paths: Iterable[str]) -> None:
        """Somebody says that these files or folders changed."""
        for path in paths:
            # Another set of rules concerns everything beside it.
            is_rules = os.path.basename(path) in IGNORE_FILES
            self._dirty.add(os.path.dirname(path) if is_rules else path)
        self._wake.set()

    async def workspaces_changed(self) -> None:
        """There are more of them, or fewer."""
        self._watch.follow([workspace.path for workspace in await self._workspaces()])

    @property
    def at_once(self) -> bool:
        """Whether changes are followed as they happen."""
        return self.on and self._watched and self._watch.trouble is None

    @property
    def trouble(self) -> str | None:
        """Why they are not, though they should be."""
        return self._watch.trouble if self.on and self._watched else None

    @property
    def at_work(self) -> bool:
        """Whether something is looked at or soon will be; not for what could not be, and waits."""
        return bool(self._dirty or self._scanned)

    def waiting(self, folder: str = "") -> int:
        """Files and folders, inside one or anywhere, that wait to be looked at."""
        waiting = self._dirty | self._scanned | self._again
        return sum(1 for path in waiting if not folder or _covers(folder, path))

    async def _react(self, scans: asyncio.TaskGroup) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self._wake.clear()
            dirty, self._dirty = self._dirty, set()
            workspaces = await self._workspaces()
            if len(dirty) > MANY:
                # So many events that the system may have dropped some: look at everything.
                dirty = {workspace.path for workspace in workspaces}
            folders = await asyncio.to_thread(_folders, dirty)
            for workspace in workspaces:
                mine = {p for p in dirty if _covers(workspace.path, p)}
                files = mine - folders
                if len(files) > FEW:
                    files = set[str]()
                if files:
                    await self._look(workspace, files, Priority.SAVED)
                if mine - files:
                    scans.create_task(self._scan(workspace, mine - files))

    async def _scan(self, workspace: Workspace, dirty: set[str]) -> None:
        """Looks through folders, or many files, while others are looked at."""
        if workspace.path not in dirty:
            await self._look(workspace, dirty, Priority.SCAN)
            return
        if workspace.path in self._scanned:
            # That run may have passed the place already: another one follows it.
            self._again.add(workspace.path)
            return
        self._scanned.add(workspace.path)
        try:
            await self._look(workspace, dirty, Priority.SCAN)
        finally:
            self._scanned.discard(workspace.path)
        if workspace.path in self._again:
            self._again.discard(workspace.path)
            self.hint([workspace.path])

    async def _look(self, workspace: Workspace, dirty: set[str], priority: Priority) -> None:
        run = self._update(workspace, None if workspace.path in dirty else dirty, priority)
        assert run.task is not None
        await asyncio.wait({run.task})
        if run.error is not None:
            log.warning("%s is not up to date: %s", workspace.path, run.error)
            self._again |= dirty
            # Not a pause: what is saved meanwhile is looked at meanwhile.
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._look_again)

    def _look_again(self) -> None:
        again, self._again = self._again, set()
        self.hint(again)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.hint(workspace.path for workspace in await self._workspaces())


def _folders(paths: Collection[str]) -> set[str]:
    return {path for path in paths if os.path.isdir(path)}


def _covers(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
