"""Everything that changes the index: what may be indexed, bringing it up to date, forgetting."""

import asyncio
import contextlib
import os
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Generator,
    Iterable,
    Sequence,
)
from dataclasses import replace
from typing import Protocol

from allma_server._internal.disk_calls import call_disk
from allma_server._internal.paths import absolute, is_inside, real
from allma_server.config import Config
from allma_server.errors import (
    AllmaError,
    DocumentNotFound,
    PathNotFound,
    UnreadableDocument,
)
from allma_server.indexing import embedding, forgetting, jobs, maintenance, scope, update
from allma_server.indexing.current_files import CurrentFiles
from allma_server.indexing.embedding import Embedding
from allma_server.indexing.forgetting import Forgetting
from allma_server.indexing.jobs import INGEST, Jobs, Run
from allma_server.indexing.maintenance import Maintenance
from allma_server.indexing.monitor import ChangeMonitor
from allma_server.indexing.schedule import Priority
from allma_server.indexing.update import ANSWER_SECONDS, Updates
from allma_server.indexing.view import Extent, Retry
from allma_server.ports import Embedder, Parser, Progress
from allma_server.types import (
    ForgetReport,
    IngestReport,
    Job,
    Workspace,
)


class Embedders(embedding.Embedders, Protocol):
    """The embedders of the data directory."""

    async def chosen(self) -> Embedder: ...
    async def in_use(self) -> list[str]: ...


class Catalogue(
    update.Catalogue,
    forgetting.Catalogue,
    embedding.Catalogue,
    maintenance.Catalogue,
    jobs.Records,
    Protocol,
):
    """What ingestion needs of the catalogue."""

    async def add_workspace(self, path: str) -> Workspace: ...
    async def check_writable(self) -> None: ...
    async def unfinished_jobs(self) -> list[Job]: ...


