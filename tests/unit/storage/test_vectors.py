"""The vector index is always current, and is rebuilt after any failure of Chroma."""

import asyncio
import contextlib
import dataclasses
import os
import signal
import sqlite3
import struct
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from allma_server.config import Config
from allma_server.engine import open_engine
from allma_server.errors import InvalidArgument
from allma_server.ports import Vector, VectorRecord
from allma_server.storage.lock import data_directory_owned
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.database import Database
from allma_server.storage.sqlite.outbox import VectorChange
from allma_server.storage.vectors.config import VectorOptions
from allma_server.storage.vectors.index import VectorIndex, open_vectors
from allma_server.storage.vectors.stores import chroma_health
from allma_server.storage.vectors.stores.chroma import ChromaStore
from allma_server.types import Document, DocumentSet, Hit
from tests.unit.storage.corpus import EMBEDDER, chunk_ids, publish, random_vector

QUICK = VectorOptions(start_delay=0.0, retry_pauses=(0.0, 0.05))


@contextlib.asynccontextmanager
async def opened(
    database: Database, directory: Path, options: VectorOptions = QUICK, embedder: str = EMBEDDER
) -> AsyncGenerator[VectorIndex]:
    async with (
        asyncio.TaskGroup() as tasks,
        open_vectors(database, directory, tasks, options) as vectors,
    ):
        await vectors.use(embedder)
        yield vectors


@pytest.fixture
def chroma(tmp_path: Path) -> Path:
    return tmp_path / "chroma"


