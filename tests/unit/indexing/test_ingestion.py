"""Ingestion from a folder to the index, with real files, processes and stores."""

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.errors import DocumentNotFound, StorageError, UnreadableDocument
from allma_server.indexing import maintenance, pipeline, schedule
from allma_server.operations import BY_NAME, Call
from allma_server.ports import Progress, Vectors
from allma_server.types import LOCAL, IngestReport, Job


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "sea.md").write_text("# Sea\n\nThe sea is salty from minerals.\n")
    (folder / "notes" / "moon.md").write_text("# Moon\n\nThe moon pulls the tides.\n")
    (folder / "retry.py").write_text("def retry_limit():\n    return 5\n")
    return folder


async def do(engine: Engine, operation: str, /, **arguments: Any) -> Any:
    return await BY_NAME[operation](Call(engine, LOCAL), arguments)


async def index(engine: Engine, folder: Path) -> IngestReport:
    report = await do(engine, "ingest", paths=[str(folder)])
    assert isinstance(report, IngestReport)
    return report


async def found(engine: Engine, query: str, **arguments: Any) -> list[str]:
    result = await do(engine, "search", query=query, **arguments)
    return [Path(passage.path).name for passage in result.passages]


async def followed(engine: Engine, job_id: str) -> None:
    """Returns once a job is done, and searches meanwhile."""
    async with asyncio.timeout(30):
        while (await do(engine, "status", job_id=job_id)).state != "done":
            await do(engine, "search", query="page")


async def audit(engine: Engine) -> list[tuple[Any, ...]]:
    """All documents and chunks, without what differs from one index to another (ids, times)."""
    rows: list[tuple[Any, ...]] = []
    for workspace in await engine.catalog.workspaces():
        for document in await engine.catalog.documents(workspace.id):
            chunks = await engine.catalog.chunks_of(document.id)
            rows.append((document.path, document.state, document.reason, document.title, chunks))
    return rows


async def fresh_audit(config: Config, folder: Path, tmp_path: Path) -> list[tuple[Any, ...]]:
    other = config.model_copy(update={"data_dir": tmp_path / "fresh-data"})
    async with open_engine(other) as engine:
        await index(engine, folder)
        return await audit(engine)


async def test_a_second_run_reads_nothing(config: Config, folder: Path) -> None:
    async with open_engine(config) as engine:
        first = await index(engine, folder)
        assert (first.indexed, first.unchanged, first.chunks) == (3, 0, 3)
        second = await index(engine, folder)
        assert (second.indexed, second.updated, second.unchanged) == (0, 0, 3)


async def test_indexing_a_file_of_a_workspace_leaves_the_others(
    config: Config, folder: Path
) -> None:
    async with open_engine(config) as engine:
        whole = await index(engine, folder)
        new, other = folder / "new.md", folder / "other.md"
        new.write_text("# New\n\nThis file is named.\n")
        other.write_text("# Other\n\nThis one is not.\n")
        named = await index(engine, new)
        assert (named.indexed, named.unchanged) == (1, 0)
        again = await index(engine, folder)
        assert (again.indexed, again.unchanged) == (1, whole.indexed + 1)


