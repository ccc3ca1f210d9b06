"""Everything that changes the index: what may be indexed, bringing it up to date, forgetting."""

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Protocol

from allma_server import __version__
from allma_server.config import Config
from allma_server.disk_calls import call_disk
from allma_server.errors import AllmaError, DocumentNotFound, PathNotFound, StorageError
from allma_server.ingest import embedding, forgetting, jobs, maintenance, scope
from allma_server.ingest.current import CurrentFiles
from allma_server.ingest.embedding import Embedding
from allma_server.ingest.following import Following
from allma_server.ingest.forgetting import Forgetting, passed_over
from allma_server.ingest.jobs import INGEST, Jobs, Run
from allma_server.ingest.maintenance import Maintenance
from allma_server.ingest.pipeline import Pipeline, hash_file
from allma_server.ingest.plan import plan
from allma_server.ingest.schedule import Priority
from allma_server.model import (
    Add,
    Change,
    Document,
    ForgetReport,
    IngestReport,
    Job,
    SeenFile,
    Update,
    Workspace,
)
from allma_server.paths import absolute, is_inside, real
from allma_server.ports import Embedder, Ledger, Parser, Progress
from allma_server.secrets import MASKED
from allma_server.tasks import background_tasks

COUNTED_EACH_SECONDS = 0.5
"""How often a run that looks for files says how many it has found."""

ANSWER_SECONDS = 10.0
"""A disk that takes longer to answer at all counts as gone."""

ROOT_SECONDS = 1.0
"""How long a search or the status waits to know whether a workspace's folder is there."""


class Retry(Enum):
    """Which files a run reads again though they have not changed.

    `CHANGED`: those that other rules or limits may read otherwise. `LIMITED`: also those that a
    limit stopped. `FAILED`: all that failed.
    """

    CHANGED = 1
    LIMITED = 2
    FAILED = 3


class Embedders(embedding.Embedders, Protocol):
    """The embedders of the data directory."""

    async def chosen(self) -> Embedder: ...
    async def in_use(self) -> list[str]: ...


