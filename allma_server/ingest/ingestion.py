"""Everything that changes the index: what may be indexed, runs as jobs, forgetting.

Runs are made one after another, so that two clients who index the same folder share the work
instead of doing it twice.
"""

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Generator,
    Iterable,
    Sequence,
)
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from allma_server import __version__
from allma_server.config import Config
from allma_server.errors import AllmaError, DocumentNotFound
from allma_server.ingest import forgetting, scope
from allma_server.ingest.forgetting import Forgetting, passed_over
from allma_server.ingest.pipeline import Pipeline, hash_file
from allma_server.ingest.plan import plan
from allma_server.ingest.watch import Watch
from allma_server.model import (
    Change,
    Document,
    ForgetReport,
    IngestReport,
    Job,
    Workspace,
    now,
)
from allma_server.ports import Embedder, Ledger, Parser, Progress

log = logging.getLogger(__name__)

SETTLE_SECONDS = 0.1
"""Pause after an event, in which the other events of one save arrive."""

MANY = 2000
SWEEP_SECONDS = 300.0
RETRY_SECONDS = 30.0
COURTESY_SECONDS = 20.0


class Catalogue(Ledger, forgetting.Catalogue, Protocol):
    """What ingestion needs of the catalogue."""

    async def add_workspace(self, path: str) -> Workspace: ...
    async def workspace_rules(self, workspace_id: int) -> str: ...
    async def set_workspace_rules(self, workspace_id: int, rules: str) -> None: ...
    async def save_job(self, job: Job) -> None: ...
    async def unfinished_jobs(self) -> list[Job]: ...
    async def job(self, job_id: str) -> Job: ...


@dataclass(slots=True)
class _Run:
    """A job in this process: its task, and everybody who follows it."""

    job: Job
    task: asyncio.Task[IngestReport] | None = None
    followers: list[Progress] = field(default_factory=list[Progress])
    error: AllmaError | None = None

    async def report(self, done: int, total: int | None, message: str) -> None:
        self.job = replace(self.job, done=done, total=total, message=message)
        for follower in list(self.followers):
            await follower.report(done, total, message)

    async def started(self, conversation_id: str, message_id: str) -> None: ...
    async def text(self, delta: str) -> None: ...
    async def sources(self, citations: Sequence[object]) -> None: ...