async def test_after_changes_the_index_equals_a_fresh_one(
    config: Config, folder: Path, tmp_path: Path
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        (folder / "notes" / "sea.md").write_text("# Sea\n\nThe sea is deep.\n\n## Fish\n\nMany.\n")
        (folder / "new.txt").write_text("A new file about whales.\n")
        os.rename(folder / "notes" / "moon.md", folder / "luna.md")
        (folder / "retry.py").unlink()
        report = await do(engine, "sync")
        assert (report.indexed, report.updated, report.removed) == (1, 2, 1)
        assert (await found(engine, "moon tides"))[0] == "luna.md"
        assert await audit(engine) == await fresh_audit(config, folder, tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs links without more rights")
async def test_a_workspace_that_was_moved_and_linked_keeps_its_documents(
    config: Config, folder: Path
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        os.rename(folder, f"{folder}-moved")
        os.symlink(f"{folder}-moved", folder)
        with pytest.raises(UnreadableDocument, match="cannot be scanned"):
            await do(engine, "sync")
        assert (await found(engine, "moon tides"))[0] == "moon.md"


@pytest.mark.invariant(4)
async def test_a_renamed_folder_is_not_embedded_again(config: Config, folder: Path) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        before = {d.path: d.id for w in await engine.catalog.workspaces()
                  for d in await engine.catalog.documents(w.id)}  # fmt: skip
        os.rename(folder / "notes", folder / "texts")
        report = await do(engine, "sync")
        assert (report.updated, report.chunks, report.removed) == (2, 0, 0)
        moved = await engine.catalog.document(str(folder / "texts" / "sea.md"))
        assert moved is not None and moved.id == before[str(folder / "notes" / "sea.md")]


async def test_a_renamed_file_without_a_title_gets_its_new_name(
    config: Config, folder: Path, tmp_path: Path
) -> None:
    (folder / "old.txt").write_text("A text about whales.\n")
    async with open_engine(config) as engine:
        await index(engine, folder)
        os.rename(folder / "old.txt", folder / "new.txt")
        assert (await do(engine, "sync")).chunks == 0
        assert await audit(engine) == await fresh_audit(config, folder, tmp_path)


async def test_unpacked_files_of_one_size_and_time_are_distinguished(
    config: Config, folder: Path
) -> None:
    async with open_engine(config) as engine:
        (folder / "a.txt").write_text("walrus\n")
        os.utime(folder / "a.txt", ns=(1, 1))
        await index(engine, folder)
        (folder / "b.txt").write_text("salmon\n")
        os.utime(folder / "b.txt", ns=(1, 1))
        os.replace(folder / "b.txt", folder / "a.txt")
        await do(engine, "sync")
        assert (await found(engine, "salmon"))[0] == "a.txt"


async def test_a_text_in_many_files_is_embedded_once(config: Config, folder: Path) -> None:
    for n in range(200):
        (folder / f"copy{n}.txt").write_text("The same in all of them.\n")
    async with open_engine(config) as engine:
        embedder = await engine.embedder.resolved()
        embed, texts = embedder.embed_documents, list[str]()

        async def noted(given: Sequence[str], *, urgent: bool = False) -> Vectors:
            texts.extend(given)
            return await embed(given)

        embedder.embed_documents = noted  # type: ignore[method-assign]
        assert (await index(engine, folder)).indexed == 203
        assert len(texts) == len(set(texts)) == 4


async def test_a_touched_file_is_not_embedded_again(config: Config, folder: Path) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        os.utime(folder / "retry.py", ns=(1, 1))
        report = await do(engine, "sync")
        assert (report.unchanged, report.updated, report.chunks) == (3, 0, 0)


async def test_another_chunk_size_splits_every_file_again_once(
    config: Config, folder: Path
) -> None:
    (folder / "long.md").write_text("A sentence of the long document.\n\n" * 100)
    async with open_engine(config) as engine:
        before = (await index(engine, folder)).chunks
    smaller = config.model_copy(update={"chunk_size": 200, "chunk_overlap": 20})
    async with open_engine(smaller) as engine:
        report = await do(engine, "sync")
        assert (report.updated, report.chunks > before) == (4, True)
        assert (await do(engine, "sync")).unchanged == 4


async def test_a_file_over_the_limit_is_read_after_the_limit_is_raised(
    config: Config, folder: Path
) -> None:
    (folder / "large.md").write_text("A line of the large one.\n" * 60_000)
    async with open_engine(config.model_copy(update={"max_file_mb": 1})) as engine:
        (skipped,) = (await index(engine, folder)).skipped
        assert "max_file_mb" in skipped.reason
    async with open_engine(config) as engine:
        report = await do(engine, "sync")
        assert (report.updated, report.unchanged, report.skipped) == (1, 3, [])


async def test_embedding_pauses_while_an_answer_is_generated(config: Config, folder: Path) -> None:
    async with open_engine(config) as engine:
        with engine.ingestion.pause_embedding():
            job = await BY_NAME["ingest"](
                Call(engine, LOCAL, deadline=0.5), {"paths": [str(folder)]}
            )
            assert isinstance(job, Job) and job.done == 0
        await followed(engine, job.id)


async def test_answers_pause_a_run_for_a_limited_time(
    config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "MAX_PAUSE_SECONDS", 0.05)
    async with open_engine(config) as engine:
        with engine.ingestion.pause_embedding():
            assert (await index(engine, folder)).indexed == 3


@pytest.mark.invariant(3)
async def test_every_file_has_a_row_with_the_reason(config: Config, folder: Path) -> None:
    (folder / ".env").write_text("PASSWORD=hunter2\n")
    (folder / "empty.md").touch()
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 this is not one")
    (folder / "logo.png").write_bytes(b"\x89PNG")
    async with open_engine(config) as engine:
        report = await index(engine, folder)
        page = await do(engine, "documents")
        states = {Path(d.path).name: (d.state, d.reason) for d in page.documents}
        assert states["retry.py"] == ("indexed", None)
        assert states[".env"][0] == "skipped" and "secret" in (states[".env"][1] or "")
        assert states["empty.md"] == ("skipped", "empty")
        assert states["broken.pdf"][0] == "failed" and states["broken.pdf"][1]
        assert states["logo.png"][0] == "skipped"
        assert {Path(s.path).name for s in report.skipped} == {".env", "empty.md", "logo.png"}
        assert ".env" not in await found(engine, "hunter2 PASSWORD")


async def test_a_file_over_a_limit_is_distinguished_from_a_damaged_one(
    config: Config, folder: Path
) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 this is not one")
    (folder / "empty.md").touch()
    async with open_engine(config) as engine:
        await index(engine, folder)
    (folder / "retry.py").write_text("def retry_limit():\n    return 55\n")
    hasty = config.model_copy(update={"parse_seconds": 0.001})
    async with open_engine(hasty) as engine:
        await do(engine, "sync")
        [workspace] = await engine.catalog.workspaces()
        documents = await engine.catalog.documents(workspace.id)
        assert {Path(d.path).name: d.reason_code for d in documents} == {
            "broken.pdf": "unreadable_document",
            "empty.md": "not_opened",
            "retry.py": "limit_reached",
            "sea.md": None,
            "moon.md": None,
        }


async def test_files_over_a_limit_are_read_again_when_it_changes_or_the_engine_is_idle(
    config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = config.model_copy(update={"parse_seconds": 0.001})
    async with open_engine(hasty) as engine:
        assert len((await index(engine, folder)).failed) == 3
        assert (await do(engine, "sync")).unchanged == 3
    async with open_engine(config) as engine:
        assert (await do(engine, "sync")).updated == 3
        assert (await do(engine, "sync")).unchanged == 3
        async with engine.catalog._db.transaction() as tx:
            await tx.execute(
                "UPDATE documents SET state = 'failed', reason_code = 'limit_reached', "
                "content_hash = '' WHERE name LIKE '%sea%'"
            )
        assert (await do(engine, "sync")).unchanged == 3
        monkeypatch.setattr(maintenance, "is_machine_idle", lambda: True)
        await engine.ingestion.maintenance.run_once()
        await asyncio.wait({run.task for run in engine.ingestion._jobs.runs() if run.task})
        report = await do(engine, "sync")
        assert (report.unchanged, report.failed) == (3, [])
        assert (await engine.catalog.documents_inside(str(folder / "notes" / "sea.md")))[
            0
        ].state == "indexed"


async def test_an_unreadable_file_is_read_once_it_is_readable(
    config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(path: str, chunking_fingerprint: str, max_bytes: int) -> str:
        raise PermissionError(13, "Permission denied")

    async with open_engine(config) as engine:
        with monkeypatch.context() as patched:
            patched.setattr(pipeline, "hash_file", unreadable)
            assert len((await index(engine, folder)).failed) == 3
        assert (await do(engine, "sync")).updated == 3


async def test_a_file_that_became_unreadable_is_no_longer_found(
    config: Config, folder: Path
) -> None:
    async with open_engine(config) as engine:
        (folder / "w.md").write_text("walrus\n")
        await index(engine, folder)
        (folder / "w.md").write_bytes(bytes(range(256)) * 20)
        await do(engine, "sync")
        assert "w.md" not in await found(engine, "walrus")


async def test_a_forgotten_file_is_not_found_and_stays_on_disk(
    config: Config, folder: Path
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        report = await do(engine, "forget", path=str(folder / "notes"))
        assert (report.documents, report.workspace_removed) == (2, False)
        assert await found(engine, "salty sea minerals") == ["retry.py"]
        report = await do(engine, "forget", path=str(folder))
        assert report.workspace_removed and await found(engine, "retry") == []
        assert (folder / "notes" / "sea.md").exists()
        with pytest.raises(DocumentNotFound):
            await do(engine, "forget", path=str(folder))


@pytest.mark.invariant(8)
async def test_a_changed_file_is_marked_stale_until_it_is_read_again(
    config: Config, folder: Path
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        (folder / "retry.py").write_text("def retry_limit():\n    return 6  # more\n")
        stale = (await do(engine, "search", query="retry_limit")).passages[0]
        assert stale.stale and "return 5" in stale.text
        await do(engine, "sync")
        fresh = (await do(engine, "search", query="retry_limit")).passages[0]
        assert not fresh.stale and "return 6" in fresh.text


async def test_another_chunk_size_splits_all_documents_again(config: Config, folder: Path) -> None:
    (folder / "long.txt").write_text("\n\n".join(f"Paragraph {n} of many." * 5 for n in range(40)))
    async with open_engine(config) as engine:
        before = (await index(engine, folder)).chunks
    smaller = config.model_copy(update={"chunk_size": 200})
    async with open_engine(smaller) as engine:
        (folder / "long.txt").touch()
        await do(engine, "sync")
        status = await do(engine, "status")
        assert status.workspaces[0].chunks > before


@pytest.mark.invariant(5)
async def test_another_embedder_replaces_the_first_without_a_gap(
    config: Config, folder: Path
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
    local = config.model_copy(update={"embedder": "local/all-MiniLM-L6-v2-int7"})
    async with open_engine(local) as engine:
        assert (await do(engine, "status")).embedder.name == "hashing/words-256"
        assert (await found(engine, "salty"))[0] == "sea.md"
        await do(engine, "sync")
        await engine.ingestion.wait_until_embedded()
        assert (await do(engine, "status")).embedder.dimensions == 384
        # Understood by meaning now, not by words.
        assert (await found(engine, "ocean water taste"))[0] == "sea.md"
    async with open_engine(config.model_copy(update={"embedder": "auto"})) as engine:
        assert (await do(engine, "status")).embedder.name == "local/all-MiniLM-L6-v2-int7"


async def test_an_unknown_embedder_is_reported_and_nothing_is_lost(
    config: Config, folder: Path
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
    async with open_engine(config.model_copy(update={"embedder": "nobody/model"})) as engine:
        (folder / "new.md").write_text("# New\n\nAbout whales.\n")
        assert (await do(engine, "sync")).indexed == 1
        await engine.ingestion.wait_until_embedded()
        status = await do(engine, "status")
        assert status.embedder.name == "hashing/words-256"
        assert status.embedder.wanted == "nobody/model"
        assert "nobody/model" in (status.embedder.reason or "")
        assert await found(engine, "salty sea") != []


class Cancelling:
    """Progress that is told to stop after the first document."""

    def __init__(self) -> None:
        self.began = asyncio.Event()

    async def report(self, done: int, total: int | None, message: str) -> None:
        self.began.set()

    async def started(self, conversation_id: str, message_id: str) -> None: ...
    async def thinking(self, delta: str) -> None: ...
    async def text(self, delta: str) -> None: ...
    async def sources(self, citations: Sequence[Any]) -> None: ...


async def test_a_cancelled_run_keeps_its_work_and_can_be_continued(
    config: Config, folder: Path, tmp_path: Path
) -> None:
    for n in range(60):
        (folder / f"page{n}.md").write_text(f"# Page {n}\n\nAbout the number {n}.\n")
    async with open_engine(config) as engine:
        progress: Progress = Cancelling()
        assert isinstance(progress, Cancelling)
        call = Call(engine, LOCAL, progress)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(BY_NAME["ingest"](call, {"paths": [str(folder)]}))
            await progress.began.wait()
            running.cancel()
        await do(engine, "sync")
        assert await audit(engine) == await fresh_audit(config, folder, tmp_path)


async def test_long_work_returns_a_job_with_progress(config: Config, folder: Path) -> None:
    for n in range(100):
        (folder / f"page{n}.md").write_text(f"# Page {n}\n")
    async with open_engine(config) as engine:
        call = Call(engine, LOCAL, deadline=0.0)
        job = await BY_NAME["ingest"](call, {"paths": [str(folder)]})
        assert isinstance(job, Job) and job.state in ("queued", "running")
        await followed(engine, job.id)
        done = await do(engine, "status", job_id=job.id)
        assert done.report is not None and done.report.indexed == 103


async def test_a_job_survives_the_end_of_its_process(config: Config, folder: Path) -> None:
    for n in range(100):
        (folder / f"page{n}.md").write_text(f"# Page {n}\n\nText of page {n}.\n")
    async with open_engine(config) as engine:
        job = await BY_NAME["ingest"](Call(engine, LOCAL, deadline=0.0), {"paths": [str(folder)]})
    async with open_engine(config) as engine:
        engine.ingestion.start_monitoring()
        await followed(engine, job.id)
        assert len(await engine.catalog.documents_inside(str(folder))) == 103


async def test_a_data_directory_has_one_owner(config: Config) -> None:
    async with open_engine(config):
        with pytest.raises(StorageError, match=f"pid {os.getpid()}"):
            async with open_engine(config):
                pass


async def test_a_workspace_with_a_missing_folder_is_kept_until_it_is_forgotten(
    config: Config, folder: Path, tmp_path: Path
) -> None:
    (other := tmp_path / "other").mkdir()
    async with open_engine(config) as engine:
        await index(engine, folder)
        await index(engine, other)
        (other / "new.md").write_text("New.\n")
        shutil.move(folder, tmp_path / "away")
        gone = await do(engine, "sync")
        assert (gone.removed, gone.indexed) == (0, 1)
        assert (
            f"{folder} no longer exists" in gone.notice
            and f"`allma forget {folder}`" in gone.notice
        )
        # One part of it alone, as after events of its files: they are no more gone than the rest.
        part = await do(engine, "sync", path=str(folder / "notes"))
        assert part.removed == 0 and part.notice == gone.notice
        search = await do(engine, "search", query="moon tides", workspace=str(folder))
        assert search.passages and all(passage.stale for passage in search.passages)
        read = await do(engine, "read", source=str(folder / "notes" / "moon.md"))
        assert read.source == "index" and "moon" in read.text.lower()
        shutil.move(tmp_path / "away", folder)
        back = await do(engine, "sync")
        assert (back.unchanged, back.indexed, back.notice) == (4, 0, None)
        shutil.move(folder, tmp_path / "away")
        assert (await do(engine, "forget", path=str(folder))).documents == 3


@pytest.mark.skipif(sys.platform == "win32", reason="needs links without more rights")
async def test_an_inaccessible_workspace_is_kept(
    config: Config, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "closed").mkdir()
    inside = Path(shutil.move(folder, tmp_path / "closed" / folder.name))
    async with open_engine(config) as engine:
        await index(engine, inside)
        (tmp_path / "closed").rename(tmp_path / "away")
        (tmp_path / "closed").symlink_to(tmp_path / "closed")  # a link to itself leads nowhere
        with pytest.raises(UnreadableDocument, match="cannot be scanned"):
            await do(engine, "sync")
        (tmp_path / "closed").unlink()
        (tmp_path / "away").rename(tmp_path / "closed")
        assert (await do(engine, "sync")).unchanged == 3


async def test_a_file_that_vanishes_before_it_is_read_leaves_no_row(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await index(engine, folder)
    (folder / "new.md").write_text("# New\n")
    (folder / "notes" / "sea.md").write_text("# Sea\n\nThe sea is deep.\n")
    really = pipeline.hash_file

    def vanishing(path: str, fingerprint: str, max_bytes: int) -> str:
        os.unlink(path)
        return really(path, fingerprint, max_bytes)

    monkeypatch.setattr(pipeline, "hash_file", vanishing)
    report = await do(engine, "sync")
    assert report.failed == []
    assert "new.md" not in [Path(row[0]).name for row in await audit(engine)]
    assert (await found(engine, "salty minerals"))[0] == "sea.md"  # until the next scan
    assert (await do(engine, "sync")).removed == 1
