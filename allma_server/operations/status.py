"""How the engine is."""

from typing import Annotated

from pydantic import Field

from allma_server.engine import engine_status
from allma_server.model import Diagnosis, Job, Status
from allma_server.operations.call import Call


async def status(
    call: Call,
    job_id: Annotated[str | None, Field(description="Only this job's progress.")] = None,
) -> Status | Job:
    """Tell what is indexed and pending, which models serve, and how a job is doing."""
    if job_id is not None:
        return await call.engine.ingestion.job(job_id)
    return await engine_status(call.engine)


async def cancel_job(
    call: Call, job_id: Annotated[str, Field(description="The job to stop.")]
) -> Job:
    """Stop a job. What it has done so far stays."""
    return await call.engine.ingestion.cancel(job_id)


async def doctor(call: Call) -> Diagnosis:
    """Check everything Allma depends on, with the next step for whatever is wrong."""
    # Only doctor needs the checks' probes, and it is rarely called.
    from allma_server.doctor import diagnose

    return await diagnose(call.engine)


async def repair(call: Call) -> Diagnosis:
    """Put the index right: what is incomplete is read again, and the search indexes built anew."""
    from allma_server.doctor import repair  # likewise

    return await repair(call.engine, call.progress)
