"""`allma doctor --repair`, `allma export` and `allma import`, on an engine with real stores."""

import os
import sqlite3
from pathlib import Path

import pytest

from allma_server.config import Config
from allma_server.engine import DATABASE, import_data, open_engine
from allma_server.errors import DataDirectoryBusy, DataDirectoryTooNew, InvalidArgument
from tests.audit import differences, faults, fresh, snapshot
from tests.unit.indexing.test_ingestion import do, folder, found, index

__all__ = ["folder"]


@pytest.fixture
def config(config: Config) -> Config:
    """Settings with Chroma, whose files these tests read."""
    return config.model_copy(update={"vector_store": "chroma"})


def spoil(data: Path, *statements: str) -> None:
    with sqlite3.connect(data / DATABASE) as database:
        for statement in statements:
            assert database.execute(statement).rowcount != 0, statement
    database.close()


@pytest.mark.invariant(1)
async def test_a_damaged_index_is_complete_after_repair(config: Config, folder: Path) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        await engine.vectors.wait_until_current()
    spoil(
        config.data_dir,
        "DELETE FROM chunks WHERE text LIKE '%moon%'",
        "DELETE FROM embeddings WHERE text_hash IN "
        "(SELECT text_hash FROM chunks WHERE text LIKE '%sea%' LIMIT 1)",
        "INSERT INTO chunks SELECT 999, 777, 0, text, context, 0, 1, 1, 1, NULL, heading, x'00', "
        "NULL FROM chunks LIMIT 1",
    )
    async with open_engine(config) as engine:
        done = await do(engine, "repair")
        assert done.healthy, done
        said = {check.name: check.detail for check in done.checks}
        assert said["Orphans"].startswith("1 row") and said["Documents"].startswith("2 were")
        assert (await found(engine, "moon tides"))[0] == "moon.md"
    assert faults(config.data_dir, vectors=True) == []
    assert differences(snapshot(config.data_dir), await fresh(config, [folder])) == []


async def test_repair_of_an_empty_index_succeeds(config: Config) -> None:
    async with open_engine(config) as engine:
        assert (await do(engine, "repair")).healthy


async def test_exported_data_is_the_same_after_an_import(
    config: Config, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "copy.allma"
    async with open_engine(config) as engine:
        await index(engine, folder)
        answer = await do(engine, "ask", question="How is the sea?")
        done = await do(engine, "export", path=str(file))
        assert str(file) in done.message
        before = await do(engine, "conversations.show", id=answer.conversation_id)
        with pytest.raises(InvalidArgument, match="exists"):
            await do(engine, "export", path=str(file))
    assert file.stat().st_mode & 0o077 == 0 or os.name == "nt"
    assert not file.with_name("copy.allma.part").exists()

    there = config.model_copy(update={"data_dir": tmp_path / "there"})
    imported = await import_data(str(file), there.data_dir, replace=False)
    assert (imported.documents, imported.conversations) == (3, 1)
    assert imported.workspaces == [str(folder)]
    async with open_engine(there) as engine:
        assert await do(engine, "conversations.show", id=answer.conversation_id) == before
        assert (await found(engine, "moon tides"))[0] == "moon.md"
        assert (await do(engine, "sync")).unchanged == 0  # its folder is not approved here
        report = await index(engine, folder)
        assert (report.unchanged, report.chunks) == (3, 0)
        await engine.vectors.wait_until_current()
        with pytest.raises(DataDirectoryBusy):
            await import_data(str(file), there.data_dir, replace=True)
    assert differences(snapshot(there.data_dir), snapshot(config.data_dir)) == []
    assert faults(there.data_dir, vectors=True) == []


async def test_an_import_replaces_only_with_permission(
    config: Config, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "copy.allma"
    async with open_engine(config) as engine:
        await index(engine, folder)
        await do(engine, "export", path=str(file))
        (folder / "later.md").write_text("Later.\n")
        await do(engine, "sync")
        await engine.vectors.wait_until_current()
    with pytest.raises(InvalidArgument, match="already"):
        await import_data(str(file), config.data_dir, replace=False)
    await import_data(str(file), config.data_dir, replace=True)
    async with open_engine(config) as engine:
        assert "later.md" not in await found(engine, "later")
        await engine.vectors.wait_until_current()
    assert faults(config.data_dir, vectors=True) == []


async def test_a_foreign_or_newer_file_is_refused(
    config: Config, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "letter.txt"
    other.write_text("Dear Ann,\n" * 1000)
    file = tmp_path / "copy.allma"
    async with open_engine(config) as engine:
        await index(engine, folder)
        await do(engine, "export", path=str(file))
    data = tmp_path / "there"
    for wrong in (other, tmp_path / "nowhere", config.data_dir / DATABASE):
        with pytest.raises(InvalidArgument):
            await import_data(str(wrong), data, replace=False)
    cut = tmp_path / "cut.allma"
    cut.write_bytes(file.read_bytes()[:20_000])
    with pytest.raises(InvalidArgument, match="complete"):
        await import_data(str(cut), data, replace=False)
    with sqlite3.connect(file) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(DataDirectoryTooNew, match="newer"):
        await import_data(str(file), data, replace=False)
    assert not (data / DATABASE).exists()
