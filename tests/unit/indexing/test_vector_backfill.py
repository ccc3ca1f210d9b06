"""Missing vectors: nothing waits for them, and nothing is lost."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from allma_server import active_embedder
from allma_server._internal.tasks import background_tasks
from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.errors import ProviderUnreachable
from allma_server.indexing import batch_embedder, vector_backfill
from allma_server.ports import Vectors
from tests.unit.indexing.test_ingestion import do, found, index

LOCAL = "local/all-MiniLM-L6-v2-int7"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "sea.md").write_text("# Sea\n\nThe sea is salty from minerals.\n")
    (folder / "moon.md").write_text("# Moon\n\nThe moon pulls the tides.\n")
    return folder


async def until(condition: Callable[[], Any], engine: Engine) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await do(engine, "search", query="minerals")


async def test_an_unreachable_new_embedder_stops_nothing_and_is_opened_once(
    config: Config, folder: Path, unused_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
    opened: list[str] = []
    really = active_embedder.open_embedder

    def noted(name: str, *rest: Any) -> Any:
        opened.append(name)
        return really(name, *rest)

    monkeypatch.setattr(active_embedder, "open_embedder", noted)
    wanted = "ollama/nomic-embed-text"
    away = config.model_copy(update={"embedder": wanted, "ollama_url": unused_url})
    async with open_engine(away) as engine:
        for number in range(4):
            (folder / f"new{number}.md").write_text(f"# New {number}\n\nAbout whale {number}.\n")
            assert (await do(engine, "sync")).indexed == 1
        assert "new3.md" in await found(engine, "whale 3")

        async def says_why() -> bool:
            return (await do(engine, "status")).embedder.reason is not None

        await until(says_why, engine)
        status = await do(engine, "status")
        assert (status.embedder.name, status.embedder.wanted) == ("hashing/words-256", wanted)
        assert unused_url in status.embedder.reason
        assert not engine.ingestion.is_busy, "an idle engine may exit meanwhile"
        assert opened.count(wanted) == 1


async def test_documents_indexed_during_a_change_of_embedders_get_both_vectors(
    config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
    async with open_engine(config.model_copy(update={"embedder": LOCAL})) as engine:
        wanted = await engine.embedder.replacement()
        assert wanted is not None
        embed, texts = wanted.embed_documents, list[str]()
        began, go_on = asyncio.Event(), asyncio.Event()

        async def held_up(given: Sequence[str], *, urgent: bool = False) -> Vectors:
            texts.extend(given)
            began.set()
            await go_on.wait()
            return await embed(given)

        wanted.embed_documents = held_up  # type: ignore[method-assign]
        await do(engine, "sync")
        await began.wait()
        (folder / "new.md").write_text("# Whales\n\nThey sing in the deep.\n")
        assert (await do(engine, "sync")).indexed == 1
        assert (await found(engine, "whales sing"))[0] == "new.md"
        assert (await do(engine, "status")).embedder.name == config.embedder
        go_on.set()
        await engine.ingestion.wait_until_embedded()
        assert (await do(engine, "status")).embedder.name == LOCAL
        assert await engine.catalog.count_missing_vectors(wanted.identity) == 0
        assert (await found(engine, "ocean water taste"))[0] == "sea.md"
        assert len(texts) == len(set(texts)) == 3


async def test_a_text_without_a_vector_is_found_by_keywords(
    config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_embedder, "RETRY_SECONDS", 0.0)
    async with open_engine(config) as engine:
        embedder = await engine.embedder.resolved()
        embed = embedder.embed_documents

        async def away(given: Sequence[str], *, urgent: bool = False) -> Vectors:
            raise ProviderUnreachable("Nothing answers.", "Start it.")

        embedder.embed_documents = away  # type: ignore[method-assign]
        report = await index(engine, folder)
        assert report.indexed == 2 and "Nothing answers." in (report.notice or "")
        assert "moon.md" in await found(engine, "moon tides")
        embedder.embed_documents = embed  # type: ignore[method-assign]
        await do(engine, "sync")

        async def complete() -> bool:
            return not await engine.catalog.count_missing_vectors(embedder.identity)

        await until(complete, engine)


async def test_unused_vectors_are_deleted_after_their_retention(
    config: Config, folder: Path
) -> None:
    async def kept() -> int:
        [row] = await engine.catalog._db.rows("SELECT count(*) FROM embeddings")
        return row[0]

    async with open_engine(config) as engine:
        for number in range(30):
            (folder / "sea.md").write_text(f"# Sea\n\nVersion {number} of the sea.\n")
            await (index(engine, folder) if number == 0 else do(engine, "sync"))
        await engine.ingestion.maintenance.run_once()
        assert await kept() == 31, "a change of branches may bring them back"
        async with engine.catalog._db.transaction() as tx:
            await tx.execute("UPDATE embeddings SET used_on = '2020-01-01'")
        await engine.ingestion.maintenance.run_once()
        assert await kept() == 2


FORMER = "local/all-MiniLM-L6-v2-int8"
"""The bundled model of earlier versions; its files are gone."""


async def index_as_an_earlier_version(config: Config, folder: Path) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        async with engine.catalog._db.transaction() as tx:
            await tx.execute("UPDATE embedders SET identity = ?", (FORMER,))
        await engine.catalog.set_setting("embedder", FORMER)


@pytest.mark.parametrize("setting", ["auto", FORMER])
async def test_the_old_vectors_are_used_until_the_new_ones_are_complete(
    config: Config, folder: Path, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_backfill, "EMBED_BATCH", 1)
    await index_as_an_earlier_version(config.model_copy(update={"embedder": LOCAL}), folder)
    config = config.model_copy(update={"embedder": setting})
    texts = list[str]()

    async def move(engine: Engine, *, at_most: int) -> None:
        """Let the new model embed so many texts, and wait until no more is done."""
        wanted = await engine.embedder.replacement()
        assert wanted is not None and wanted.identity == LOCAL
        embed, held = wanted.embed_documents, asyncio.Event()

        async def counted(given: Sequence[str], *, urgent: bool = False) -> Vectors:
            if len(texts) >= at_most:
                held.set()
                await asyncio.Event().wait()
            texts.extend(given)
            return await embed(given)

        wanted.embed_documents = counted  # type: ignore[method-assign]
        await do(engine, "sync")
        async with background_tasks() as tasks:
            done = tasks.create_task(engine.ingestion.wait_until_embedded())
            stopped = tasks.create_task(held.wait())
            await asyncio.wait({done, stopped}, return_when=asyncio.FIRST_COMPLETED)

    async with open_engine(config) as engine:
        await move(engine, at_most=1)
        status = (await do(engine, "status")).embedder
        assert (status.name, status.wanted) == (FORMER, LOCAL)
        assert (await found(engine, "ocean water taste"))[0] == "sea.md", "found by meaning"
    async with open_engine(config) as engine:
        await move(engine, at_most=100)
        status = (await do(engine, "status")).embedder
        assert (status.name, status.wanted) == (LOCAL, None)
        assert (await found(engine, "ocean water taste"))[0] == "sea.md"
    assert len(texts) == len(set(texts)) == 2, "a restart continues"
