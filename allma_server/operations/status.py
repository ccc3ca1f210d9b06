"""The state of the engine: status, jobs, checks and repair."""

import os
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from allma_server import __version__
from allma_server._internal.addresses import without_password
from allma_server._internal.path_text import readable
from allma_server.answering.models import model_in_use
from allma_server.diagnostics.scripts import unknown_scripts
from allma_server.engine import Engine
from allma_server.errors import AllmaError
from allma_server.operations.call import Call
from allma_server.operations.text import render
from allma_server.providers.embedding import replacement
from allma_server.providers.embedding.away import AwayEmbedder
from allma_server.storage.sqlite.workspaces import WorkspaceCounts
from allma_server.types import (
    Diagnosis,
    EmbedderStatus,
    Job,
    OllamaStatus,
    Right,
    Status,
    WorkspaceStatus,
)


async def status(
    call: Call,
    job_id: Annotated[str | None, Field(description="Only this job's progress.")] = None,
) -> Status | Job:
    """Show what is indexed and pending, the models in use, and a job's progress."""
    if job_id is not None:
        return await call.engine.ingestion.job(job_id)
    engine = call.engine
    provider = await _provider(engine)
    found = Status(
        version=__version__,
        data_dir=str(engine.config.data_dir),
        embedder=await _embedder(engine),
        chat_model=await _chat_model(call) if provider.reachable else None,
        ollama=provider,
        vectors=await engine.vectors.status(),
        full_text=await engine.full_text.status(),
        workspaces=await _workspaces(engine),
        jobs=engine.ingestion.active_jobs(),
        clients=engine.clients(),
        pid=os.getpid(),
    )
    return found if Right.ADMIN in call.principal.rights else _for_users(found)


def _for_users(found: Status) -> Status:
    """Return a status without what concerns the whole index, and where it is stored."""
    return replace(
        found,
        data_dir=None,
        vectors=replace(found.vectors, pending=None, reason=None),
        full_text=replace(found.full_text, pending=None, reason=None),
        clients=None,
        pid=None,
    )


async def _embedder(engine: Engine) -> EmbedderStatus:
    name, setting = await engine.embedder.name(), engine.config.embedder
    wanted = replacement(name, setting) if name is not None else None
    reason = engine.ingestion.backfill_problem
    try:
        serving = await engine.embedder.current()
    except AllmaError as exc:
        return EmbedderStatus(name, None, wanted, str(exc))
    if isinstance(serving, AwayEmbedder):
        reason = str(serving.reason)
    dimensions = serving.dimensions if serving else None
    return EmbedderStatus(name, dimensions, wanted, reason, await unknown_scripts(engine))


async def _provider(engine: Engine) -> OllamaStatus:
    config, provider = engine.config, engine.config.chat_provider
    address = config.ollama_url if provider == "ollama" else config.openai_url
    url = without_password(address or "")
    try:
        version = await engine.chat.version()
    except AllmaError as exc:
        return OllamaStatus(url, False, None, str(exc), provider, exc.code)
    return OllamaStatus(url, True, version, None, provider)


async def _chat_model(call: Call) -> str | None:
    engine, asked = call.engine, call.defaults.get("model")
    with suppress(AllmaError):
        return await model_in_use(asked, engine.config, engine.catalog, engine.chat)
    return None


async def _workspaces(engine: Engine) -> list[WorkspaceStatus]:
    counts = await engine.catalog.workspace_counts()
    missing = await engine.ingestion.unavailable([count.workspace for count in counts])
    return [_workspace(engine, count, missing.get(count.workspace.path)) for count in counts]


def _workspace(engine: Engine, count: WorkspaceCounts, missing: str | None) -> WorkspaceStatus:
    ingestion = engine.ingestion
    write_error = engine.catalog.write_error
    done, total = ingestion.progress(count.workspace) or (None, None)
    return WorkspaceStatus(
        path=count.workspace.path,
        documents=count.documents,
        chunks=count.chunks,
        pending=ingestion.pending(count.workspace),
        failed=count.failed,
        skipped=count.skipped,
        watching=ingestion.is_watching and count.workspace.approved and missing is None,
        notice=ingestion.watch_problem,
        approved=count.workspace.approved,
        done=done,
        total=total,
        reason=missing
        or (str(write_error) if write_error is not None else None)
        or ingestion.failure_reason(count.workspace)
        or ingestion.missing_vectors_reason,
    )


async def cancel_job(
    call: Call, job_id: Annotated[str, Field(description="The job to stop.")]
) -> Job:
    """Stop a job. Its work so far is kept."""
    return await call.engine.ingestion.cancel(job_id)


async def doctor(call: Call) -> Diagnosis:
    """Check everything Allma depends on, with the next step for each problem."""
    from allma_server.diagnostics.doctor import diagnose  # late: its checks are rarely needed

    return await diagnose(call.engine)


async def repair(call: Call) -> Diagnosis:
    """Repair the index: read incomplete documents again and rebuild the search indexes."""
    from allma_server.diagnostics.doctor import repair  # late: rarely needed

    return await repair(call.engine, call.progress)


@render.register
def _status_text(result: Status) -> str:
    reason = (result.ollama.reason or "not reachable").rstrip(".")
    ollama = "reachable" if result.ollama.reachable else reason
    lines = [
        f"Allma {result.version}"
        + (f"; data in {readable(result.data_dir)}." if result.data_dir else "."),
        f"Embedder: {_embedder_text(result.embedder)}",
        f"Chat model: {result.chat_model or 'none'}. Models at {result.ollama.url}: {ollama}.",
        f"Vector search: {result.vectors.store} is {result.vectors.state}.",
        f"Full-text search is {result.full_text.state}.",
    ]
    for w in result.workspaces:
        watched = "watched" if w.watching else "not watched"
        lines.append(
            f"{readable(w.path)}: {w.documents} documents, {w.chunks} chunks, {w.pending} pending, "
            f"{w.skipped} skipped, {w.failed} failed, {watched}."
        )
        if w.total is not None:
            lines.append(f"  Indexing: {w.done} of {w.total} files.")
        lines += [f"  {sentence}" for sentence in (w.notice, w.reason) if sentence]
    if not result.workspaces:
        lines.append("No documents indexed.")
    lines += [render(job) for job in result.jobs]
    return "\n".join(lines)


def _embedder_text(embedder: EmbedderStatus) -> str:
    """Return the active embedder, the one that will replace it, and why that one is not ready."""
    line = f"{embedder.name or 'decided at the first indexing'}."
    if embedder.wanted:
        line += f" {embedder.wanted} will replace it when all documents are embedded."
    return " ".join(filter(None, (line, embedder.reason, embedder.notice)))


@render.register
def _diagnosis_text(result: Diagnosis) -> str:
    return "\n".join(
        f"{check.state}: {check.name}: {check.detail}"
        + (f" Next: {check.next_step}" if check.next_step else "")
        for check in result.checks
    )
