"""Index folders and files, and update the index."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from allma_server._internal.path_text import readable
from allma_server.indexing.scan import Retry
from allma_server.operations.call import Call
from allma_server.operations.paths import ClientPath
from allma_server.operations.text import render
from allma_server.types import FileReason, IngestReport, Job

_LISTED_FILES = 20
"""Failed files, and skipped ones, in the text of a report."""


async def ingest(
    call: Call,
    paths: Annotated[
        list[str], Field(min_length=1, description="Folders or files."), ClientPath.FILE
    ],
    wait_seconds: Annotated[
        float | None,
        Field(ge=0, description="Return the job after this many seconds; indexing continues."),
    ] = None,
    keep_unmounted: Annotated[
        bool, Field(description="Keep the documents of a folder whose disk is not mounted.")
    ] = False,
) -> IngestReport | Job:
    """Index folders or files, and watch them for changes.

    Only changed files are read again. Long work continues as a job; status shows its progress.
    """
    engine = call.engine
    workspaces = [await engine.ingestion.approve(path) for path in paths]
    parts = [(await engine.ingestion.locate(path))[1] for path in paths]
    limits = [seconds for seconds in (call.deadline, wait_seconds) if seconds is not None]
    return await engine.ingestion.run(
        workspaces,
        call.progress,
        deadline=min(limits, default=None),
        # A large workspace is not compared with the disk for one file in it.
        only={part for part in parts if part} if all(parts) else None,
        retry=Retry.FAILED,
        accept_empty=not keep_unmounted,
    )


async def sync(
    call: Call,
    path: Annotated[
        str | None,
        Field(description="Only this workspace, or this part of one."),
        ClientPath.FILE,
    ] = None,
) -> IngestReport | Job:
    """Update the index from the disk now."""
    ingestion = call.engine.ingestion
    if path is None:
        workspaces, part = await ingestion.workspaces(), None
    else:
        workspace, part = await ingestion.locate(path)
        workspaces = [workspace]
    return await ingestion.run(
        workspaces, call.progress, deadline=call.deadline, only={part} if part else None
    )


@render.register
def _report_text(result: IngestReport) -> str:
    counts = ", ".join(
        f"{count} {name}"
        for name, count in (
            ("indexed", result.indexed),
            ("updated", result.updated),
            ("unchanged", result.unchanged),
            ("removed", result.removed),
            ("skipped", len(result.skipped)),
            ("failed", len(result.failed)),
        )
        if count or name == "indexed"
    )
    parts = [f"{counts}; {result.chunks} chunks written in {result.seconds:.1f} s."]
    parts += _reasons("Failed", result.failed) + _reasons("Skipped", result.skipped)
    parts += [result.notice] if result.notice else []
    return "\n".join(parts)


def _reasons(title: str, files: Sequence[FileReason]) -> list[str]:
    lines = [f"{title}: {readable(f.path)}: {f.reason}" for f in files[:_LISTED_FILES]]
    if len(files) > _LISTED_FILES:
        lines.append(f"{title}: … and {len(files) - _LISTED_FILES} more.")
    return lines


@render.register
def _job_text(result: Job) -> str:
    done = f"{result.done}" if result.total is None else f"{result.done} of {result.total}"
    line = f"Job {result.id} ({result.kind} {readable(result.path)}) is {result.state}: {done}"
    line += f", {result.message.rstrip('.')}." if result.message else "."
    if result.state in ("queued", "running"):
        line += f' It continues in the background; status with job_id "{result.id}" shows it.'
    return f"{line}\n{render(result.report)}" if result.report else line