class Ingestion:
    """The one who writes the index; made by the engine."""

    def __init__(
        self,
        config: Config,
        catalogue: Catalogue,
        *,
        parser: Callable[[], Awaitable[Parser]],
        embedders: Embedders,
        recipe: Callable[[], Awaitable[str]],
        erase: Callable[[], Awaitable[None]],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._config = config
        self._catalogue = catalogue
        self._embedders = embedders
        most = config.max_file_mb * 1_000_000
        self.current = CurrentFiles(catalogue.workspaces, config.data_dir, most)
        self._tasks = tasks
        self._jobs = Jobs(catalogue, tasks)
        self._schedule = self._jobs.schedule
        self._forgetting = Forgetting(catalogue, erase, self._jobs)
        self._updates = Updates(
            config,
            catalogue,
            parser=parser,
            embedder=embedders.chosen,
            recipe=recipe,
            forgetting=self._forgetting,
            jobs=self._jobs,
        )
        self._embedding = Embedding(catalogue, embedders, self._jobs, self._retry_limited)
        self.maintenance = Maintenance(catalogue, self._jobs, embedders.in_use, self._retry_limited)
        self._monitor = ChangeMonitor(
            catalogue.workspaces, self._update, config.data_dir, watch=config.watch
        )
        self._reasons: dict[str, str] = {}

    # --- what is indexed --------------------------------------------------------------------

    async def approve(self, path: str) -> Workspace:
        """The workspace that holds `path`, registered now if it was not.

        Raises:
            PathNotFound, FolderNotAllowed: it may not be indexed.
        """
        try:
            real = await call_disk(
                ("approve", path), ANSWER_SECONDS, scope.approve, path, self._config.data_dir
            )
        except TimeoutError as exc:
            raise PathNotFound(f"The disk of {path!r} does not answer.", "Is it mounted?") from exc
        await self._forgetting.admit(str(real))
        async with self._schedule.writing:
            known = {w.id for w in await self._catalogue.workspaces()}
            workspace = await self._catalogue.add_workspace(str(real))
            if workspace.id not in known:
                # Runs over folders that have become part of it write to workspaces that are gone.
                self._jobs.looks.withdraw(workspace.path)
        await self._monitor.workspaces_changed()
        return workspace

    async def registered(self) -> list[Workspace]:
        """All workspaces."""
        return await self._catalogue.workspaces()

    async def place(self, path: str) -> tuple[Workspace, str | None]:
        """The workspace that holds `path`, and the part of it that this is; None: the whole.

        Raises:
            DocumentNotFound: no workspace holds it, or it is neither on the disk nor in the index.
        """
        workspaces = await self._catalogue.workspaces()
        known = ", ".join(workspace.path for workspace in workspaces)
        hint = f"Indexed: {known}." if known else "No documents indexed. Run `allma index DIR`."
        for wanted in (absolute(path), await real(path)):
            for workspace in workspaces:
                if wanted == workspace.path:
                    return workspace, None
                if is_inside(wanted, workspace.path):
                    there = await asyncio.to_thread(os.path.lexists, wanted)
                    if there or await self._catalogue.documents_inside(wanted):
                        return workspace, wanted
                    raise DocumentNotFound(f"There is no {path!r} in {workspace.path}.", hint)
        raise DocumentNotFound(f"{path} is not inside an indexed workspace.", hint)

    async def forget(self, path: str) -> ForgetReport:
        """Takes a file, a folder or a workspace out of the index, without a trace.

        In a process that follows the disk, the last traces are erased in the background.

        Raises:
            DocumentNotFound: nothing indexed is there.
        """
        report = await self._forgetting.forget(absolute(path))
        if report is None:
            report = await self._forgetting.forget(await real(path))
        if report is None:
            raise DocumentNotFound(
                f"{path!r} is not in the index.", "`allma status` lists the workspaces."
            )
        await self._monitor.workspaces_changed()
        if not self._monitor.on:
            # This process may end at any moment, and nobody knows when the next one begins.
            await self._forgetting.erased()
            report = replace(report, notice=None)
        return report

    async def embedded(self) -> None:
        """Returns once no vectors are missing, or none that can be made now."""
        await self._embedding.ended()

    @property
    def incomplete(self) -> str | None:
        """Why some documents have no vectors, a sentence; None when they all have or soon will."""
        return self._embedding.incomplete

    def progress(self, workspace: Workspace) -> tuple[int, int | None] | None:
        """Files done, and of how many, of the runs that bring a workspace up to date.

        None when nothing is left to do. Files that were saved just now do not count.
        """
        runs = [
            run
            for run in self._jobs.runs(INGEST)
            if run.job.path in ("", workspace.path) and run.urgency > Priority.SAVED
        ]
        left = [run for run in runs if run.to_do]
        if not left:
            return None
        totals = [run.job.total for run in left if run.job.total is not None]
        return sum(run.job.done for run in left), sum(totals) if totals else None

    def reason(self, workspace: Workspace) -> str | None:
        """Why the last run over a workspace could not go on; None when it could."""
        return self._reasons.get(workspace.path)

    async def missing(self, workspaces: Sequence[Workspace]) -> dict[str, str]:
        """By path, what to tell of those whose folder is not on the disk now as it was.

        Of imported folders that nobody approved, nothing is looked at.
        """
        approved = [workspace for workspace in workspaces if workspace.approved]
        found = await asyncio.gather(*map(self._updates.missing, approved))
        return {w.path: str(why) for w, why in zip(approved, found, strict=True) if why is not None}

    @property
    def embedding_trouble(self) -> str | None:
        """Why vectors that are missing, or wanted of another embedder, are not made."""
        return self._embedding.trouble

    async def erased(self) -> None:
        """Returns once nothing is left of what has been forgotten so far."""
        await self._forgetting.erased()

    # --- when, and when not -----------------------------------------------------------------

    @contextlib.contextmanager
    def exclusive(self) -> Generator[None]:
        """While it lasts, runs pause before their next step."""
        with self._schedule.exclusive():
            yield

    @contextlib.contextmanager
    def pause_embedding(self) -> Generator[None]:
        """While it lasts, somebody waits for an answer: nothing is embedded meanwhile."""
        with self._schedule.answering():
            yield

    # --- following the disk -----------------------------------------------------------------

    def follow(self) -> None:
        """Brings all workspaces up to date and keeps them so while the engine lives.

        For processes that live long; calling it again changes nothing.
        """
        if not self._monitor.on:
            self._monitor.on = True
            self._tasks.create_task(self._monitor.run(self._resume))
            self._tasks.create_task(self.maintenance.run())

    def hint(self, paths: Iterable[str]) -> None:
        """Somebody says that these files or folders changed; whether they did, the disk tells."""
        self._monitor.hint(paths)

    @property
    def busy(self) -> bool:
        """Whether something is being done or waits to be."""
        return self._monitor.at_work or not all(run.resting for run in self._jobs.runs())

    @property
    def watching(self) -> bool:
        """Whether changes are followed as they happen."""
        return self._monitor.at_once

    @property
    def trouble(self) -> str | None:
        """Why they are not, though they should be."""
        return self._monitor.trouble

    def pending(self, workspace: Workspace) -> int:
        """Changes of the workspace that are known but not in the index yet."""
        jobs = [run.job for run in self._jobs.runs(INGEST)]
        running = [job for job in jobs if job.path in ("", workspace.path)]
        left = sum(max(0, (job.total or 0) - job.done) for job in running)
        return self._monitor.waiting(workspace.path) + left

    async def _scan_all(self, retry: Retry = Retry.CHANGED) -> None:
        for workspace in await self._catalogue.workspaces():
            self._start([workspace], Priority.SCAN, Extent(retry=retry))

    async def _retry_limited(self) -> None:
        await self._scan_all(Retry.LIMITED)

    async def _resume(self) -> None:
        await self._forgetting.resume()
        self._embedding.begin()
        workspaces = await self._catalogue.workspaces()
        for job in await self._catalogue.unfinished_jobs():
            # Somebody has its id, and will ask for its outcome.
            if not self._jobs.has(job.id):
                inside = [w for w in workspaces if job.path in ("", w.path)]
                self._start(inside, Priority.SCAN, Extent(), resumed=job)

    def _update(
        self, workspace: Workspace, only: Collection[str] | None, priority: Priority
    ) -> Run:
        return self._start([workspace], priority, Extent(only))

    # --- runs -------------------------------------------------------------------------------

    async def run(
        self,
        workspaces: Sequence[Workspace],
        progress: Progress,
        *,
        deadline: float | None = None,
        only: Collection[str] | None = None,
        retry: Retry = Retry.CHANGED,
        as_it_is: bool = False,
    ) -> IngestReport | Job:
        """Brings workspaces up to date; its Job instead when that takes longer than `deadline` s.

        `only` limits it to files and folders inside. With `as_it_is`, a folder that is empty now is
        taken as one, also where a disk was mounted before.

        Cancelling the caller cancels the run, unless somebody else follows it too.

        Raises:
            ProviderError, StorageError: the run could not go on; what it published stays.
        """
        run = self._start(workspaces, Priority.ASKED, Extent(only, retry, as_it_is))
        return await self._jobs.follow(run, progress, deadline=deadline)

    async def job(self, job_id: str) -> Job:
        """A job, running or past.

        Raises:
            JobNotFound: there is none of that id.
        """
        return await self._jobs.job(job_id)

    async def cancel(self, job_id: str) -> Job:
        """Stops a job; one that has ended stays as it is.

        Raises:
            JobNotFound: there is none of that id.
        """
        return await self._jobs.cancel(job_id)

    def running(self) -> list[Job]:
        """The jobs that are not done yet."""
        return [run.job for run in self._jobs.runs()]

    def _start(
        self,
        workspaces: Sequence[Workspace],
        priority: Priority,
        extent: Extent,
        *,
        resumed: Job | None = None,
    ) -> Run:
        """Begins a run in the background."""

        async def work(run: Run) -> None:
            try:
                await self._work(run, workspaces, extent)
            except AllmaError as exc:
                self._reasons.update(dict.fromkeys((w.path for w in workspaces), str(exc)))
                raise

        path = workspaces[0].path if len(workspaces) == 1 else ""
        return self._jobs.start(path, work, priority, resumed=resumed)

    async def _work(self, run: Run, workspaces: Sequence[Workspace], extent: Extent) -> None:
        await self._catalogue.check_writable()
        await self._forgetting.resume()
        began_with = await self._embedders.chosen()
        away: list[str] = []
        for workspace in workspaces:
            try:
                run.add(await self._updates.update(workspace, run, extent))
            except (PathNotFound, UnreadableDocument) as exc:
                if len(workspaces) == 1 and isinstance(exc, UnreadableDocument):
                    raise
                away.append(str(exc))  # no reason to leave the other workspaces as they are
                self._reasons[workspace.path] = str(exc)
            else:
                self._reasons.pop(workspace.path, None)
        lacking = run.job.report is not None and run.job.report.notice is not None
        for notice in away:
            run.add(IngestReport(notice=notice))
        if lacking or await self._embedders.chosen() is not began_with:
            self._embedding.needed()
        self._embedding.begin()
