"""What publishing does when a part of the machine here fails: the disk, an embedder, the engine."""

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from allma_server import active_embedder
from allma_server._internal.tasks import background_tasks
from allma_server.config import Config
from allma_server.engine import DATABASE, Engine, import_data, open_engine, rescue_data
from allma_server.errors import DataReadOnly, InvalidArgument
from allma_server.ports import Embedder
from allma_server.storage.shared import embedder_pauses, folders
from allma_server.storage.sqlite.database import open_database
from allma_server.storage.sqlite.shares import Shares
from tests.ollama.wire import serving
from tests.unit.indexing.test_refused_texts import POISON, Server
from tests.unit.indexing.test_vector_backfill import until
from tests.unit.providers.embedding.model_folders import write_model
from tests.unit.sharing.engines import (
    EMBEDDER,
    HARBOUR,
    KITCHEN,
    MOUNTAIN,
    folder,
    found,
    indexed,
    run,
    share_of,
)
from tests.unit.sharing.memory import MemoryCluster

Opened = Callable[..., AbstractAsyncContextManager[Engine]]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> MemoryCluster:
    made = MemoryCluster()
    monkeypatch.setattr(folders, "Cluster", lambda *_: made)
    return made


@pytest.fixture
def opened(cluster: MemoryCluster, tmp_path: Path) -> Opened:
    def open_(**more: Any) -> AbstractAsyncContextManager[Engine]:
        config = Config(
            data_dir=tmp_path / "data",
            embedder=EMBEDDER,
            chat_provider="scripted",
            vector_store="exact",
            shared_url="http://cluster:8080",
            watch=False,
        )
        return open_engine(config.model_copy(update=more))

    return open_


async def test_a_change_is_published_and_what_is_forgotten_is_erased(
    opened: Opened, cluster: MemoryCluster, tmp_path: Path
) -> None:
    port = folder(tmp_path, "port", keeper=HARBOUR, soup=KITCHEN)
    async with opened() as engine:
        await indexed(engine, port)
        assert "2 chunks are published" in (await run(engine, "share", path=port)).message
        report = await run(engine, "forget", path=f"{port}/soup.md")
        assert "has erased it, too" in report.notice
        assert "Edda Holm" in cluster.texts("port") and "leeks" not in cluster.texts("port")
        await run(engine, "unshare", path=port)
        assert not cluster.held("port")