class Ingestion:
    """The one who writes the index; made by the engine."""

    def __init__(
        self,
        config: Config,
        catalogue: Catalogue,
        *,
        parser: Callable[[], Awaitable[Parser]],
        embedder: Callable[[], Awaitable[Embedder]],
        prepare: Callable[[Progress], Awaitable[None]],
        recipe: Callable[[], Awaitable[str]],
        erase: Callable[[], Awaitable[None]],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._config = config
        self._catalogue = catalogue
        self._parser = parser
        self._embedder = embedder
        self._prepare = prepare
        self._recipe = recipe
        self._forgetting = Forgetting(catalogue, erase)
        self._tasks = tasks
        self._turn = asyncio.Lock()
        self._runs: dict[str, _Run] = {}
        self._following = False
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._watch = Watch(self.hint, config.data_dir)
        self._waited_for = 0
        self._nobody_waits = asyncio.Event()
        self._nobody_waits.set()

    # --- what is indexed --------------------------------------------------------------------

    async def approve(self, path: str) -> Workspace:
        """The workspace that holds `path`, registered now if it was not.

        Raises:
            PathNotFound, FolderNotAllowed: it may not be indexed.
        """
        real = await asyncio.to_thread(scope.approve, path, self._config.data_dir)
        await self._forgetting.admit(str(real))
        workspace = await self._catalogue.add_workspace(str(real))
        await self._watch_workspaces()
        return workspace

    async def registered(self, path: str | None = None) -> list[Workspace]:
        """All workspaces, or the one that holds `path`.

        Raises:
            DocumentNotFound: no workspace holds it.
        """
        workspaces = await self._catalogue.workspaces()
        if path is None:
            return workspaces
        wanted = Path(scope.absolute(path))
        for workspace in workspaces:
            root = Path(workspace.path)
            if root == wanted or root in wanted.parents:
                return [workspace]
        raise DocumentNotFound(f"{path!r} is in no indexed workspace.", "Index its folder first.")

    async def forget(self, path: str) -> ForgetReport:
        """Takes a file, a folder or a workspace out of the index, without a trace.

        Raises:
            DocumentNotFound: nothing indexed is there.
        """
        async with self._turn:
            report = await self._forgetting.forget(scope.absolute(path))
        if report is None:
            raise DocumentNotFound(
                f"{path!r} is not in the index.", "`allma status` lists the workspaces."
            )
        await self._watch_workspaces()
        return report

    @contextlib.asynccontextmanager
    async def halted(self) -> AsyncGenerator[None]:
        """While it lasts, nobody writes the index; runs wait."""
        async with self._turn:
            yield

    @contextlib.contextmanager
    def giving_way(self) -> Generator[None]:
        """While it lasts, somebody waits for an answer: nothing is embedded meanwhile.

        A run that has been held up for COURTESY_SECONDS takes its next step all the same.
        """
        self._waited_for += 1
        self._nobody_waits.clear()
        try:
            yield
        finally:
            self._waited_for -= 1
            if not self._waited_for:
                self._nobody_waits.set()

    async def _clear(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COURTESY_SECONDS):
                await self._nobody_waits.wait()

    # --- following the disk -----------------------------------------------------------------

    def follow(self) -> None:
        """Brings all workspaces up to date and keeps them so while the engine lives.

        For processes that live long; calling it again changes nothing. What cannot be done now,
        because the embedder is away or the disk full, is tried again.
        """
        if not self._following:
            self._following = True
            self._tasks.create_task(self._follow())

    async def _follow(self) -> None:
        while True:
            try:
                await self._resume()
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._react())
                    group.create_task(self._sweep())
                    if self._config.watch:
                        group.create_task(self._watch.run())
            except* AllmaError as group_error:
                log.warning("following the workspaces was interrupted: %s", group_error.exceptions)
            except* Exception:
                log.exception("following the workspaces was interrupted by a bug")
            await asyncio.sleep(RETRY_SECONDS)

    @property
    def busy(self) -> bool:
        """Whether something is being done or waits to be."""
        return bool(self._dirty or self.running())

    def watching(self, workspace: Workspace) -> bool:
        """Whether changes in the workspace are followed as they happen."""
        return self._following and self._config.watch and self._watch.trouble is None

    @property
    def trouble(self) -> str | None:
        """Why changes are not followed as they happen, though they should be."""
        return self._watch.trouble if self._following and self._config.watch else None

    def pending(self, workspace: Workspace) -> int:
        """Changes of the workspace that are known but not in the index yet."""
        waiting = sum(1 for path in self._dirty if _covers(workspace.path, path))
        running = [job for job in self.running() if job.path in ("", workspace.path)]
        return waiting + sum(max(0, (job.total or 0) - job.done) for job in running)

    def hint(self, paths: Iterable[str]) -> None:
        """Somebody says that these files or folders changed; whether they did, the disk tells."""
        for path in paths:
            # Another set of rules concerns everything beside it.
            is_rules = os.path.basename(path) in scope.IGNORE_FILES
            self._dirty.add(os.path.dirname(path) if is_rules else path)
        self._wake.set()

    async def _resume(self) -> None:
        async with self._turn:
            await self._forgetting.resume()
        await self._watch_workspaces()
        workspaces = await self._catalogue.workspaces()
        for job in await self._catalogue.unfinished_jobs():
            # Somebody has its id, and will ask for its outcome.
            if job.id not in self._runs:
                self.start([w for w in workspaces if job.path in ("", w.path)], job=job)
        self.hint(workspace.path for workspace in workspaces)

    async def _watch_workspaces(self) -> None:
        self._watch.follow([workspace.path for workspace in await self._catalogue.workspaces()])

    async def _react(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self._wake.clear()
            dirty, self._dirty = self._dirty, set()
            if len(dirty) > MANY:
                # So many events that the system may have dropped some: look at everything.
                dirty = {w.path for w in await self._catalogue.workspaces()}
            for workspace in await self._catalogue.workspaces():
                inside = {path for path in dirty if _covers(workspace.path, path)}
                if not inside:
                    continue
                run = self.start([workspace], only=None if workspace.path in inside else inside)
                assert run.task is not None
                await asyncio.wait({run.task})
                if run.error is not None:
                    log.warning("%s is not up to date: %s", workspace.path, run.error)
                    self._dirty |= inside
            if self._dirty and not self._wake.is_set():
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.hint(workspace.path for workspace in await self._catalogue.workspaces())

    # --- runs -------------------------------------------------------------------------------

    async def run(
        self,
        workspaces: Sequence[Workspace],
        progress: Progress,
        *,
        patience: float | None = None,
        retry_failed: bool = False,
    ) -> IngestReport | Job:
        """Brings workspaces up to date; its Job instead when that takes longer than `patience` s.

        Cancelling the caller cancels the run, unless somebody else follows it too.

        Raises:
            ProviderError, StorageError: the run could not go on; what it published stays.
        """
        run = self.start(workspaces, retry_failed=retry_failed)
        assert run.task is not None
        run.followers.append(progress)
        try:
            done, _ = await asyncio.wait({run.task}, timeout=patience)
        except asyncio.CancelledError:
            run.followers.remove(progress)
            if not run.followers:
                # Already so to whoever asks now; the task itself takes a moment to end.
                run.job = replace(run.job, state="cancelled")
                run.task.cancel()
            raise
        if not done:
            # Its id is given away: from now on it outlives this process.
            await self._catalogue.save_job(run.job)
            return run.job
        if run.error is not None:
            raise run.error
        return run.job.report or IngestReport()

    def start(
        self,
        workspaces: Sequence[Workspace],
        *,
        only: Collection[str] | None = None,
        retry_failed: bool = False,
        job: Job | None = None,
    ) -> _Run:
        """Begins a run in the background; `only` limits it to files and folders inside.

        `job`: the one that an earlier process left unfinished.
        """
        path = workspaces[0].path if len(workspaces) == 1 else ""
        id, began = (job.id, job.created_at) if job else (secrets.token_hex(6), now())
        run = _Run(Job(id, "ingest", "queued", path, 0, None, "", began))
        self._runs[run.job.id] = run
        run.task = self._tasks.create_task(self._perform(run, workspaces, only, retry_failed))
        return run

    async def job(self, job_id: str) -> Job:
        """A job, running or past.

        Raises:
            JobNotFound: there is none of that id.
        """
        if (run := self._runs.get(job_id)) is not None:
            return run.job
        return await self._catalogue.job(job_id)

    async def cancel(self, job_id: str) -> Job:
        """Stops a job; one that has ended stays as it is.

        Raises:
            JobNotFound: there is none of that id.
        """
        run = self._runs.get(job_id)
        if run is not None and run.task is not None and not run.task.done():
            run.job = replace(run.job, state="cancelled")
            run.task.cancel()
            await asyncio.wait({run.task})
        return await self.job(job_id)

    def running(self) -> list[Job]:
        """The jobs that are not done yet."""
        return [run.job for run in self._runs.values() if run.job.state in ("queued", "running")]

    async def _perform(
        self,
        run: _Run,
        workspaces: Sequence[Workspace],
        only: Collection[str] | None,
        retry_failed: bool,
    ) -> IngestReport:
        report = IngestReport()
        try:
            async with self._turn:
                run.job = replace(run.job, state="running")
                await self._forgetting.resume()
                await self._prepare(run)
                for workspace in workspaces:
                    report = _sum(
                        report, await self._bring_up_to_date(workspace, run, only, retry_failed)
                    )
            run.job = replace(run.job, state="done", report=report)
        except asyncio.CancelledError:
            # Not the state: if nobody cancelled it but the engine ends, the next one resumes it.
            run.job = replace(run.job, report=report)
            raise
        except AllmaError as exc:
            run.error = exc
            run.job = replace(run.job, state="failed", message=str(exc), report=report)
        except Exception:
            log.exception("an ingestion failed")
            run.error = AllmaError(
                "Indexing failed because of a bug in Allma.", "The log has the details."
            )
            run.job = replace(run.job, state="failed", message=run.error.message, report=report)
        finally:
            await self._end(run)
        return report

    async def _end(self, run: _Run) -> None:
        try:
            await asyncio.shield(self._catalogue.save_job(run.job))
        except AllmaError as exc:
            log.warning("the job %s could not be recorded: %s", run.job.id, exc)
        else:
            self._runs.pop(run.job.id, None)

    async def _bring_up_to_date(
        self,
        workspace: Workspace,
        progress: Progress,
        only: Collection[str] | None,
        retry_failed: bool,
    ) -> IngestReport:
        recipe = await self._recipe()
        rules = f"{__version__}:{self._config.max_file_mb}:{recipe}"
        # Another chunk size, another limit or another version may read any file otherwise.
        reread = only is None and await self._catalogue.workspace_rules(workspace.id) != rules
        if only is None:
            known = await self._catalogue.documents(workspace.id)
        else:
            found = [await self._catalogue.documents_inside(path) for path in only]
            known = list({document.id: document for part in found for document in part}.values())
        forgotten = await self._forgetting.forgotten()
        changes = await asyncio.to_thread(
            self._plan, workspace, known, only, forgotten, recipe, retry_failed, reread
        )
        pipeline = Pipeline(
            workspace,
            ledger=self._catalogue,
            parser=await self._parser(),
            embedder=await self._embedder(),
            recipe=recipe,
            progress=progress,
            clear=self._clear,
        )
        report = await pipeline.run(changes)
        if reread:
            await self._catalogue.set_workspace_rules(workspace.id, rules)
        return report

    def _plan(
        self,
        workspace: Workspace,
        known: Sequence[Document],
        only: Collection[str] | None,
        forgotten: Sequence[str],
        recipe: str,
        retry_failed: bool,
        reread: bool,
    ) -> list[Change]:
        root, data_dir = Path(workspace.path), self._config.data_dir
        limit = self._config.max_file_mb * 1_000_000
        if only is None:
            seen = scope.walk(root, data_dir, limit)
        else:
            # A folder and a file inside it may both be named; each file is seen once.
            part = scope.walk_part(root, map(Path, sorted(only)), data_dir, limit)
            seen = {file.file.path: file for file in part}.values()
        return plan(
            known,
            passed_over(seen, forgotten),
            lambda path: hash_file(Path(path), recipe),
            retry_failed=retry_failed,
            reread=reread,
        )


def _covers(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _sum(a: IngestReport, b: IngestReport) -> IngestReport:
    return IngestReport(
        indexed=a.indexed + b.indexed,
        updated=a.updated + b.updated,
        unchanged=a.unchanged + b.unchanged,
        removed=a.removed + b.removed,
        skipped=[*a.skipped, *b.skipped],
        failed=[*a.failed, *b.failed],
        chunks=a.chunks + b.chunks,
        seconds=round(a.seconds + b.seconds, 3),
    )
