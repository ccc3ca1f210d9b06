"""Everything that changes the index: approve folders, update them, forget them, monitor them."""

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
from allma_server.indexing import (
    forgetting,
    jobs,
    maintenance,
    recognition,
    scope,
    unsaved,
    update,
    vector_backfill,
)
from allma_server.indexing.current_files import CurrentFiles
from allma_server.indexing.forgetting import Forgetting
from allma_server.indexing.jobs import INGEST, Jobs, Run
from allma_server.indexing.maintenance import Maintenance
from allma_server.indexing.monitor import ChangeMonitor
from allma_server.indexing.recognition import Recognition
from allma_server.indexing.scan import Retry, RunOptions
from allma_server.indexing.schedule import Priority
from allma_server.indexing.update import DISK_TIMEOUT_SECONDS, WorkspaceUpdater
from allma_server.indexing.vector_backfill import VectorBackfill
from allma_server.ports import Embedder, Parser, Progress, TextRecogniser
from allma_server.types import (
    Document,
    ForgetReport,
    IngestReport,
    Job,
    Workspace,
)


class Embedders(vector_backfill.Embedders, Protocol):
    """The embedders of the data directory."""

    async def resolved(self) -> Embedder: ...
    async def retained(self) -> list[str]: ...


class Catalogue(
    update.Catalogue,
    forgetting.Catalogue,
    vector_backfill.Catalogue,
    maintenance.Catalogue,
    recognition.Catalogue,
    unsaved.Catalogue,
    jobs.JobStore,
    Protocol,
):
    """The methods of the catalogue that ingestion uses."""

    async def add_workspace(self, path: str) -> Workspace: ...
    async def check_writable(self) -> None: ...
    async def unfinished_jobs(self) -> list[Job]: ...