class Catalogue(
    Ledger,
    forgetting.Catalogue,
    embedding.Catalogue,
    maintenance.Catalogue,
    jobs.Records,
    Protocol,
):
    """What ingestion needs of the catalogue."""

    async def add_workspace(self, path: str) -> Workspace: ...
    async def workspace_rules(self, workspace_id: int) -> str: ...
    async def set_workspace_rules(self, workspace_id: int, rules: str) -> None: ...
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
        self._most = config.max_file_mb * 1_000_000
        self._catalogue = catalogue
        self._parser = parser
        self._embedders = embedders
        self._recipe = recipe
        self.current = CurrentFiles(catalogue.workspaces, config.data_dir, self._most)
        self._tasks = tasks
        self._jobs = Jobs(catalogue, tasks)
        self._schedule = self._jobs.schedule
        self._forgetting = Forgetting(catalogue, erase, self._jobs)
        self._embedding = Embedding(catalogue, embedders, self._jobs, self._scan_all)
        self._maintenance = Maintenance(
            catalogue, self._jobs, embedders.in_use, self._retry_limited
        )
        self._following = Following(
            catalogue.workspaces, self._update, config.data_dir, watch=config.watch
        )
        # Whole workspaces are looked through by one run at a time; others find it done.
        self._whole: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._reasons: dict[str, str] = {}
        self._queues: defaultdict[int, list[Run]] = defaultdict(list)

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
        await self._following.workspaces_changed()
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
        hint = f"Indexed: {known}." if known else "Nothing is indexed yet: `allma index DIR`."
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
        await self._following.workspaces_changed()
        if not self._following.on:
            # This process may end at any moment, and nobody knows when the next one begins.
            await self._forgetting.erased()
            report = replace(report, notice=None)
        return report

    async def embedded(self) -> None:
        """Returns once no vectors are missing, or none that can be made now."""
        await self._embedding.ended()

    async def tidy(self) -> None:
        """Does what is otherwise done from time to time."""
        await self._maintenance.once()

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
        """By path, what to tell of those whose folder is not on the disk now.

        Of imported folders that nobody approved, nothing is looked at.
        """
        paths = [workspace.path for workspace in workspaces if workspace.approved]
        found = await asyncio.gather(*map(_missing, paths))
        return {path: why for path, why in zip(paths, found, strict=True) if why is not None}

    @property
    def embedding_trouble(self) -> str | None:
        """Why vectors that are missing, or wanted of another embedder, are not made."""
        return self._embedding.trouble

    async def erased(self) -> None:
        """Returns once nothing is left of what has been forgotten so far."""
        await self._forgetting.erased()

    # --- when, and when not -----------------------------------------------------------------

    @contextlib.contextmanager
    def halted(self) -> Generator[None]:
        """While it lasts, runs pause before their next step."""
        with self._schedule.exclusive():
            yield

    @contextlib.contextmanager
    def giving_way(self) -> Generator[None]:
        """While it lasts, somebody waits for an answer: nothing is embedded meanwhile."""
        with self._schedule.answering():
            yield

    # --- following the disk -----------------------------------------------------------------

    def follow(self) -> None:
        """Brings all workspaces up to date and keeps them so while the engine lives.

        For processes that live long; calling it again changes nothing.
        """
        if not self._following.on:
            self._following.on = True
            self._tasks.create_task(self._following.run(self._resume))
            self._tasks.create_task(self._maintenance.run())

    def hint(self, paths: Iterable[str]) -> None:
        """Somebody says that these files or folders changed; whether they did, the disk tells."""
        self._following.hint(paths)

    @property
    def busy(self) -> bool:
        """Whether something is being done or waits to be."""
        return self._following.at_work or not all(run.resting for run in self._jobs.runs())

    @property
    def watching(self) -> bool:
        """Whether changes are followed as they happen."""
        return self._following.at_once

    @property
    def trouble(self) -> str | None:
        """Why they are not, though they should be."""
        return self._following.trouble

    def pending(self, workspace: Workspace) -> int:
        """Changes of the workspace that are known but not in the index yet."""
        jobs = [run.job for run in self._jobs.runs(INGEST)]
        running = [job for job in jobs if job.path in ("", workspace.path)]
        left = sum(max(0, (job.total or 0) - job.done) for job in running)
        return self._following.waiting(workspace.path) + left

    async def _scan_all(self, retry: Retry = Retry.CHANGED) -> None:
        for workspace in await self._catalogue.workspaces():
            self._start([workspace], Priority.SCAN, retry=retry)

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
                self._start(inside, Priority.SCAN, resumed=job)

    def _update(
        self, workspace: Workspace, only: Collection[str] | None, priority: Priority
    ) -> Run:
        return self._start([workspace], priority, only=only)

    # --- runs -------------------------------------------------------------------------------

    async def run(
        self,
        workspaces: Sequence[Workspace],
        progress: Progress,
        *,
        patience: float | None = None,
        only: Collection[str] | None = None,
        retry: Retry = Retry.CHANGED,
    ) -> IngestReport | Job:
        """Brings workspaces up to date; its Job instead when that takes longer than `patience` s.

        `only` limits it to files and folders inside.

        Cancelling the caller cancels the run, unless somebody else follows it too.

        Raises:
            ProviderError, StorageError: the run could not go on; what it published stays.
        """
        run = self._start(workspaces, Priority.ASKED, only=only, retry=retry)
        return await self._jobs.follow(run, progress, patience=patience)

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
        *,
        only: Collection[str] | None = None,
        retry: Retry = Retry.CHANGED,
        resumed: Job | None = None,
    ) -> Run:
        """Begins a run in the background; `only` limits it to files and folders inside."""

        async def work(run: Run) -> None:
            await self._catalogue.check_writable()
            await self._forgetting.resume()
            began_with = await self._embedders.chosen()
            gone: list[str] = []
            for workspace in workspaces:
                try:
                    run.add(await self._bring_up_to_date(workspace, run, only, retry))
                except PathNotFound as exc:
                    gone.append(str(exc))  # no reason to leave the other workspaces as they are
            lacking = run.job.report is not None and run.job.report.notice is not None
            for notice in gone:
                run.add(IngestReport(notice=notice))
            if lacking or await self._embedders.chosen() is not began_with:
                self._embedding.needed()
            self._embedding.begin()

        async def told(run: Run) -> None:
            paths = [workspace.path for workspace in workspaces]
            try:
                await work(run)
            except AllmaError as exc:
                self._reasons.update(dict.fromkeys(paths, str(exc)))
                raise
            for path in paths:
                self._reasons.pop(path, None)

        path = workspaces[0].path if len(workspaces) == 1 else ""
        return self._jobs.start(path, told, priority, resumed=resumed)

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

    async def _bring_up_to_date(
        self,
        workspace: Workspace,
        run: Run,
        only: Collection[str] | None,
        retry: Retry,
    ) -> IngestReport:
        if only is not None:
            return await self._updated(workspace, run, only, retry)
        async with self._alone(workspace, run):
            return await self._updated(workspace, run, None, retry)

    async def _updated(
        self,
        workspace: Workspace,
        run: Run,
        only: Collection[str] | None,
        retry: Retry,
    ) -> IngestReport:
        recipe = await self._recipe()
        rules = f"{__version__}:{recipe}|{self._config.max_file_mb}:{self._config.parse_seconds}"
        former = rules if only is not None else await self._catalogue.workspace_rules(workspace.id)
        # Another chunk size or another version may read any file otherwise; another limit, those
        # that one has stopped.
        reread = former.partition("|")[0] != rules.partition("|")[0]
        look = self._jobs.looks.begin()
        if workspace.id not in {w.id for w in await self._catalogue.workspaces()}:
            return IngestReport()  # forgotten, or part of another one, while this run waited
        known = await self._known(workspace, only)
        # A first look may take long, and whoever searches meanwhile should know of it.
        run.to_do = not any(document.state == "indexed" for document in known)
        forgotten = await self._forgetting.forgotten()
        seen = Counted(passed_over(self._seen(workspace, only), forgotten))

        def changes() -> list[Change]:
            return plan(
                known,
                seen,
                lambda path: hash_file(path, recipe, self._most),
                retry_failed=retry is Retry.FAILED,
                retry_limited=retry is Retry.LIMITED or former != rules,
                reread=reread,
            )

        pipeline = Pipeline(
            workspace,
            ledger=self._catalogue,
            parser=await self._parser(),
            embedder=self._embedders.chosen,
            recipe=recipe,
            most=self._most,
            run=run,
            looks=self._jobs.looks,
            look=look,
        )
        async with background_tasks() as tasks:
            tasks.create_task(_count(seen, run))
            planned = await self._looked_through(workspace, changes)
        run.to_do = any(isinstance(change, Add | Update) for change in planned)
        report = await pipeline.run(planned)
        run.to_do = False
        if reread and known and self._config.mask_secrets and MASKED not in former:
            await self._forgetting.erase_replaced(workspace.path)
        if former != rules:
            await self._catalogue.set_workspace_rules(workspace.id, rules)
        return report

    async def _looked_through(
        self, workspace: Workspace, changes: Callable[[], list[Change]]
    ) -> list[Change]:
        """What has changed; a disk that is gone is found out before the walk, which takes long."""
        place = ("walk", workspace.path)
        try:
            await call_disk(place, ANSWER_SECONDS, os.path.lexists, workspace.path)
            return await call_disk(place, None, changes)
        except TimeoutError as exc:
            raise StorageError(
                f"The disk of {workspace.path} does not answer.",
                "What is indexed of it serves; it is looked at again later.",
            ) from exc

    def _seen(self, workspace: Workspace, only: Collection[str] | None) -> Iterable[SeenFile]:
        root, data_dir = Path(workspace.path), self._config.data_dir
        if only is None:
            return scope.walk(root, data_dir, self._most)
        # A folder and a file inside it may both be named; each file is seen once.
        part = scope.walk_part(root, map(Path, sorted(only)), data_dir, self._most)
        return {file.file.path: file for file in part}.values()

    async def _known(
        self, workspace: Workspace, only: Collection[str] | None
    ) -> Sequence[Document]:
        if only is None:
            return await self._catalogue.documents(workspace.id)
        found = [await self._catalogue.documents_inside(path) for path in only]
        return list({document.id: document for part in found for document in part}.values())


async def _missing(path: str) -> str | None:
    # A disk that does not answer, or forbids to look, may well have it.
    with contextlib.suppress(TimeoutError, OSError):
        gone = await call_disk(("root", path), ROOT_SECONDS, scope.root_gone, path)
        return None if gone is None else str(gone)
    return None


class Counted:
    """Files, and how many of them have been met so far."""

    def __init__(self, files: Iterable[SeenFile]) -> None:
        self._files = files
        self.met = 0

    def __iter__(self) -> Iterator[SeenFile]:
        for file in self._files:
            self.met += 1
            yield file


async def _count(seen: Counted, progress: Progress) -> None:
    while True:
        await asyncio.sleep(COUNTED_EACH_SECONDS)
        await progress.report(0, None, f"looking for files: {seen.met:,} so far")
