"""Forgotten documents are erased, and are not indexed again."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from allma_server.config import Config
from allma_server.engine import DATABASE, Engine, open_engine
from allma_server.errors import FolderNotAllowed
from allma_server.indexing.forgetting import FORGOTTEN, IN_PROGRESS
from tests.audit import faults
from tests.unit.indexing.test_ingestion import do, found, index

SECRET = "zyxomma quagswagging"
"""Words that are in no other file, and begin like no other."""


@pytest.fixture
def config(config: Config) -> Config:
    """Settings with Chroma, whose files these tests read."""
    return config.model_copy(update={"vector_store": "chroma"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "private").mkdir(parents=True)
    (folder / "private" / "diary.md").write_text(f"# Diary\n\nToday: {SECRET}, all day.\n")
    for number in range(20):
        (folder / f"open{number}.md").write_text(f"# Open {number}\n\nA word of number {number}.\n")
    return folder


def traces(data: Path, needles: Sequence[bytes]) -> list[str]:
    """Files below the data directory that hold one of the byte strings."""
    return [
        f"{path.relative_to(data)}: {needle[:20]!r}"
        for path in data.rglob("*")
        if path.is_file()
        for needle in needles
        if needle in path.read_bytes()
    ]


def vectors_of(data: Path, words: str) -> list[bytes]:
    """The vectors of chunks with these words, as SQLite and as Chroma keep them."""
    with sqlite3.connect(data / DATABASE) as database:
        found = database.execute(
            "SELECT e.vector FROM chunks c JOIN embeddings e ON e.text_hash = c.text_hash "
            "WHERE c.text LIKE ?",
            (f"%{words}%",),
        ).fetchall()
    database.close()
    halves = [row[0] for row in found]
    return [*halves, *(np.frombuffer(h, "<f2").astype("<f4").tobytes() for h in halves)]


async def test_no_byte_of_a_forgotten_document_remains(config: Config, folder: Path) -> None:
    data, diary = config.data_dir, folder / "private" / "diary.md"
    async with open_engine(config) as engine:
        await index(engine, folder)
        needles = [*SECRET.encode().split(), *vectors_of(data, SECRET)]
        await do(engine, "ask", question="What was done all day today?")
        diary.write_text(f"# Diary\n\nToday: {SECRET}, half the day.\n")
        await do(engine, "sync")
        await engine.vectors.wait_until_current()
        needles += vectors_of(data, SECRET)
        assert len(needles) == 6 and len(traces(data, needles)) > 4
        report = await do(engine, "forget", path=str(diary))
        assert (report.documents, report.notice) == (1, None)
        assert traces(data, needles) == []
        await engine.vectors.wait_until_current()
        assert traces(data, needles) == []
        assert faults(data) == []
        assert (await engine.full_text.search_text("zy* quag*", 5)).hits == []
        assert "open7.md" in await found(engine, "a word of number 7")


async def test_forgetting_without_a_previous_search_removes_everything(
    config: Config, folder: Path
) -> None:
    data = config.data_dir
    async with open_engine(config) as engine:
        await index(engine, folder)
        await engine.vectors.wait_until_current()
        needles = [*SECRET.encode().split(), *vectors_of(data, SECRET)]
    async with open_engine(config) as engine:
        await do(engine, "forget", path=str(folder / "private"))
        assert traces(data, needles) == []
    async with open_engine(config) as engine:
        await found(engine, "a word")
        await engine.vectors.wait_until_current()
    assert faults(data, vectors=True) == []


async def states(engine: Engine) -> dict[str, str]:
    page = await do(engine, "documents")
    return {Path(d.path).name: d.state for d in page.documents}


async def test_a_forgotten_file_is_not_indexed_again_until_named(
    config: Config, folder: Path
) -> None:
    private = folder / "private"
    async with open_engine(config) as engine:
        await index(engine, folder)
        await do(engine, "forget", path=str(private))
        (private / "more.md").write_text(f"More {SECRET}\n")
        await do(engine, "sync")
        await index(engine, folder)
        assert (await states(engine))["diary.md"] == "skipped"
        assert (await states(engine))["more.md"] == "skipped"
        assert "diary.md" not in await found(engine, SECRET)
        with pytest.raises(FolderNotAllowed, match="private around it was forgotten"):
            await index(engine, private / "diary.md")
        await index(engine, private)
        assert "diary.md" in await found(engine, SECRET)
        assert await engine.catalog.get_setting(FORGOTTEN) is None


async def test_a_forgotten_workspace_can_be_added_again(config: Config, folder: Path) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        await do(engine, "forget", path=str(folder / "private"))
        await do(engine, "forget", path=str(folder))
        assert (await index(engine, folder)).indexed == 21


async def test_an_interrupted_removal_is_finished_at_the_next_start(
    config: Config, folder: Path
) -> None:
    private = folder / "private"
    async with open_engine(config) as engine:
        await index(engine, folder)
        await engine.vectors.wait_until_current()
        await engine.catalog.set_setting(IN_PROGRESS, str(private))
        inside = await engine.catalog.documents_inside(str(private))
        await engine.catalog.remove([document.id for document in inside])
    async with open_engine(config) as engine:
        await do(engine, "sync")
        await engine.ingestion.wait_until_erased()
        assert traces(config.data_dir, SECRET.encode().split()) == []
        assert await engine.catalog.get_setting(IN_PROGRESS) is None
        assert (await states(engine))["diary.md"] == "skipped"
