"""One workspace is brought up to date: what is seen on the disk, against what is known of it."""

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from allma_server import __version__
from allma_server._internal.disk_calls import call_disk
from allma_server._internal.tasks import background_tasks
from allma_server.config import Config
from allma_server.errors import AllmaError, StorageError
from allma_server.indexing import roots
from allma_server.indexing.forgetting import Forgetting, passed_over
from allma_server.indexing.jobs import Jobs, Run
from allma_server.indexing.pipeline import Pipeline, hash_file
from allma_server.indexing.plan import plan
from allma_server.indexing.view import Extent, Retry, View
from allma_server.ports import Embedder, Ledger, Parser, Progress
from allma_server.secrets import MASKED
from allma_server.types import Add, Change, Document, IngestReport, SeenFile, Update, Workspace

COUNTED_EACH_SECONDS = 0.5
"""How often a run that looks for files says how many it has found."""

ANSWER_SECONDS = 10.0
"""A disk that takes longer to answer at all counts as gone."""

ROOT_SECONDS = 1.0
"""How long a search or the status waits to know whether a workspace's folder is there."""


@dataclass(frozen=True, slots=True)
class _Rules:
    """By what rules files are read now, and by which the whole workspace was read before."""

    recipe: str
    now: str
    former: str

    @property
    def reread(self) -> bool:
        """Another chunk size or another version may read any file otherwise."""
        return self.former.partition("|")[0] != self.now.partition("|")[0]


class Catalogue(Ledger, Protocol):
    """What this needs of the catalogue."""

    async def workspaces(self, *, proposed: bool = False) -> list[Workspace]: ...
    async def workspace_rules(self, workspace_id: int) -> str: ...
    async def set_workspace_rules(self, workspace_id: int, rules: str) -> None: ...
    async def workspace_disks(self, workspace_id: int) -> dict[str, int]: ...
    async def set_workspace_disks(self, workspace_id: int, disks: Mapping[str, int]) -> None: ...
    async def documents_inside(self, folder: str) -> list[Document]: ...