async def test_a_database_that_fails_once_stops_neither_the_engine_nor_publishing(
    opened: Opened,
    cluster: MemoryCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(embedder_pauses, "RETRY_PAUSES", (0.01,))
    port = folder(tmp_path, "port", keeper=HARBOUR)
    async with opened() as engine:
        await indexed(engine, port)
        await run(engine, "share", path=port)
        async with engine.catalog._db.transaction() as tx:
            await tx.execute("ALTER TABLE shares RENAME TO gone")
        engine.sharing.publisher.hurry("port")
        await until(says(lambda: "sharing failed" in caplog.text), engine)
        async with engine.catalog._db.transaction() as tx:
            await tx.execute("ALTER TABLE gone RENAME TO shares")
        folder(tmp_path, "port", soup=KITCHEN)
        await run(engine, "sync")
        assert await engine.sharing.publisher.wait("port", 30)
        assert "leeks" in cluster.texts("port")


@pytest.mark.parametrize("asked", ["compare", "count", "write"])
async def test_an_engine_ends_though_the_cluster_takes_long(
    asked: str,
    opened: Opened,
    cluster: MemoryCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folders, "STOP_SECONDS", 0.1)
    port = folder(tmp_path, "port", keeper=HARBOUR)
    is_asked = asyncio.Event()

    async def take_long(what: str) -> None:
        if what == asked:
            is_asked.set()
            await asyncio.Event().wait()

    async with opened() as engine:
        await indexed(engine, port)
        await run(engine, "share", path=port)
    async with asyncio.timeout(30):
        async with opened() as engine:
            cluster.refuses = take_long
            await engine.sharing.shares.enqueue_share("port")
            engine.sharing.publisher.compare(["port"])
            await is_asked.wait()
    cluster.refuses = None
    async with opened() as engine:
        assert await engine.sharing.publisher.wait("port", 30), "it is published at the next start"


async def test_a_share_is_told_from_those_of_others_while_the_database_is_written(
    opened: Opened,
) -> None:
    async with opened() as engine:
        known = await engine.sharing.shares.owner()
        async with engine.catalog._db.transaction(), asyncio.timeout(5):
            assert await engine.sharing.shares.owner() == known


async def test_where_nothing_can_be_written_no_share_is_of_this_engine(tmp_path: Path) -> None:
    def refuse() -> None:
        raise DataReadOnly("The data directory cannot be written.")

    async with open_database(tmp_path / DATABASE):
        pass
    async with open_database(tmp_path / DATABASE, claim=refuse) as database:
        assert await Shares(database).owner() == ""


async def test_what_the_cluster_does_not_delete_is_not_said_to_be_erased(
    opened: Opened, cluster: MemoryCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder_pauses, "RETRY_PAUSES", (0.01,))
    port = folder(tmp_path, "port", keeper=HARBOUR, soup=KITCHEN)
    async with opened() as engine:
        await indexed(engine, port)
        await run(engine, "share", path=port)
        cluster.undeletable = 1_000_000
        report = await run(engine, "forget", path=f"{port}/soup.md")
        assert "The cluster has not erased it yet" in report.notice
        cluster.undeletable = 0
        engine.sharing.publisher.hurry("port")
        assert await engine.sharing.publisher.wait("port", 30)
        assert "leeks" not in cluster.texts("port")


async def test_what_is_forgotten_is_erased_before_the_rest_is_embedded(
    opened: Opened, cluster: MemoryCluster, tmp_path: Path
) -> None:
    port = folder(tmp_path, "port", keeper=HARBOUR, soup=KITCHEN)
    server = Server()
    async with serving(server) as wire, opened(ollama_url=wire.url) as engine:
        await indexed(engine, port)
        await run(engine, "share", path=port)
        server.answers.clear()
        await engine.sharing.share(port, "port", "ollama/all-minilm")
        report = await run(engine, "forget", path=f"{port}/soup.md")
        assert "has erased it, too" in report.notice
        assert "leeks" not in cluster.texts("port"), "nor where it was with the former embedder"
        server.answers.set()
        assert await engine.sharing.publisher.wait("port", 30)
        [chunks] = cluster.held("port").values()
        assert [each["vector"] is not None for each in chunks] == [True]


async def test_a_refused_text_is_tried_once(
    opened: Opened, cluster: MemoryCluster, tmp_path: Path
) -> None:
    port = folder(tmp_path, "port", keeper=HARBOUR, bad=f"# Bad\n\nA {POISON} text.\n")
    async with serving(Server()) as wire, opened(ollama_url=wire.url) as engine:
        await indexed(engine, port)
        await run(engine, "share", path=port, embedder="ollama/all-minilm")
        assert POISON in cluster.texts("port"), "words find it"
        before = len(wire.seen)
        engine.sharing.publisher.compare(["port"])
        assert await engine.sharing.publisher.wait("port", 30)
        assert len(wire.seen) == before


async def test_a_model_that_is_not_there_keeps_its_vectors_and_stops_nothing_else(
    opened: Opened, cluster: MemoryCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder_pauses, "RETRY_PAUSES", (0.01,))
    port = folder(tmp_path, "port", keeper=HARBOUR, soup=KITCHEN)
    model = write_model(tmp_path / "model")
    async with opened() as engine:
        await indexed(engine, port)
        await run(engine, "share", path=port, embedder=f"onnx/{model}")
        before = cluster.held("port")
        async with engine.catalog._db.transaction() as tx:
            await tx.execute("UPDATE embeddings SET used_on = '2020-01-01'")
            await tx.execute(
                "INSERT INTO embeddings (embedder_id, text_hash, vector, used_on) "
                "SELECT embedder_id, x'00', vector, used_on FROM embeddings LIMIT 1"
            )
    away = shutil.move(model, tmp_path / "elsewhere")
    async with opened() as engine:
        await engine.ingestion.maintenance.run_once()
        [[left]] = await engine.catalog._db.rows("SELECT count(*) FROM embeddings")
        assert left == 4, "two of each embedder, but not the unused one"
        report = await run(engine, "forget", path=f"{port}/soup.md")
        assert "has erased it, too" in report.notice and "leeks" not in cluster.texts("port")
        folder(tmp_path, "port", hut=MOUNTAIN)
        await run(engine, "sync")
        assert not await engine.sharing.publisher.wait("port", 30)
        share = await share_of(engine, "port")
        assert share is not None and "is found by words only" in str(share.reason)
        assert "twelve beds" in cluster.texts("port"), "words find it"
        shutil.move(away, model)
        await until(lambda: engine.sharing.publisher.wait("port", 30), engine)
        after = cluster.held("port")
        assert after.keys() == before.keys(), "its identity was known"
        assert all(each["vector"] is not None for each in after.popitem()[1])


async def test_another_model_that_comes_in_place_of_one_is_not_mixed_with_it(
    opened: Opened, cluster: MemoryCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder_pauses, "RETRY_PAUSES", (0.01,))
    port = folder(tmp_path, "port", keeper=HARBOUR)
    model = write_model(tmp_path / "model")
    async with opened() as engine:
        await indexed(engine, port)
        await run(engine, "share", path=port, embedder=f"onnx/{model}")
        [former] = cluster.held("port")
    shutil.rmtree(model)
    folder(tmp_path, "port", soup=KITCHEN)
    async with opened() as engine:
        await run(engine, "sync")
        await until(says(lambda: "leeks" in cluster.texts("port")), engine)
        write_model(model, seed=1, dimensions=48)
        await until(lambda: engine.sharing.publisher.wait("port", 30), engine)
        [(name, chunks)] = cluster.held("port").items()
        assert name != former
        assert [len(each["vector"]) for each in chunks] == [48, 48]


async def test_a_model_that_never_was_there_stops_neither_maintenance_nor_erasing(
    opened: Opened, cluster: MemoryCluster, tmp_path: Path
) -> None:
    port = folder(tmp_path, "port", keeper=HARBOUR, soup=KITCHEN)
    async with opened() as engine:
        await indexed(engine, port)
        await run(engine, "share", path=port)
        await run(engine, "share", path=port, embedder=f"onnx/{tmp_path / 'nowhere'}")
        await engine.ingestion.maintenance.run_once()
        report = await run(engine, "forget", path=f"{port}/soup.md")
        assert "has erased it, too" in report.notice and "leeks" not in cluster.texts("port")
        assert "Edda Holm" in cluster.texts("port"), "the rest is there until it is replaced"


async def test_searches_do_not_wait_while_the_embedder_of_a_share_is_opened(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, opening = active_embedder.open_embedder, asyncio.Event()

    @contextlib.asynccontextmanager
    async def slow(name: str, *args: Any) -> AsyncGenerator[Embedder]:
        if name.startswith("onnx/"):
            opening.set()
            await asyncio.Event().wait()
        async with really(name, *args) as embedder:
            yield embedder

    monkeypatch.setattr(active_embedder, "open_embedder", slow)
    async with opened() as engine, background_tasks() as tasks:
        await indexed(engine, folder(tmp_path, "port", keeper=HARBOUR))
        tasks.create_task(engine.embedder.named("onnx//models/large"))
        await opening.wait()
        async with asyncio.timeout(30):
            assert await found(engine, "lighthouse")


async def test_a_repaired_database_still_knows_what_is_shared(
    opened: Opened, cluster: MemoryCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "STOP_SECONDS", 0.1)
    port = folder(tmp_path, "port", keeper=HARBOUR, soup=KITCHEN)
    hill = folder(tmp_path, "hill", hut=MOUNTAIN)
    model = write_model(tmp_path / "model")
    async with opened() as engine:
        for path in (port, hill):
            await indexed(engine, path)
        await run(engine, "share", path=port, embedder=f"onnx/{model}")
        await run(engine, "share", path=hill)
    async with opened() as engine:
        cluster.refuses = never
        await engine.sharing.shares.end_share((await engine.sharing.shares.shares())[0].id)
    cluster.refuses = None
    await asyncio.to_thread(spoil, tmp_path / "data" / DATABASE)
    await rescue_data(tmp_path / "data")
    folder(tmp_path, "port", soup=KITCHEN.replace("leeks", "onions"))
    async with opened() as engine:
        await run(engine, "sync")
        assert await engine.sharing.publisher.wait("port", 30)
        assert await engine.sharing.publisher.wait("hill", 30)
        share = await share_of(engine, "port")
        assert share is not None and (share.state, share.embedder) == ("published", f"onnx/{model}")
        assert "onions" in cluster.texts("port") and "leeks" not in cluster.texts("port")
        assert await share_of(engine, "hill") is None and not cluster.held("hill")


async def test_an_archive_shares_nothing(opened: Opened, tmp_path: Path) -> None:
    port = folder(tmp_path, "port", keeper=HARBOUR)
    async with opened() as engine:
        await indexed(engine, port)
        await run(engine, "share", path=port, embedder=f"onnx/{write_model(tmp_path / 'model')}")
        await run(engine, "export", path=str(tmp_path / "all.allma"))
    archive = tmp_path / "all.allma"
    assert str(tmp_path / "model").encode() not in await asyncio.to_thread(archive.read_bytes)
    await asyncio.to_thread(add_share, archive, port)
    with contextlib.suppress(InvalidArgument):
        await import_data(str(archive), tmp_path / "other", replace=False)
    async with opened(data_dir=tmp_path / "other") as engine:
        assert await engine.sharing.shares.shares() == []


def says(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def condition_now() -> bool:
        return condition()

    return condition_now


async def never(_: str) -> None:
    await asyncio.Event().wait()


def spoil(database: Path) -> None:
    """Overwrite the page that says which tables there are."""
    content = database.read_bytes()
    database.write_bytes(content[:100] + bytes(4096 - 100) + content[4096:])


def add_share(archive: Path, path: str) -> None:
    with contextlib.closing(sqlite3.connect(archive)) as opened:
        opened.execute("INSERT INTO shares (path, name) VALUES (?, 'forged')", (path,))
        opened.commit()