@pytest.fixture(autouse=True)
def store_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store answer though there are few chunks, once it holds them all."""
    monkeypatch.setattr("allma_server.storage.vectors.index.NARROW_CHUNKS", 0)
    monkeypatch.setattr("allma_server.storage.vectors.index.NARROW_SHARE", 0.0)


async def exact(catalog: Catalog, vector: Vector, k: int, ids: Sequence[int] = ()) -> list[int]:
    """What brute force over the stored vectors says."""
    found = await catalog._db.rows(
        "SELECT c.id, e.vector FROM chunks c JOIN embeddings e ON e.text_hash = c.text_hash "
        "JOIN embedders m ON m.id = e.embedder_id WHERE m.identity = ?",
        (EMBEDDER,),
    )
    scores = {
        row["id"]: float(np.frombuffer(row["vector"], "<f2").astype(np.float32) @ vector)
        for row in found
        if not ids or row["id"] in ids
    }
    return sorted(scores, key=lambda i: -scores[i])[:k]


def ids_of(hits: Sequence[Hit]) -> list[int]:
    return [hit.chunk_id for hit in hits]


async def some_documents(catalog: Catalog, count: int, chunks: int) -> list[Document]:
    return [
        await publish(catalog, f"/w/{n}.txt", [f"document {n} part {i}" for i in range(chunks)])
        for n in range(count)
    ]


async def among(catalog: Catalog, documents: Sequence[Document]) -> DocumentSet:
    """These documents as a search would choose them."""
    paths = [document.path for document in documents]
    return await catalog.select_documents(paths or ["/nowhere"])


def entries(directory: Path) -> list[Path]:
    """The folders of collections."""
    return [path for path in directory.iterdir() if path.is_dir()] if directory.exists() else []


def store_of(vectors: VectorIndex) -> ChromaStore:
    active = vectors._indexer.active
    assert active is not None and isinstance(active.store, ChromaStore)
    return active.store


async def rows_in(vectors: VectorIndex) -> int:
    return (await store_of(vectors).health()).rows


async def test_chroma_gives_the_same_answers_as_exact_search(
    catalog: Catalog, database: Database, chroma: Path
):
    await some_documents(catalog, 6, 20)
    query = random_vector()
    async with opened(database, chroma) as vectors:
        assert ids_of(await vectors.nearest(query, 10)) == await exact(catalog, query, 10)
        await vectors.wait_until_current()
        assert store_of(vectors).pid is not None
        assert await rows_in(vectors) == 120
        assert ids_of(await vectors.nearest(query, 10)) == await exact(catalog, query, 10)


async def test_one_search_is_answered_without_starting_chroma(
    catalog: Catalog, database: Database, chroma: Path
):
    await some_documents(catalog, 2, 5)
    query = random_vector()
    async with opened(database, chroma, VectorOptions(start_delay=60.0)) as vectors:
        assert ids_of(await vectors.nearest(query, 3)) == await exact(catalog, query, 3)
        assert (await vectors.status()).state == "idle"
        assert store_of(vectors).pid is None
    assert entries(chroma) == []


async def test_a_store_that_no_search_asks_is_closed_until_the_next_change(
    catalog: Catalog, database: Database, chroma: Path, monkeypatch: pytest.MonkeyPatch
):
    await some_documents(catalog, 2, 5)
    query = random_vector()
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
        await vectors._indexer._rest()
        assert store_of(vectors).pid is None
        assert ids_of(await vectors.nearest(query, 5)) == await exact(catalog, query, 5)
        assert (await vectors.status()).state == "ready"
        await publish(catalog, "/w/new.txt", ["a saved text"])
        await vectors.wait_until_current()
        assert await rows_in(vectors) == 11
        monkeypatch.setattr("allma_server.storage.vectors.index.NARROW_CHUNKS", 0)
        assert ids_of(await vectors.nearest(query, 5)) == await exact(catalog, query, 5)
        await vectors._indexer._rest()
        assert store_of(vectors).pid is not None


async def test_vectors_are_those_of_the_serving_embedder_and_of_chunks_that_exist(
    catalog: Catalog, database: Database, chroma: Path
):
    [first, second] = await some_documents(catalog, 2, 2)
    kept, gone = await chunk_ids(catalog, first), await chunk_ids(catalog, second)
    await catalog.remove([second.id])
    async with opened(database, chroma, VectorOptions(start_delay=60.0)) as vectors:
        found = await vectors.vectors_of([*kept, *gone])
        assert set(found) == set(kept)
        for chunk_id, vector in found.items():
            assert ids_of(await vectors.nearest(vector, 1)) == [chunk_id]
        await vectors.use("test/another")
        assert await vectors.vectors_of(kept) == {}


async def test_a_change_is_found_at_once_though_chroma_has_not_heard_of_it(
    catalog: Catalog, database: Database, chroma: Path
):
    await some_documents(catalog, 3, 10)
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
        async with vectors._indexer._writing:  # nothing is written to the store from here on
            changed = await publish(catalog, "/w/1.txt", ["wholly new", "document 1 part 4"])
            gone = await publish(catalog, "/w/2.txt", ["about to go"])
            await catalog.remove([gone.id])
            kept = set(await chunk_ids(catalog, changed))
            for _ in range(5):
                query = random_vector()
                hits = ids_of(await vectors.nearest(query, 12))
                assert hits == await exact(catalog, query, 12)
                assert len(hits) == 12 and kept <= set(hits)
            assert (await vectors.status()).pending
        await vectors.wait_until_current()
        assert await rows_in(vectors) == 12


async def test_a_filter_is_exact_whether_it_is_narrow_or_wide(
    catalog: Catalog, database: Database, chroma: Path, monkeypatch: pytest.MonkeyPatch
):
    documents = await some_documents(catalog, 8, 15)
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
        for direct in (0, 10_000):
            monkeypatch.setattr("allma_server.storage.vectors.index.NARROW_CHUNKS", direct)
            for some in (documents[:1], documents[:6], documents[7:]):
                ids = [i for document in some for i in await chunk_ids(catalog, document)]
                query = random_vector()
                hits = await vectors.nearest(query, 10, await among(catalog, some))
                assert ids_of(hits) == await exact(catalog, query, 10, ids)
        assert await vectors.nearest(random_vector(), 10, await among(catalog, [])) == []


async def test_few_chunks_are_compared_without_asking_the_store(
    catalog: Catalog, database: Database, chroma: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("allma_server.storage.vectors.index.NARROW_CHUNKS", 1000)
    documents = await some_documents(catalog, 6, 20)
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()

        async def never(*_: object) -> list[Hit]:
            raise AssertionError("exact search is as fast, and misses nothing")

        store_of(vectors).query = never  # type: ignore[method-assign]
        query = random_vector()
        assert ids_of(await vectors.nearest(query, 10)) == await exact(catalog, query, 10)
        ids = await chunk_ids(catalog, documents[2])
        hits = await vectors.nearest(query, 10, await among(catalog, documents[2:3]))
        assert ids_of(hits) == await exact(catalog, query, 10, ids)


async def test_vectors_that_exact_search_lost_are_noticed_and_made_again(
    catalog: Catalog, database: Database, chroma: Path
):
    await some_documents(catalog, 2, 20)
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
    async with opened(database, chroma) as vectors:
        assert vectors._indexer.active is not None
        codes = vectors._indexer.active.exact
        table = await codes._updated()
        async with codes._rows.exclusive():
            changes = [VectorChange(0, chunk, None, None) for chunk in (1, 2, 3)]
            await asyncio.to_thread(table.apply, changes, table.seq)
        await vectors.wait_until_current()
        query = random_vector()
        assert ids_of(await codes.nearest(query, 40)) == await exact(catalog, query, 40)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "index cut off": lambda directory: truncate(next(directory.glob("*/data_level0.bin"))),
    "no database": lambda directory: (directory / "chroma.sqlite3").write_bytes(b"nonsense" * 999),
}


def truncate(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


@pytest.mark.invariant(1)
@pytest.mark.parametrize("kind", DAMAGES)
async def test_a_damaged_chroma_directory_heals_and_exact_search_serves_meanwhile(
    catalog: Catalog, database: Database, chroma: Path, kind: str
):
    # More rows than Chroma collects before it writes its index files.
    await some_documents(catalog, 1, 1050)
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
    [directory] = entries(chroma)
    DAMAGES[kind](directory)

    query = random_vector()
    async with opened(database, chroma) as vectors:
        assert ids_of(await vectors.nearest(query, 5)) == await exact(catalog, query, 5)
        await vectors.wait_until_current()
        assert await rows_in(vectors) == 1050
        assert ids_of(await vectors.nearest(query, 5)) == await exact(catalog, query, 5)
    assert entries(chroma) == [directory]


async def test_a_worker_that_is_killed_is_replaced_without_a_wrong_answer(
    catalog: Catalog, database: Database, chroma: Path
):
    await some_documents(catalog, 2, 20)
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
        pid = store_of(vectors).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        query = random_vector()
        assert ids_of(await vectors.nearest(query, 5)) == await exact(catalog, query, 5)
        await publish(catalog, "/w/late.txt", ["after the kill"])
        await vectors.wait_until_current()
        assert store_of(vectors).pid not in (None, pid)
        assert await rows_in(vectors) == 41


async def test_a_worker_that_is_killed_again_and_again_is_replaced_as_soon_each_time(
    catalog: Catalog, database: Database, chroma: Path
):
    options = VectorOptions(start_delay=0.0, retry_pauses=(0.0, 0.05, 600.0))
    await some_documents(catalog, 1, 5)
    async with opened(database, chroma, options) as vectors:
        for number in range(3):
            await vectors.wait_until_current()
            pid = store_of(vectors).pid
            assert pid is not None
            async with vectors._indexer._writing:
                await publish(catalog, f"/w/more{number}.txt", [f"more {number}"])
                os.kill(pid, signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        async with asyncio.timeout(60):
            await vectors.wait_until_current()
        assert await rows_in(vectors) == 8


async def test_a_bug_in_the_upkeep_costs_nothing_but_time(
    catalog: Catalog, database: Database, chroma: Path
) -> None:
    await some_documents(catalog, 2, 5)
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
        upsert = store_of(vectors).upsert

        async def fail(records: Sequence[VectorRecord]) -> None:
            store_of(vectors).upsert = upsert  # type: ignore[method-assign]
            raise RuntimeError("nobody foresaw it")

        store_of(vectors).upsert = fail  # type: ignore[method-assign]
        await publish(catalog, "/w/new.txt", ["something new"])
        await vectors.wait_until_current()
        assert store_of(vectors).upsert == upsert, "it failed once"
        assert await rows_in(vectors) == 11


async def test_a_store_that_another_worker_still_writes_is_waited_for(
    catalog: Catalog, database: Database, chroma: Path
):
    await some_documents(catalog, 1, 5)
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
    [directory] = entries(chroma)
    async with opened(database, chroma) as vectors:
        async with data_directory_owned(directory):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(4):
                    await vectors.wait_until_current()
            query = random_vector()
            assert ids_of(await vectors.nearest(query, 3)) == await exact(catalog, query, 3)
        await vectors.wait_until_current()
        assert await rows_in(vectors) == 5


async def test_a_store_that_lost_rows_is_noticed_and_filled_again(
    catalog: Catalog, database: Database, chroma: Path
):
    [document, _] = await some_documents(catalog, 2, 20)
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
        await store_of(vectors).delete((await chunk_ids(catalog, document))[:3])
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
        assert await rows_in(vectors) == 40


async def test_many_deleted_slots_lead_to_a_rebuild(
    catalog: Catalog, database: Database, chroma: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("allma_server.storage.vectors.indexer.MAX_DEAD_SLOTS", 300)
    [document, *_] = await some_documents(catalog, 1, 1200)
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
        await publish(catalog, "/w/0.txt", [f"document 0 part {i}" for i in range(100)])
        await vectors.wait_until_current()
        found = await store_of(vectors).health()
        assert found.rows == found.used_slots == 100 or found.used_slots == 0
    assert document.chunks == 1200


async def test_another_embedder_gets_its_own_collection_and_the_old_one_goes(
    catalog: Catalog, database: Database, chroma: Path
):
    await some_documents(catalog, 2, 10)
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
        [before] = entries(chroma)
        await vectors.use("other/8")
        assert await vectors.nearest(np.ones(8, np.float32), 5) == []

        missing, _ = await catalog.missing_vectors("other/8", 0, 100)
        assert sorted(missing.values())[0] == "document 0 part 0"
        other = {key: np.eye(8, dtype=np.float32)[i % 8] for i, key in enumerate(missing)}
        await catalog.add_vectors("other/8", other)
        assert await catalog.count_missing_vectors("other/8") == 0

        await vectors.wait_until_current()
        hits = await vectors.nearest(np.eye(8, dtype=np.float32)[0], 2)
        assert [hit.score for hit in hits] == pytest.approx([1.0, 1.0])
        [after] = entries(chroma)
        assert after != before


async def test_rebuilding_on_request_ends_with_the_same_rows(
    catalog: Catalog, database: Database, chroma: Path
):
    await some_documents(catalog, 2, 20)
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
        vectors.rebuild()
        query = random_vector()
        assert ids_of(await vectors.nearest(query, 5)) == await exact(catalog, query, 5)
        await vectors.wait_until_current()
        assert await rows_in(vectors) == 40


async def test_what_was_deleted_is_erased_without_building_the_index_anew(
    catalog: Catalog, database: Database, chroma: Path
):
    # More rows than Chroma collects before it writes its index files.
    await publish(catalog, "/w/kept.txt", [f"kept {i}" for i in range(1100)])
    secret = await publish(catalog, "/w/secret.txt", [f"zyxomma{i}q" for i in range(20)])
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
        removed = await vectors.vectors_of(await chunk_ids(catalog, secret))
        [segment] = segments(chroma)
        assert len(removed) == 20 and b"zyxomma7q" in contents(chroma)
        await catalog.erase_documents([secret.id])
        await vectors.erase_deleted()
        assert segments(chroma) == [segment], "the same index"
        assert b"zyxomma" not in contents(chroma)
        written = rows_of(segment)
        for vector in removed.values():
            assert vector.tobytes() not in contents(chroma)
            assert float((written @ vector).max()) < 0.99
        await vectors.wait_until_current()
        assert await rows_in(vectors) == 1100
        for _ in range(5):
            query = random_vector()
            assert ids_of(await vectors.nearest(query, 10)) == await exact(catalog, query, 10)
        await publish(catalog, "/w/more.txt", ["more of it"])
        await vectors.wait_until_current()
        assert await rows_in(vectors) == 1101


async def test_where_most_is_deleted_the_index_is_built_anew(
    catalog: Catalog, database: Database, chroma: Path
):
    await publish(catalog, "/w/kept.txt", ["kept"])
    secret = await publish(catalog, "/w/secret.txt", [f"zyxomma{i}q" for i in range(20)])
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
        await catalog.erase_documents([secret.id])
        await vectors.erase_deleted()
        assert b"zyxomma" not in contents(chroma)
        await vectors.wait_until_current()
        assert await rows_in(vectors) == 1


async def test_an_index_that_is_written_at_each_change_since_a_crash_recovers(
    catalog: Catalog, database: Database, chroma: Path
):
    # As erasing sets it for a moment; each time Chroma writes its index is a risk to it.
    await publish(catalog, "/w/kept.txt", [f"kept {i}" for i in range(1100)])
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
    [directory], [segment] = entries(chroma), segments(chroma)
    with contextlib.closing(sqlite3.connect(directory / "chroma.sqlite3")) as connection:
        for usual, at_once in (
            ('"sync_threshold":1000', '"sync_threshold":2'),
            ('"batch_size":100', '"batch_size":2'),
        ):
            connection.execute(
                "UPDATE collections SET schema_str = replace(schema_str, ?, ?)", (usual, at_once)
            )
        connection.commit()
    written = (segment / "header.bin").stat().st_mtime_ns
    async with opened(database, chroma) as vectors:
        for number in range(3):
            await publish(catalog, f"/w/{number}.txt", [f"more {number} {i}" for i in range(3)])
            await vectors.wait_until_current()
        assert await rows_in(vectors) == 1109
    assert (segment / "header.bin").stat().st_mtime_ns == written


def segments(directory: Path) -> list[Path]:
    return list(directory.glob("*/*/"))


def contents(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def rows_of(segment: Path) -> NDArray[np.float32]:
    """The vectors in an index file, deleted or not."""
    head = (segment / "header.bin").read_bytes()
    _, _, _, elements, size, label_at, at = struct.unpack_from("<iQQQQQQ", head)
    rows = np.fromfile(segment / "data_level0.bin", np.uint8).reshape(elements, size)
    return rows[:, at:label_at].copy().view(np.float32)


async def test_a_cancelled_search_leaves_the_worker_alone(
    catalog: Catalog, database: Database, chroma: Path
):
    await some_documents(catalog, 2, 20)
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
        pid = store_of(vectors).pid
        async with asyncio.TaskGroup() as tasks:
            for pause in (0, 1, 2, 3, 5, 8):
                search = tasks.create_task(vectors.nearest(random_vector(), 5))
                for _ in range(pause):
                    await asyncio.sleep(0)
                search.cancel()
        query = random_vector()
        assert ids_of(await vectors.nearest(query, 5)) == await exact(catalog, query, 5)
        assert store_of(vectors).pid == pid


async def test_a_process_that_is_stopped_lets_the_write_at_hand_finish(
    catalog: Catalog, database: Database, chroma: Path, monkeypatch: pytest.MonkeyPatch
):
    await some_documents(catalog, 1, 1050)
    writing = asyncio.Event()
    upsert = ChromaStore.upsert

    async def announced(self: ChromaStore, records: Sequence[VectorRecord]) -> None:
        writing.set()
        await upsert(self, records)

    monkeypatch.setattr(ChromaStore, "upsert", announced)

    async def serve() -> None:
        async with opened(database, chroma) as vectors:
            await vectors.wait_until_current()

    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(serve())
        await writing.wait()
        serving.cancel()
    [directory] = entries(chroma)
    assert (await asyncio.to_thread(chroma_health.inspect, directory)).live >= 1000
    async with opened(database, chroma) as vectors:
        await vectors.wait_until_current()
        assert await rows_in(vectors) == 1050


async def test_where_no_store_can_be_kept_exact_search_serves_and_the_state_says_why(
    catalog: Catalog, database: Database, tmp_path: Path
):
    await some_documents(catalog, 1, 5)
    blocked = tmp_path / "a file, where the directory should be"
    await asyncio.to_thread(blocked.write_text, "")
    query = random_vector()
    async with opened(database, blocked) as vectors:
        assert "Cannot write the vector index" in await vectors._indexer.wait_for_failure()
        assert (await vectors.status()).state == "down"
        assert ids_of(await vectors.nearest(query, 3)) == await exact(catalog, query, 3)


@pytest.mark.parametrize("names", [("chroma", "exact"), ("exact", "chroma")])
async def test_another_store_takes_over_and_the_files_of_the_former_go(
    catalog: Catalog, database: Database, chroma: Path, names: tuple[str, str]
):
    await some_documents(catalog, 2, 5)
    query = random_vector()
    before: list[Path] = []
    for name in names:
        options = dataclasses.replace(QUICK, store=name)
        async with opened(database, chroma, options) as vectors:
            await vectors.wait_until_current()
            assert (await vectors.status()).store == name
            assert ids_of(await vectors.nearest(query, 5)) == await exact(catalog, query, 5)
            assert not [path for path in before if path.exists()]
            before = entries(chroma)
            assert len(before) == (name == "chroma")


async def test_a_filter_inside_the_store_is_exact_too(
    catalog: Catalog, database: Database, chroma: Path
):
    documents = await some_documents(catalog, 8, 15)
    async with opened(database, chroma, dataclasses.replace(QUICK, store="exact")) as vectors:
        await vectors.wait_until_current()
        async with vectors._indexer._writing:
            documents[5] = await publish(catalog, "/w/5.txt", ["new text", "document 5 part 4"])
            for some in (documents[:1], documents[::2], documents[5:6], documents[3:]):
                ids = [i for document in some for i in await chunk_ids(catalog, document)]
                query = random_vector()
                hits = await vectors.nearest(query, 10, await among(catalog, some))
                assert ids_of(hits) == await exact(catalog, query, 10, ids)


async def test_a_store_that_does_not_exist_is_refused_with_the_names_of_those_that_do(
    config: Config,
):
    with pytest.raises(InvalidArgument, match="no vector store 'croma'.*chroma, weaviate, exact"):
        async with open_engine(config.model_copy(update={"vector_store": "croma"})):
            pass


async def test_nothing_is_waited_for_where_there_is_no_embedder(database: Database, chroma: Path):
    async with (
        asyncio.TaskGroup() as tasks,
        open_vectors(database, chroma, tasks, QUICK) as vectors,
        asyncio.timeout(30),
    ):
        await vectors.wait_until_current()


async def test_nobody_waits_for_a_store_whose_engine_has_ended(database: Database, chroma: Path):
    options = dataclasses.replace(QUICK, start_delay=60.0)
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        async with opened(database, chroma, options) as vectors:
            waiting = tasks.create_task(vectors.wait_until_current())
            await asyncio.sleep(0)
        await waiting
