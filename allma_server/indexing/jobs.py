"""Runs as jobs: started, followed by whoever waits for them, and recorded."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from allma_server._internal.tasks import completed
from allma_server.errors import AllmaError
from allma_server.indexing.schedule import Looks, Priority, Schedule
from allma_server.ports import Progress
from allma_server.types import IngestReport, Job, now

log = logging.getLogger(__name__)

INGEST = "ingest"

UNRECORDED = 100
"""Ended jobs that are remembered while they cannot be recorded."""


class Records(Protocol):
    """Where jobs are kept when their process has ended."""

    async def save_job(self, job: Job) -> None: ...
    async def job(self, job_id: str) -> Job: ...
    async def damage_behind(self, failure: Exception) -> AllmaError | None: ...


@dataclass(slots=True)
class Run:
    """A job in this process: its task, its urgency, and everybody who follows it.

    `urgency`: as it was started. `resting`: it waits for something outside (a model server), and
    may be given up meanwhile. `to_do`: there are files to be read.
    """

    job: Job
    urgency: Priority
    schedule: Schedule
    task: asyncio.Task[None] | None = None
    followers: list[Progress] = field(default_factory=list[Progress])
    error: AllmaError | None = None
    resting: bool = False
    to_do: bool = False
    priority: Priority = field(init=False)

    def __post_init__(self) -> None:
        self.priority = self.urgency

    def add(self, part: IngestReport) -> None:
        """Notes that a part of the work is done."""
        self.job = replace(self.job, report=_sum(self.job.report or IngestReport(), part))

    def hurry(self, priority: Priority) -> None:
        """Makes it at least as urgent as this: somebody more urgent waits for it."""
        if priority < self.priority:
            self.schedule.change(self.priority, priority)
            self.priority = priority

    async def clear(self) -> None:
        """Returns once nothing more urgent is at work."""
        await self.schedule.clear(lambda: self.priority)

    async def quiet(self) -> None:
        """The same, and nobody waits for an answer."""
        await self.schedule.quiet(lambda: self.priority)

    async def report(self, done: int, total: int | None, message: str) -> None:
        self.job = replace(self.job, done=done, total=total, message=message)
        for follower in list(self.followers):
            await follower.report(done, total, message)

    async def started(self, conversation_id: str, message_id: str) -> None: ...
    async def text(self, delta: str) -> None: ...
    async def sources(self, citations: Sequence[object]) -> None: ...


Work = Callable[[Run], Awaitable[None]]


class Jobs:
    """All runs of this process; `tasks` owns them."""

    def __init__(self, records: Records, tasks: asyncio.TaskGroup) -> None:
        self.schedule = Schedule()
        self.looks = Looks()
        self._records = records
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
        """Begins a run in the background; `resumed`: what an earlier process left unfinished."""
        id, began = (resumed.id, resumed.created_at) if resumed else (secrets.token_hex(6), now())
        run = Run(Job(id, kind, "queued", path, 0, None, "", began), priority, self.schedule)
        self._runs[id] = run
        run.task = self._tasks.create_task(self._perform(run, work))
        return run

    async def follow(
        self, run: Run, progress: Progress, *, deadline: float | None = None
    ) -> IngestReport | Job:
        """What comes of a run; its Job instead when that takes longer than `deadline` seconds.

        Cancelling the caller cancels the run, unless somebody else follows it too.

        Raises:
            AllmaError: the run could not go on.
        """
        assert run.task is not None
        run.followers.append(progress)
        try:
            done, _ = await asyncio.wait({run.task}, timeout=deadline)
        except asyncio.CancelledError:
            run.followers.remove(progress)
            if not run.followers:
                # Already so to whoever asks now; the task itself takes a moment to end.
                run.job = replace(run.job, state="cancelled")
                run.task.cancel()
            raise
        if not done:
            return run.job
        if run.error is not None:
            raise run.error
        return run.job.report or IngestReport()

    def has(self, job_id: str) -> bool:
        """Whether it is one of this process that has not ended."""
        return job_id in self._runs

    async def job(self, job_id: str) -> Job:
        """A job, running or past.

        Raises:
            JobNotFound: there is none of that id.
        """
        if (run := self._runs.get(job_id)) is not None:
            return run.job
        return await self._records.job(job_id)

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

    def runs(self, kind: str | None = None) -> list[Run]:
        """The runs that are not done yet, all or of one kind."""
        return [
            run
            for run in self._runs.values()
            if run.job.state in ("queued", "running") and kind in (None, run.job.kind)
        ]

    async def _perform(self, run: Run, work: Work) -> None:
        # Cancelled, a run keeps its state: if nobody cancelled it but the engine ends, the next
        # one resumes it.
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
            log.exception("an ingestion failed")
            run.error = await self._records.damage_behind(exc) or AllmaError(
                "Unexpected error while indexing.", "Please report it with Allma's log."
            )
            run.job = replace(run.job, state="failed", message=run.error.message)
        finally:
            await self._end(run)

    async def _end(self, run: Run) -> None:
        try:
            await completed(self._records.save_job(run.job))
        except AllmaError as exc:
            log.warning("the job %s could not be recorded: %s", run.job.id, exc)
            # Somebody may ask for its outcome; but not for ever, and there may be many of them.
            active = {run.job.id for run in self.runs()}
            ended = [id for id in self._runs if id not in active]
            for id in ended[:-UNRECORDED]:
                del self._runs[id]
        else:
            self._runs.pop(run.job.id, None)
        if not self.runs(INGEST):
            self.looks.clear()


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
        notice=_both(a.notice, b.notice),
    )


def _both(a: str | None, b: str | None) -> str | None:
    if a and b:
        return a if b in a else f"{a} {b}"
    return a or b
