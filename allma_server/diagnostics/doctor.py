"""Check everything Allma depends on; each failed check names the next step."""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from allma_server.answering.models import can_chat
from allma_server.diagnostics.scripts import USE_ANOTHER_MODEL, unknown_scripts
from allma_server.diagnostics.setting_checks import CHECKS, check_setting
from allma_server.engine import Engine
from allma_server.errors import (
    AllmaError,
    DataDamaged,
    FullTextDown,
    ProviderError,
    ShareFailed,
    StorageError,
)
from allma_server.ports import Progress
from allma_server.providers.embedding.local import MODEL
from allma_server.types import Check, Diagnosis, IngestReport

WATCH_LIMIT = Path("/proc/sys/fs/inotify/max_user_watches")
MIN_WATCHES = 65_536
MIN_FREE_BYTES = 1 << 30
CHECK_SECONDS = 20.0
SHARE_SECONDS = 600.0
RAISE_WATCHES = (
    "Raise fs.inotify.max_user_watches; until then large folders are rescanned from time to time."
)
USE_SEARCH_MODEL = (
    f"Choose a model made for search: `allma config set embedder local/{MODEL}`, which is bundled, "
    "or `ollama pull nomic-embed-text` and `allma config set embedder ollama/nomic-embed-text`."
)

Probe = Callable[[Engine], Awaitable[Check]]


async def diagnose(engine: Engine) -> Diagnosis:
    """Run all checks; one that raises an AllmaError counts as failed."""
    checks: list[Check] = []
    for name, probe in PROBES.items():
        try:
            checks.append(await probe(engine))
        except AllmaError as exc:
            checks.append(Check(name, "failed", exc.message, exc.hint))
    return Diagnosis(all(check.state != "failed" for check in checks), checks)


async def repair(engine: Engine, progress: Progress) -> Diagnosis:
    """Repair the index: rebuild what can be derived from the database.

    Documents whose rows are not all there are read again. Each step is a check of the result.

    Raises:
        DataDamaged: the database itself is damaged; `engine.rescue_data` saves what it holds.
    """
    checks: list[Check] = []
    for number, (name, step) in enumerate(REPAIRS.items()):
        await progress.report(number, len(REPAIRS), name)
        try:
            checks.append(Check(name, "ok", await step(engine, progress)))
        except DataDamaged:
            raise  # nothing can be rebuilt from it, and this engine has it open
        except AllmaError as exc:
            checks.append(Check(name, "failed", exc.message, exc.hint))
    return Diagnosis(all(check.state != "failed" for check in checks), checks)


async def _whole_database(engine: Engine, progress: Progress) -> str:
    if damage := await engine.catalog.damage():
        raise DataDamaged(f"The database is damaged: {damage[0]}.")
    return "intact"


async def _orphans(engine: Engine, progress: Progress) -> str:
    with engine.ingestion.exclusive():
        return f"{await engine.catalog.drop_orphans()} rows that belonged to nothing were removed"


async def _documents(engine: Engine, progress: Progress) -> str:
    embedder = await engine.embedder.current()
    if embedder is None:
        return "none yet"
    with engine.ingestion.exclusive():
        incomplete = await engine.catalog.mark_incomplete(embedder.identity)
    report = await engine.ingestion.run(await engine.ingestion.workspaces(), progress)
    assert isinstance(report, IngestReport)
    if report.failed:
        return f"{incomplete} were incomplete; {len(report.failed)} could not be read"
    return f"{incomplete} were incomplete and have been read again"


async def _full_text(engine: Engine, progress: Progress) -> str:
    with engine.ingestion.exclusive():
        return f"rebuilt from {await engine.full_text.rebuild():,} chunks"


async def _vectors(engine: Engine, progress: Progress) -> str:
    if await engine.embedder.current() is None:
        return "none yet"
    await engine.embedder.empty_vectors()
    if trouble := await engine.vectors.wait_for_rebuild():
        raise StorageError(trouble, "Exact search answers meanwhile; Allma tries again.")
    return "rebuilt"


async def _shares(engine: Engine, progress: Progress) -> str:
    sharing = engine.sharing
    shares = await sharing.shares.shares()
    if not shares or sharing.search is None:
        return "none"
    sharing.publisher.compare([share.name for share in shares])
    for share in shares:
        if not await sharing.publisher.wait(share.name, SHARE_SECONDS):
            raise ShareFailed(sharing.publisher.failures.get(share.name) or "It takes long.")
    return f"{len(shares)} compared with the cluster"


REPAIRS: dict[str, Callable[[Engine, Progress], Awaitable[str]]] = {
    "Database": _whole_database,
    "Orphans": _orphans,
    "Documents": _documents,
    "Full-text index": _full_text,
    "Vector index": _vectors,
    "Shared folders": _shares,
}


async def _python(engine: Engine) -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("Python", "ok", f"{version} at {sys.executable}")


async def _data_directory(engine: Engine) -> Check:
    path = engine.config.data_dir

    def probe() -> int:
        with tempfile.TemporaryFile(dir=path):
            return shutil.disk_usage(path).free

    try:
        free = await asyncio.to_thread(probe)
    except OSError as exc:
        return Check(
            "Data directory",
            "failed",
            f"{path} cannot be written: {exc.strerror}",
            "What is indexed can be searched. Make it writable to index more, or choose another "
            "data directory with --data.",
        )
    detail = f"{path}, {free / (1 << 30):.1f} GB free"
    if free < MIN_FREE_BYTES:
        return Check("Data directory", "warning", detail, "Free some disk space.")
    return Check("Data directory", "ok", detail)


