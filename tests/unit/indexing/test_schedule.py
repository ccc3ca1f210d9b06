"""Work with a waiting client comes before other runs."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.indexing.scan_versions import ScanVersions
from allma_server.indexing.schedule import Priority, Schedule
from allma_server.operations import BY_NAME, Call
from allma_server.types import LOCAL, Job
from tests.unit.indexing.test_ingestion import do, followed, found, index


@pytest.fixture
def large(tmp_path: Path) -> Path:
    folder = tmp_path / "large"
    (folder / "private").mkdir(parents=True)
    for number in range(60):
        (folder / f"page{number}.md").write_text(f"# Page {number}\n\nAbout number {number}.\n")
        (folder / "private" / f"own{number}.md").write_text(f"# Own {number}\n\nA walrus.\n")
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n\nAn albatross.\n")
    return folder


@asynccontextmanager
async def long_run(engine: Engine, folder: Path) -> AsyncGenerator[Job]:
    """A run that is paused by an answer while the block lasts; then it ends."""
    with engine.ingestion.pause_embedding():
        job = await BY_NAME["ingest"](Call(engine, LOCAL, deadline=0.0), {"paths": [str(folder)]})
        assert isinstance(job, Job)

        async def has_planned() -> bool:
            return (await do(engine, "status", job_id=job.id)).total is not None

        await until(engine, has_planned)
        yield job
    await followed(engine, job.id)


async def own(engine: Engine) -> list[str]:
    """The private files that a search finds."""
    return [name for name in await found(engine, "walrus") if not name.startswith("page")]


async def until(engine: Engine, condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await do(engine, "search", query="page")


async def test_a_saved_file_is_indexed_during_a_run_over_another_folder(
    config: Config, large: Path, small: Path
) -> None:
    async with open_engine(config) as engine:
        await index(engine, small)
        engine.ingestion.start_monitoring()
        async with long_run(engine, large) as job:
            (small / "b.md").write_text("# B\n\nA bittern.\n")
            engine.ingestion.mark_dirty([str(small / "b.md")])

            async def bittern() -> bool:
                return "b.md" in await found(engine, "bittern", workspace=str(small))

            await until(engine, bittern)
            assert (await do(engine, "status", job_id=job.id)).state == "running"
        assert len(await engine.catalog.documents_inside(str(large))) == 120


async def test_a_saved_file_is_indexed_during_a_run_over_its_folder(
    config: Config, large: Path
) -> None:
    async with open_engine(config) as engine:
        engine.ingestion.start_monitoring()
        async with long_run(engine, large):
            (large / "page7.md").write_text("# Seven\n\nA bittern.\n")
            engine.ingestion.mark_dirty([str(large / "page7.md")])

            async def bittern() -> bool:
                return "page7.md" in await found(engine, "bittern")

            await until(engine, bittern)
        assert "page7.md" in await found(engine, "bittern")
        assert len(await engine.catalog.documents_inside(str(large))) == 120


async def test_a_file_forgotten_during_a_run_is_not_added_again(
    config: Config, large: Path
) -> None:
    async with open_engine(config) as engine:
        async with long_run(engine, large):
            (large / "private" / "first.md").write_text("A first walrus.\n")
            engine.ingestion.start_monitoring()
            engine.ingestion.mark_dirty([str(large / "private" / "first.md")])

            async def walrus() -> bool:
                return await own(engine) != []

            await until(engine, walrus)
            report = await do(engine, "forget", path=str(large / "private"))
            assert report.documents >= 1 and await own(engine) == []
        assert await own(engine) == []
        await do(engine, "sync")
        inside = await engine.catalog.documents_inside(str(large / "private"))
        assert {document.state for document in inside} == {"skipped"}
        assert "page7.md" in await found(engine, "about number 7")


async def test_a_workspace_forgotten_during_its_run_is_not_added_again(
    config: Config, large: Path
) -> None:
    async with open_engine(config) as engine:
        async with long_run(engine, large):
            report = await do(engine, "forget", path=str(large))
            assert report.workspace_removed
        assert await engine.catalog.workspaces() == []
        assert await engine.catalog.documents_inside(str(large)) == []
        assert await found(engine, "page number") == []


async def test_files_without_text_are_recorded_in_batches(config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(1000):
        (folder / f"{number}.png").write_bytes(b"\x89PNG")
    async with open_engine(config) as engine:
        seen: list[tuple[int, int | None]] = []

        class Progress:
            async def report(self, done: int, total: int | None, message: str) -> None:
                seen.append((done, total))

            async def started(self, conversation_id: str, message_id: str) -> None: ...
            async def thinking(self, delta: str) -> None: ...
            async def text(self, delta: str) -> None: ...
            async def sources(self, citations: Any) -> None: ...

        changes: list[int] = []

        def note_change(documents: Collection[int], *, workspaces: bool) -> None:
            changes.append(len(documents))

        engine.catalog._db.document_listeners.append(note_change)
        report = await BY_NAME["ingest"](Call(engine, LOCAL, Progress()), {"paths": [str(folder)]})
        assert len(report.skipped) == 1000
        assert sum(changes) >= 1000 and len(changes) < 20
        assert {done for done, total in seen if total == 1000} >= {0, 200, 400, 600, 800, 1000}


async def test_less_urgent_work_waits_until_its_priority_is_raised() -> None:
    schedule, priority = Schedule(), Priority.SCAN
    async with asyncio.TaskGroup() as tasks:
        schedule.enter(priority)
        schedule.enter(Priority.SAVED)
        await schedule.wait_for_turn(lambda: Priority.SAVED)
        waiting = tasks.create_task(schedule.wait_for_turn(lambda: priority))
        await asyncio.sleep(0)
        assert not waiting.done()
        schedule.change(priority, Priority.SAVED)
        priority = Priority.SAVED
        await waiting
        waiting = tasks.create_task(schedule.wait_for_turn(lambda: Priority.ASKED))
        await asyncio.sleep(0)
        assert not waiting.done()
        schedule.leave(Priority.SAVED)
        schedule.leave(Priority.SAVED)
        await waiting


def test_only_the_latest_version_of_a_file_is_written() -> None:
    versions = ScanVersions()
    long = versions.begin_scan()
    first = versions.begin_file("/w/a", long)
    assert first is not None and versions.is_latest("/w/a", first)
    save = versions.begin_scan()
    second = versions.begin_file("/w/a", save)
    assert second is not None and versions.is_latest("/w/a", second)
    assert not versions.is_latest("/w/a", first)
    assert versions.begin_file("/w/a", long) is None, "the run planned before the save"
    versions.invalidate("/w")
    assert not versions.is_latest("/w/a", second)
    assert versions.begin_file("/w/sub/b", long) is None
    assert versions.begin_file("/other", long) is not None
    later = versions.begin_scan()
    assert versions.begin_file("/w/a", later) is not None
