"""Index folders and files, and update the index."""

from typing import Annotated

from pydantic import Field

from allma_server.indexing.scan import Retry
from allma_server.operations.call import Call
from allma_server.operations.paths import ClientPath
from allma_server.types import IngestReport, Job


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

    Only changed files are read again. Long work continues as a job; status tells its progress.
    """
    engine = call.engine
    workspaces = [await engine.ingestion.approve(path) for path in paths]
    limits = [seconds for seconds in (call.deadline, wait_seconds) if seconds is not None]
    return await engine.ingestion.run(
        workspaces,
        call.progress,
        deadline=min(limits, default=None),
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