async def _database(engine: Engine) -> Check:
    """Check the database's file, within the time that a user may be expected to wait."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            if found := await engine.catalog.quick_damage():
                return Check("Database", "failed", f"It is damaged: {found}", DataDamaged.next_step)
            embedder = await engine.embedder.current()
            found = await engine.catalog.contradictions(embedder.identity if embedder else None)
    except TimeoutError:
        return Check("Database", "ok", f"no damage found in {CHECK_SECONDS:g} s of checking")
    except ProviderError:
        found = await engine.catalog.contradictions(None)
    if found:
        return Check("Database", "warning", "; ".join(found), "`allma doctor --repair` repairs it.")
    return Check("Database", "ok", "intact")


async def _words(engine: Engine) -> Check:
    with contextlib.suppress(StorageError):
        await engine.full_text.check()
    state = await engine.full_text.status()
    detail = state.state + (f", {state.reason}" if state.reason else "")
    if state.state == "down":
        return Check("Full-text index", "warning", detail, FullTextDown.next_step)
    return Check("Full-text index", "ok", detail)


async def _embedder(engine: Engine) -> Check:
    name = await engine.embedder.name()
    embedder = await engine.embedder.current()
    if embedder is None:
        return Check("Embedder", "ok", "not chosen yet; the first indexing decides")
    try:
        await embedder.embed_query("Does the embedder work?")
    except AllmaError as exc:
        return Check(
            "Embedder", "failed", f"{name}: {exc.message}", exc.hint or "Search uses keywords only."
        )
    detail = f"{name}, {embedder.dimensions} dimensions"
    found = await engine.embedder.separation()
    if found is not None and found.signal < found.noise:
        return Check(
            "Embedder",
            "warning",
            f"{detail}. It hardly tells the answer to a question from other texts (cosines differ "
            f"by {found.signal:.2f} ± {found.noise:.2f}): search ranks by words.",
            USE_SEARCH_MODEL,
        )
    return Check("Embedder", "ok", detail)


async def _languages(engine: Engine) -> Check:
    if unknown := await unknown_scripts(engine, CHECK_SECONDS):
        return Check("Languages", "warning", unknown, USE_ANOTHER_MODEL)
    return Check("Languages", "ok", "the embedder knows the scripts of the documents")


async def _vector_store(engine: Engine) -> Check:
    state = await engine.vectors.status()
    detail = f"{state.store}: {state.state}" + (f", {state.reason}" if state.reason else "")
    if state.state == "down":
        return Check(
            "Vector store", "warning", detail, "Exact search answers meanwhile; see the log."
        )
    return Check("Vector store", "ok", detail)


async def _sharing(engine: Engine) -> Check:
    listed = await engine.sharing.list()
    failed = [f"{each.name}: {each.reason}" for each in listed.shares if each.reason]
    if listed.notice or failed:
        detail = " ".join(filter(None, (listed.notice, *failed)))
        return Check("Shared folders", "warning", detail, "Search here goes on; see the log.")
    if engine.sharing.search is None:
        return Check("Shared folders", "ok", "no cluster is set")
    return Check("Shared folders", "ok", f"{len(listed.shares)} in the cluster")


async def _chat_provider(engine: Engine) -> Check:
    try:
        version = await engine.chat.version()
    except AllmaError as exc:
        return Check("Chat provider", "warning", exc.message, exc.hint)
    return Check("Chat provider", "ok", f"{engine.config.chat_provider} {version}")


async def _models(engine: Engine) -> Check:
    try:
        models = [model.name for model in await engine.chat.list() if can_chat(model)]
    except AllmaError:
        return Check("Chat models", "warning", "unknown while the provider does not answer")
    if not models:
        return Check(
            "Chat models", "warning", "none installed", "`allma models pull llama3.2` installs one."
        )
    return Check("Chat models", "ok", ", ".join(models[:8]))


async def _watching(engine: Engine) -> Check:
    if trouble := engine.ingestion.watch_problem:
        return Check("File watching", "warning", trouble, RAISE_WATCHES)
    try:
        limit = int(await asyncio.to_thread(WATCH_LIMIT.read_text))
    except OSError:
        return Check("File watching", "ok", "no limit on this system")
    if limit < MIN_WATCHES:
        return Check(
            "File watching",
            "warning",
            f"at most {limit} folders can be watched",
            RAISE_WATCHES,
        )
    return Check("File watching", "ok", f"up to {limit} folders")


async def _settings(engine: Engine) -> Check:
    """Check that the settings can work, and that the engine uses them."""
    waiting = await engine.pending_settings()
    config = engine.config.model_copy(update=dict(waiting))
    failed: list[str] = []
    warnings: list[str] = []
    for key in CHECKS:
        if getattr(config, key) == type(config).model_fields[key].get_default():
            continue
        try:
            warning = await check_setting(key, config)
        except AllmaError as exc:
            failed.append(f"{key} = {getattr(config, key)}: {exc}")
        else:
            warnings += [f"{key} = {getattr(config, key)}: {warning}"] if warning else []
    if failed:
        return Check(
            "Settings", "failed", " ".join(failed + warnings), "`allma config` lists them."
        )
    if waiting:
        warnings.append(f"{', '.join(waiting)} changed while the engine was running.")
        return Check(
            "Settings", "warning", " ".join(warnings), "`allma daemon restart` applies it."
        )
    if warnings:
        return Check("Settings", "warning", " ".join(warnings), "`allma config` lists them.")
    return Check("Settings", "ok", "all valid")


PROBES: dict[str, Probe] = {
    "Python": _python,
    "Settings": _settings,
    "Data directory": _data_directory,
    "Database": _database,
    "Full-text index": _words,
    "Embedder": _embedder,
    "Languages": _languages,
    "Vector store": _vector_store,
    "Shared folders": _sharing,
    "Chat provider": _chat_provider,
    "Chat models": _models,
    "File watching": _watching,
}
