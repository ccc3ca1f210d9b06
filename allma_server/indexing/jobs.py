"""Runs as jobs: start them, wait for them, cancel them, and store their results."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from allma_server._internal.tasks import completed
from allma_server.errors import AllmaError
from allma_server.indexing.scan_versions import ScanVersions
from allma_server.indexing.schedule import Priority, Schedule
from allma_server.ports import Progress
from allma_server.types import IngestReport, Job, now

log = logging.getLogger(__name__)

INGEST = "ingest"

MAX_UNSAVED = 100
"""Ended jobs that stay in memory while they cannot be saved."""


class JobStore(Protocol):
    """Stores jobs beyond the life of their process."""

    async def save_job(self, job: Job) -> None: ...
    async def job(self, job_id: str) -> Job: ...
    async def damage_behind(self, failure: Exception) -> AllmaError | None: ...


@dataclass(slots=True)
class Run:
    """A job of this process: its task, its priority, and the listeners to its progress.

    `initial_priority` is the one it was started with. `is_waiting`: it waits for something outside,
    such as a model server, and the process may end meanwhile. `has_files_to_read`: it has found
    files that are new or changed.
    """

    job: Job
    initial_priority: Priority
    schedule: Schedule
    task: asyncio.Task[None] | None = None
    listeners: list[Progress] = field(default_factory=list[Progress])
    error: AllmaError | None = None
    is_waiting: bool = False
    has_files_to_read: bool = False
    priority: Priority = field(init=False)

    def __post_init__(self) -> None:
        self.priority = self.initial_priority

    def add_report(self, part: IngestReport) -> None:
        """Add the report of a part of the work."""
        self.job = replace(self.job, report=_sum(self.job.report or IngestReport(), part))

    def raise_priority(self, priority: Priority) -> None:
        """Make the run at least as urgent as `priority`: more urgent work waits for it."""
        if priority < self.priority:
            self.schedule.change(self.priority, priority)
            self.priority = priority

    async def wait_for_turn(self) -> None:
        """Wait until no more urgent work is active."""
        await self.schedule.wait_for_turn(lambda: self.priority)

    async def wait_until_idle(self) -> None:
        """Wait for questions and for more urgent work; see `Schedule.wait_until_idle`."""
        await self.schedule.wait_until_idle(lambda: self.priority)

    async def report(self, done: int, total: int | None, message: str) -> None:
        self.job = replace(self.job, done=done, total=total, message=message)
        for listener in list(self.listeners):
            await listener.report(done, total, message)

    async def started(self, conversation_id: str, message_id: str) -> None: ...
    async def thinking(self, delta: str) -> None: ...
    async def text(self, delta: str) -> None: ...
    async def sources(self, citations: Sequence[object]) -> None: ...


Work = Callable[[Run], Awaitable[None]]


class Jobs:
    """All runs of this process; `tasks` owns their tasks."""

    def __init__(self, store: JobStore, tasks: asyncio.TaskGroup) -> None:
        self.schedule = Schedule()
        self.scan_versions = ScanVersions()
        self._store = store
        self._tasks = tasks
        self._runs: dict[str, Run] = {}

    def start(
        self,
        path: str,
        work: Work,
        priority: Priority,
        *,
        kind: str = INGEST,
        resumed: Job | None = None,
    ) -> Run:
        """Start a run in the background; `resumed` is a job that an earlier process left."""
        id, began = (resumed.id, resumed.created_at) if resumed else (secrets.token_hex(6), now())
        run = Run(Job(id, kind, "queued", path, 0, None, "", began), priority, self.schedule)
        self._runs[id] = run
        run.task = self._tasks.create_task(self._perform(run, work))
        return run

    async def wait(
        self, run: Run, progress: Progress, *, deadline: float | None = None
    ) -> IngestReport | Job:
        """Return the report of a run, or its Job when it takes longer than `deadline` seconds.

        Cancelling the caller cancels the run, unless another caller waits for it too.

        Raises:
            AllmaError: the run failed.
        """
        assert run.task is not None
        run.listeners.append(progress)
        try:
            done, _ = await asyncio.wait({run.task}, timeout=deadline)
        except asyncio.CancelledError:
            run.listeners.remove(progress)
            if not run.listeners:
                # Set the state now: the task itself takes a moment to end.
                run.job = replace(run.job, state="cancelled")
                run.task.cancel()
            raise
        if not done:
            return run.job
        if run.error is not None:
            raise run.error
        return run.job.report or IngestReport()

    def has(self, job_id: str) -> bool:
        """Return whether the job belongs to this process and has not ended."""
        return job_id in self._runs

    async def job(self, job_id: str) -> Job:
        """Return a job, running or ended.

        Raises:
            JobNotFound: no job has this id.
        """
        if (run := self._runs.get(job_id)) is not None:
            return run.job
        return await self._store.job(job_id)

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job; a job that has ended is returned unchanged.

        Raises:
            JobNotFound: no job has this id.
        """
        run = self._runs.get(job_id)
        if run is not None and run.task is not None and not run.task.done():
            run.job = replace(run.job, state="cancelled")
            run.task.cancel()
            await asyncio.wait({run.task})
        return await self.job(job_id)

    def runs(self, kind: str | None = None) -> list[Run]:
        """Return the runs that have not ended, all or of one kind."""
        return [
            run
            for run in self._runs.values()
            if run.job.state in ("queued", "running") and kind in (None, run.job.kind)
        ]

    async def _perform(self, run: Run, work: Work) -> None:
        # A run that is cancelled because the engine ends keeps its state, so that the next engine
        # resumes it.
        try:
            self.schedule.enter(run.priority)
            try:
                run.job = replace(run.job, state="running")
                await work(run)
            finally:
                self.schedule.leave(run.priority)
            run.job = replace(run.job, state="done")
        except AllmaError as exc:
            run.error = exc
            run.job = replace(run.job, state="failed", message=str(exc))
        except Exception as exc:
            log.exception("a job failed")
            run.error = await self._store.damage_behind(exc) or AllmaError(
                "Unexpected error while indexing.", "Please report it with Allma's log."
            )
            run.job = replace(run.job, state="failed", message=run.error.message)
        finally:
            await self._end(run)

    async def _end(self, run: Run) -> None:
        try:
            await completed(self._store.save_job(run.job))
        except AllmaError as exc:
            log.warning("job %s could not be saved: %s", run.job.id, exc)
            # Keep the latest ones in memory: a client may still ask for their results.
            active = {run.job.id for run in self.runs()}
            ended = [id for id in self._runs if id not in active]
            for id in ended[:-MAX_UNSAVED]:
                del self._runs[id]
        else:
            self._runs.pop(run.job.id, None)
        if not self.runs(INGEST):
            self.scan_versions.clear()


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
        notice=_join_notices(a.notice, b.notice),
    )


def _join_notices(a: str | None, b: str | None) -> str | None:
    if a and b:
        return a if b in a else f"{a} {b}"
    return a or b