class Updates:
    """Brings workspaces up to date; `recipe` says how files are cut."""

    def __init__(
        self,
        config: Config,
        catalogue: Catalogue,
        *,
        parser: Callable[[], Awaitable[Parser]],
        embedder: Callable[[], Awaitable[Embedder]],
        recipe: Callable[[], Awaitable[str]],
        forgetting: Forgetting,
        jobs: Jobs,
    ) -> None:
        self._config = config
        self._most = config.max_file_mb * 1_000_000
        self._catalogue = catalogue
        self._parser = parser
        self._embedder = embedder
        self._recipe = recipe
        self._forgetting = forgetting
        self._jobs = jobs
        # Whole workspaces are looked through by one run at a time; others find it done.
        self._whole: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._queues: defaultdict[int, list[Run]] = defaultdict(list)

    async def update(self, workspace: Workspace, run: Run, extent: Extent) -> IngestReport:
        """Brings a workspace up to date, as far as `extent` goes.

        Raises:
            PathNotFound, UnreadableDocument: it is not there to be looked at; nothing is removed.
            StorageError: the disk of the workspace or of the index does not take part.
        """
        if extent.only is not None:
            return await self._update(workspace, run, extent)
        async with self._alone(workspace, run):
            return await self._update(workspace, run, extent)

    async def missing(self, workspace: Workspace) -> AllmaError | None:
        """What to tell of a workspace that is not on the disk as it was; None when it is."""
        disks = await self._catalogue.workspace_disks(workspace.id)
        root = Path(workspace.path)
        # A disk that does not answer, or forbids to look, may well have it.
        with contextlib.suppress(TimeoutError, OSError):
            return await call_disk(
                ("root", workspace.path),
                ROOT_SECONDS,
                roots.trouble,
                root,
                disks,
                lambda path: self._has_files(root, path),
            )
        return None

    @contextlib.asynccontextmanager
    async def _alone(self, workspace: Workspace, run: Run) -> AsyncGenerator[None]:
        """No other run looks through the whole workspace.

        Two clients who index the same folder share the work instead of doing it twice. Those before
        this one become as urgent as it is: it waits for them.
        """
        queue = self._queues[workspace.id]
        for earlier in queue:
            earlier.hurry(run.priority)
        queue.append(run)
        try:
            async with self._whole[workspace.id]:
                yield
        finally:
            queue.remove(run)

    async def _update(self, workspace: Workspace, run: Run, extent: Extent) -> IngestReport:
        rules = await self._rules(workspace, extent)
        look = self._jobs.looks.begin()
        if workspace.id not in {w.id for w in await self._catalogue.workspaces()}:
            return IngestReport()  # forgotten, or part of another one, while this run waited
        known = await self._known(workspace, extent.only)
        # A first look may take long, and whoever searches meanwhile should know of it.
        run.to_do = not any(document.state == "indexed" for document in known)
        pipeline = Pipeline(
            workspace,
            ledger=self._catalogue,
            parser=await self._parser(),
            embedder=self._embedder,
            recipe=rules.recipe,
            most=self._most,
            run=run,
            looks=self._jobs.looks,
            look=look,
        )
        planned = await self._changes(workspace, known, rules, run, extent)
        run.to_do = any(isinstance(change, Add | Update) for change in planned)
        report = await pipeline.run(planned)
        run.to_do = False
        if rules.reread and known and self._config.mask_secrets and MASKED not in rules.former:
            await self._forgetting.erase_replaced(workspace.path)
        if rules.former != rules.now:
            await self._catalogue.set_workspace_rules(workspace.id, rules.now)
        return report

    async def _rules(self, workspace: Workspace, extent: Extent) -> _Rules:
        recipe, config = await self._recipe(), self._config
        now = f"{__version__}:{recipe}|{config.max_file_mb}:{config.parse_seconds}"
        if extent.only is not None:
            return _Rules(recipe, now, now)
        return _Rules(recipe, now, await self._catalogue.workspace_rules(workspace.id))

    async def _known(
        self, workspace: Workspace, only: Collection[str] | None
    ) -> Sequence[Document]:
        if only is None:
            return await self._catalogue.documents(workspace.id)
        found = [await self._catalogue.documents_inside(path) for path in only]
        return list({document.id: document for part in found for document in part}.values())

    async def _changes(
        self,
        workspace: Workspace,
        known: Sequence[Document],
        rules: _Rules,
        run: Run,
        extent: Extent,
    ) -> list[Change]:
        """What has changed, as the disk says."""
        disks = await self._catalogue.workspace_disks(workspace.id)
        was_folder = any(document.path != workspace.path for document in known)
        view = View(Path(workspace.path), self._config.data_dir, self._most, disks, was_folder)
        forgotten = await self._forgetting.forgotten()
        seen = _Counted(passed_over(view.seen(extent), forgotten))

        def compared() -> list[Change]:
            return plan(
                known,
                seen,
                lambda path: hash_file(path, rules.recipe, self._most),
                retry_failed=extent.retry is Retry.FAILED,
                retry_limited=extent.retry is Retry.LIMITED or rules.former != rules.now,
                reread=rules.reread,
            )

        async with background_tasks() as tasks:
            tasks.create_task(_count(seen, run))
            changes = await self._looked_through(workspace, compared)
        if extent.only is None and view.found != disks:
            await self._catalogue.set_workspace_disks(workspace.id, view.found)
        return changes

    async def _looked_through(
        self, workspace: Workspace, compared: Callable[[], list[Change]]
    ) -> list[Change]:
        """The changes; a disk that is gone is found out before the walk, which takes long."""
        place = ("walk", workspace.path)
        try:
            await call_disk(place, ANSWER_SECONDS, os.path.lexists, workspace.path)
            return await call_disk(place, None, compared)
        except TimeoutError as exc:
            raise StorageError(
                f"The disk of {workspace.path} does not answer.",
                "What is indexed of it serves; it is looked at again later.",
            ) from exc

    def _has_files(self, root: Path, path: str) -> bool:
        return View(root, self._config.data_dir, self._most, {}, was_folder=True).has_files(path)


class _Counted:
    """Files, and how many of them have been met so far."""

    def __init__(self, files: Iterable[SeenFile]) -> None:
        self._files = files
        self.met = 0

    def __iter__(self) -> Iterator[SeenFile]:
        for file in self._files:
            self.met += 1
            yield file


async def _count(seen: _Counted, progress: Progress) -> None:
    while True:
        await asyncio.sleep(COUNTED_EACH_SECONDS)
        await progress.report(0, None, f"looking for files: {seen.met:,} so far")
