"""Jobs and their reports, so that a client can ask for the result later."""

import dataclasses
import json
import sqlite3

from allma_server.errors import JobNotFound
from allma_server.storage.sqlite.database import Repository
from allma_server.storage.sqlite.rows import shown_path, storable, stored_path
from allma_server.types import FileReason, IngestReport, Job

MAX_JOBS = 100
"""Jobs that are kept; the oldest are deleted."""


class Jobs(Repository):
    """Read and write jobs."""

    async def save_job(self, job: Job) -> None:
        """Store the current state of a job."""
        report = json.dumps(dataclasses.asdict(job.report)) if job.report else None
        async with self._db.transaction() as tx:
            await tx.execute(
                "REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    job.id,
                    job.kind,
                    job.state,
                    stored_path(job.path),
                    job.done,
                    job.total,
                    storable(job.message),
                    job.created_at,
                    report,
                ),
            )
            await tx.execute(
                "DELETE FROM jobs WHERE id NOT IN "
                "(SELECT id FROM jobs ORDER BY created_at DESC, id LIMIT ?)",
                (MAX_JOBS,),
            )

    async def job(self, job_id: str) -> Job:
        """Return a job by its id.

        Raises:
            JobNotFound: there is none with this id.
        """
        row = await self._db.row("SELECT * FROM jobs WHERE id = ?", (job_id,))
        if row is None:
            raise JobNotFound(f"There is no job {job_id!r}.", "`allma status` lists them.")
        return _job(row)

    async def jobs(self, limit: int = 20) -> list[Job]:
        """Return the latest jobs, newest first."""
        found = await self._db.rows(
            "SELECT * FROM jobs ORDER BY created_at DESC, id LIMIT ?", (limit,)
        )
        return [_job(row) for row in found]

    async def unfinished_jobs(self) -> list[Job]:
        """Return jobs that have not finished; at start, those that the previous process left."""
        found = await self._db.rows("SELECT * FROM jobs WHERE state IN ('queued', 'running')")
        return [_job(row) for row in found]


def _job(row: sqlite3.Row) -> Job:
    return Job(
        id=row["id"],
        kind=row["kind"],
        state=row["state"],
        path=shown_path(row["path"]),
        done=row["done"],
        total=row["total"],
        message=row["message"],
        created_at=row["created_at"],
        report=_report(row["report"]),
    )


def _report(stored: str | None) -> IngestReport | None:
    if stored is None:
        return None
    fields = json.loads(stored)
    for name in ("skipped", "failed"):
        fields[name] = [FileReason(**reason) for reason in fields[name]]
    return IngestReport(**fields)