class Ingestion:
    """The single writer of the index; made by the engine.

    `chunking_fingerprint` returns what decides how files are chunked. `erase_words` and
    `erase_vectors` erase removed chunks from the search indexes. `started_by`: the users of jobs.
    """

    def __init__(
        self,
        config: Config,
        catalogue: Catalogue,
        *,
        parser: Callable[[], Awaitable[Parser]],
        embedders: Embedders,
        recogniser: TextRecogniser | None,
        chunking_fingerprint: Callable[[], Awaitable[str]],
        erase_words: Callable[[], Awaitable[None]],
        erase_vectors: Callable[[], Awaitable[None]],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._config = config
        self._catalogue = catalogue
        self._embedders = embedders
        max_bytes = config.max_file_mb * 1_000_000
        self.current_files = CurrentFiles(catalogue.workspaces, config.data_dir, max_bytes)
        self.unsaved = unsaved.UnsavedTexts(
            catalogue, self.current_files, parser, embedders.resolved
        )
        self._tasks = tasks
        self._jobs = Jobs(catalogue, tasks)
        self._schedule = self._jobs.schedule
        self._forgetting = Forgetting(catalogue, erase_words, erase_vectors, self._jobs)
        self._updater = WorkspaceUpdater(
            config,
            catalogue,
            parser=parser,
            embedder=embedders.resolved,
            recogniser=recogniser,
            chunking_fingerprint=chunking_fingerprint,
            forgetting=self._forgetting,
            jobs=self._jobs,
        )
        self._backfill = VectorBackfill(catalogue, embedders, self._jobs, self._retry_limited)
        self._recognition = Recognition(
            catalogue, recogniser, self._jobs, self._publish_recognised, max_bytes
        )
        self.maintenance = Maintenance(
            catalogue, self._jobs, embedders.retained, self._retry_limited
        )
        self._monitor = ChangeMonitor(
            catalogue.workspaces, self._start_update, config.data_dir, watch=config.watch
        )
        self._failures: dict[str, str] = {}
        self._slow: set[str] = set()
        self.started_by: dict[str, str] = {}

    # --- workspaces -------------------------------------------------------------------------

    async def approve(self, path: str) -> Workspace:
        """Return the workspace that contains `path`; register it if there is none.

        Raises:
            PathNotFound, FolderNotAllowed: it may not be indexed.
        """
        try:
            real = await call_disk(
                ("approve", path), DISK_TIMEOUT_SECONDS, scope.approve, path, self._config.data_dir
            )
        except TimeoutError as exc:
            raise PathNotFound(f"The disk of {path!r} does not answer.", "Is it mounted?") from exc
        await self._forgetting.readmit(str(real))
        async with self._schedule.writing:
            known = {w.id for w in await self._catalogue.workspaces()}
            workspace = await self._catalogue.add_workspace(str(real))
            if workspace.id not in known:
                # Smaller workspaces inside it were joined to it: what active runs have read for
                # them must not be written.
                self._jobs.scan_versions.invalidate(workspace.path)
        await self._monitor.workspaces_changed()
        return workspace

    async def workspaces(self) -> list[Workspace]:
        """Return all workspaces."""
        return await self._catalogue.workspaces()

    async def locate(self, path: str) -> tuple[Workspace, str | None]:
        """Return the workspace that contains `path`, and the path in it; None if it is the whole.

        Raises:
            DocumentNotFound: no workspace contains it, or it is neither on the disk nor indexed.
        """
        workspaces = await self._catalogue.workspaces()
        known = ", ".join(workspace.path for workspace in workspaces)
        hint = f"Indexed: {known}." if known else "No documents indexed. Run `allma index DIR`."
        for wanted in (absolute(path), await real(path)):
            for workspace in workspaces:
                if wanted == workspace.path:
                    return workspace, None
                if is_inside(wanted, workspace.path):
                    exists = await asyncio.to_thread(os.path.lexists, wanted)
                    if exists or await self._catalogue.documents_inside(wanted):
                        return workspace, wanted
                    raise DocumentNotFound(f"There is no {path!r} in {workspace.path}.", hint)
        raise DocumentNotFound(f"{path} is not inside an indexed workspace.", hint)

    async def forget(self, path: str) -> ForgetReport:
        """Remove a file, a folder or a workspace from the index completely.

        In a process that monitors the disk, the remaining copies are erased in the background.

        Raises:
            DocumentNotFound: nothing at this path is indexed.
        """
        report = await self._forgetting.forget(absolute(path))
        if report is None:
            report = await self._forgetting.forget(await real(path))
        if report is None:
            raise DocumentNotFound(
                f"{path!r} is not in the index.", "`allma status` lists the workspaces."
            )
        await self._monitor.workspaces_changed()
        if not self._monitor.enabled:
            # This process may end at any moment, and the next one may start much later.
            await self._forgetting.wait_until_erased()
            report = replace(report, notice=None)
        return report

    # --- state ------------------------------------------------------------------------------

    def progress(self, workspace: Workspace) -> tuple[int, int | None] | None:
        """Return files done and the total, of the runs that bring a workspace up to date.

        None when they have no files to read. Runs over saved files do not count.
        """
        runs = [r for r in self._runs_over(workspace) if r.initial_priority > Priority.SAVED]
        reading = [run for run in runs if run.has_files_to_read]
        if not reading:
            return None
        totals = [run.job.total for run in reading if run.job.total is not None]
        return sum(run.job.done for run in reading), sum(totals) if totals else None

    def is_updating(self, workspace: Workspace) -> bool:
        """Whether a run over a workspace is at work, or waits for its turn."""
        return bool(self._runs_over(workspace))

    @property
    def is_indexing(self) -> bool:
        """Whether files are being read, embedded or stored."""
        return bool(self._jobs.runs(INGEST))

    def failure_reason(self, workspace: Workspace) -> str | None:
        """Return why the last run over a workspace failed; None when it succeeded."""
        return self._failures.get(workspace.path)

    async def unavailable(self, workspaces: Sequence[Workspace]) -> dict[str, str]:
        """Return why folders are not on the disk as they were, by path; the others are left out.

        Folders that were imported and never approved are not accessed.
        """
        approved = [workspace for workspace in workspaces if workspace.approved]
        found = await asyncio.gather(*map(self._updater.unavailable, approved))
        return {w.path: str(why) for w, why in zip(approved, found, strict=True) if why is not None}

    def pending(self, workspace: Workspace) -> int:
        """Return the number of known changes in a workspace that are not indexed yet."""
        running = [run.job for run in self._runs_over(workspace)]
        left = sum(max(0, (job.total or 0) - job.done) for job in running)
        return self._monitor.pending(workspace.path) + left

    def _runs_over(self, workspace: Workspace) -> list[Run]:
        """Return the runs over a workspace, or over several."""
        return [run for run in self._jobs.runs(INGEST) if run.job.path in ("", workspace.path)]

    @property
    def missing_vectors_reason(self) -> str | None:
        """Why some documents have no vectors; None when they all have, or will have soon."""
        return self._backfill.missing_reason

    @property
    def backfill_problem(self) -> str | None:
        """Why vectors that are missing, or wanted of another embedder, are not made."""
        return self._backfill.problem

    @property
    def pages_to_recognise(self) -> int:
        """The number of pages whose text is being recognised, before it can be found."""
        return self._recognition.pages_left

    @property
    def is_busy(self) -> bool:
        """Whether work is active or waits for its turn."""
        return self._monitor.is_busy or not all(run.is_waiting for run in self._jobs.runs())

    @property
    def is_watching(self) -> bool:
        """Whether changes are found by events, as they happen."""
        return self._monitor.is_watching

    @property
    def watch_problem(self) -> str | None:
        """Why changes are not found by events although they should be."""
        return self._monitor.problem

    async def wait_until_embedded(self) -> None:
        """Wait until no vectors are missing, or none that can be made now."""
        await self._backfill.wait()

    async def wait_until_recognised(self) -> None:
        """Wait until the text of all pages that can be recognised now is in the index."""
        await self._recognition.wait()

    async def wait_until_erased(self) -> None:
        """Wait until the copies of everything that was forgotten so far are erased."""
        await self._forgetting.wait_until_erased()

    # --- pauses -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def exclusive(self) -> Generator[None]:
        """Pause all runs before their next step, for the duration of the block."""
        with self._schedule.exclusive():
            yield

    @contextlib.contextmanager
    def pause_embedding(self) -> Generator[None]:
        """Pause embedding while a question is being answered, for the duration of the block."""
        with self._schedule.pause_embedding():
            yield

    # --- monitoring -------------------------------------------------------------------------

    def start_monitoring(self) -> None:
        """Bring all workspaces up to date and keep them so, as long as the engine lives.

        For processes that live long. Further calls have no effect.
        """
        if not self._monitor.enabled:
            self._monitor.enabled = True
            self._tasks.create_task(self._monitor.run(self._resume))
            self._tasks.create_task(self.maintenance.run())

    def mark_dirty(self, paths: Iterable[str]) -> None:
        """Note that files or folders may have changed; whether they did is read from the disk."""
        self._monitor.mark_dirty(paths)

    async def _scan_all(self, retry: Retry = Retry.CHANGED) -> None:
        for workspace in await self._catalogue.workspaces():
            self._start([workspace], Priority.SCAN, RunOptions(retry=retry))

    async def _retry_limited(self) -> None:
        await self._scan_all(Retry.LIMITED)

    async def _resume(self) -> None:
        await self._forgetting.resume()
        self._backfill.start()
        self._recognition.start()
        workspaces = await self._catalogue.workspaces()
        for job in await self._catalogue.unfinished_jobs():
            # Keep the id: a client may ask for the result of the job.
            if not self._jobs.has(job.id):
                inside = [w for w in workspaces if job.path in ("", w.path)]
                self._start(inside, Priority.SCAN, RunOptions(), resumed=job)

    def _start_update(
        self, workspace: Workspace, only: Collection[str] | None, priority: Priority
    ) -> Run:
        return self._start([workspace], priority, RunOptions(only))

    # --- runs -------------------------------------------------------------------------------

    async def run(
        self,
        workspaces: Sequence[Workspace],
        progress: Progress,
        *,
        deadline: float | None = None,
        only: Collection[str] | None = None,
        retry: Retry = Retry.CHANGED,
        accept_empty: bool = False,
    ) -> IngestReport | Job:
        """Bring workspaces up to date; return the Job when that takes longer than `deadline` s.

        `only` limits the run to files and folders inside. With `accept_empty`, an empty folder is
        treated as empty even if a disk was mounted there before.

        Cancelling the caller cancels the run, unless another caller waits for it too.

        Raises:
            ProviderError, StorageError: the run failed; what it published stays.
        """
        if retry is Retry.FAILED:
            await self._recognition.retry_failed()
        run = self._start(workspaces, Priority.ASKED, RunOptions(only, retry, accept_empty))
        return await self._jobs.wait(run, progress, deadline=deadline)

    async def _publish_recognised(self, document: Document) -> None:
        workspaces = await self._catalogue.workspaces()
        options = RunOptions([document.path], Retry.SCANNED)
        inside = [w for w in workspaces if w.id == document.workspace_id]
        if inside and (task := self._start(inside, Priority.SCAN, options).task) is not None:
            await asyncio.wait({task})

    async def look(self, folders: Sequence[str], seconds: float) -> None:
        """Bring the workspaces of `folders`, or all, up to date before they are searched.

        What takes longer than `seconds` continues in the background, and the search says so. A
        workspace that takes longer to scan is not scanned again while its events are followed.
        """
        started = {
            workspace.path: self._start([workspace], Priority.ASKED, RunOptions())
            for workspace in await self._catalogue.workspaces()
            if self.progress(workspace) is None and _overlaps(workspace.path, folders)
            if not (self.is_watching and workspace.path in self._slow)
        }
        if tasks := {run.task for run in started.values() if run.task is not None}:
            await asyncio.wait(tasks, timeout=seconds)
        self._slow |= {
            path
            for path, run in started.items()
            if run.task is not None and not run.task.done() and not run.has_files_to_read
        }

    async def job(self, job_id: str) -> Job:
        """Return a job, running or ended.

        Raises:
            JobNotFound: no job has this id.
        """
        return await self._jobs.job(job_id)

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job; a job that has ended is returned unchanged.

        Raises:
            JobNotFound: no job has this id.
        """
        return await self._jobs.cancel(job_id)

    def active_jobs(self) -> list[Job]:
        """Return the jobs that have not ended."""
        return [run.job for run in self._jobs.runs()]

    def _start(
        self,
        workspaces: Sequence[Workspace],
        priority: Priority,
        options: RunOptions,
        *,
        resumed: Job | None = None,
    ) -> Run:
        """Start a run in the background."""

        async def work(run: Run) -> None:
            try:
                await self._work(run, workspaces, options)
            except AllmaError as exc:
                self._failures.update(dict.fromkeys((w.path for w in workspaces), str(exc)))
                raise

        path = workspaces[0].path if len(workspaces) == 1 else ""
        return self._jobs.start(path, work, priority, resumed=resumed)

    async def _work(self, run: Run, workspaces: Sequence[Workspace], options: RunOptions) -> None:
        await self._catalogue.check_writable()
        await self._forgetting.resume()
        embedder = await self._embedders.resolved()
        failures: list[str] = []
        for workspace in workspaces:
            try:
                run.add_report(await self._updater.update(workspace, run, options))
            except (PathNotFound, UnreadableDocument) as exc:
                if len(workspaces) == 1 and isinstance(exc, UnreadableDocument):
                    raise
                failures.append(str(exc))  # continue with the other workspaces
                self._failures[workspace.path] = str(exc)
            else:
                self._failures.pop(workspace.path, None)
        has_missing_vectors = run.job.report is not None and run.job.report.notice is not None
        for notice in failures:
            run.add_report(IngestReport(notice=notice))
        if has_missing_vectors or await self._embedders.resolved() is not embedder:
            self._backfill.mark_needed()
        self._backfill.start()
        if options.retry is not Retry.SCANNED:
            self._recognition.start()


def _overlaps(path: str, folders: Sequence[str]) -> bool:
    return not folders or any(is_inside(path, each) or is_inside(each, path) for each in folders)
