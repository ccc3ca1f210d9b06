"""The contract of every vector store."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allma_server.errors import VectorStoreDown
from allma_server.ports import VectorStore
from allma_server.storage.sqlite.outbox import VectorRecord
from allma_server.storage.vectors.config import VectorStoreConfig
from allma_server.storage.vectors.stores import VECTOR_STORES
from allma_server.storage.vectors.stores.chroma import ChromaStore
from allma_server.types import Hit
from tests.cluster import KEY, run_cluster

DIMENSIONS = 16
RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Chroma server."""
    path = str(tmp_path_factory.mktemp("server"))
    while True:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = run_server(path, port)
        assert process.stdout is not None
        if any(b"listening on" in line for line in process.stdout):
            break
        # Another program has taken the port meanwhile.
        _, said = process.communicate()
        assert b"in use" in said, said
    with process:
        # It prints a lot, and would block once the pipe is full.
        rest = threading.Thread(target=process.stdout.read)
        rest.start()
        yield f"http://127.0.0.1:{port}"
        process.kill()
        rest.join()


def run_server(path: str, port: int) -> "subprocess.Popen[bytes]":
    run = "from chromadb.cli.cli import app; app()"
    command = [sys.executable, "-c", run, "run", "--path", path, "--port", str(port)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Weaviate server."""
    with run_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running.url


IN_CLUSTER = pytest.param("weaviate", marks=pytest.mark.cluster)


async def cluster_key() -> str:
    return KEY


@pytest.fixture(params=[*(VECTOR_STORES.keys() - {"weaviate"}), "chroma server", IN_CLUSTER])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VectorStore]:
    name = request.param.split()[0]
    served = {"chroma server": "server", "weaviate": "cluster"}.get(request.param)
    url = request.getfixturevalue(served) if served else None
    async with asyncio.TaskGroup() as tasks:
        config = VectorStoreConfig(
            tasks,
            tmp_path / "one",
            f"allma-{tmp_path.name[-30:]}-one",
            url=url,
            api_key=cluster_key if served == "cluster" else None,
        )
        opened = VECTOR_STORES[name](config)
        try:
            yield opened
        finally:
            await opened.close()


def unit_vectors(count: int) -> np.ndarray:
    vectors = RNG.standard_normal((count, DIMENSIONS)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def record(chunk_id: int, vector: np.ndarray, document_id: int = 1) -> VectorRecord:
    return VectorRecord(
        chunk_id, vector, f"text {chunk_id}", "/w/\u00e4.md", 0, document_id, "2026-01-01T00:00:00Z"
    )


async def rows(store: VectorStore) -> int:
    return (await store.health()).rows


async def test_a_store_keeps_what_it_is_given_and_finds_the_nearest_first(store: VectorStore):
    await store.open()
    assert await rows(store) == 0
    assert await store.query(unit_vectors(1)[0], 3) == []

    vectors = unit_vectors(60)
    await store.upsert([record(i + 1, v) for i, v in enumerate(vectors)])
    assert await rows(store) == 60

    wanted = vectors[17]
    hits = await store.query(wanted, 5)
    exact = vectors @ wanted
    assert [hit.chunk_id for hit in hits] == [int(i) + 1 for i in np.argsort(-exact)[:5]]
    assert [hit.score for hit in hits] == pytest.approx(sorted(exact, reverse=True)[:5], abs=1e-4)

    everything = await store.query(wanted, 1000)
    assert len(everything) == 60
    assert await store.query(wanted, 0) == []


async def test_a_record_written_again_replaces_the_first(store: VectorStore):
    before, after = unit_vectors(2)
    await store.upsert([record(5, before)])
    await store.upsert([record(5, after), record(6, before)])
    assert await rows(store) == 2
    assert (await store.query(after, 1))[0].chunk_id == 5
    assert (await store.query(before, 1))[0].chunk_id == 6


async def test_what_is_deleted_is_not_found_and_unknown_ids_are_no_matter(store: VectorStore):
    vectors = unit_vectors(30)
    await store.upsert([record(i, v) for i, v in enumerate(vectors)])
    await store.delete([0, 29, 11, 4711])
    await store.delete([])
    await store.upsert([])
    assert await rows(store) == 27
    found = {hit.chunk_id for hit in await store.query(vectors[11], 30)}
    assert found == set(range(30)) - {0, 29, 11}


async def test_a_store_that_is_reset_begins_anew(store: VectorStore):
    vectors = unit_vectors(5)
    await store.upsert([record(i, v) for i, v in enumerate(vectors)])
    await store.reset()
    assert await rows(store) == 0
    await store.upsert([record(1, vectors[1])])
    await store.remove_others()
    assert await rows(store) == 1
    assert [hit.chunk_id for hit in await store.query(vectors[1], 3)] == [1]


async def test_a_store_can_be_opened_again_after_it_was_closed(store: VectorStore):
    await store.open()
    await store.open()
    await store.upsert([record(1, unit_vectors(1)[0])])
    await store.close()
    await store.open()
    assert await rows(store) in (0, 1), "memory is lost, a disk or server is not"
    await store.reset()
    assert (await rows(store), store.damage) == (0, None)


async def test_a_store_that_filters_finds_only_what_is_in_the_ranges(store: VectorStore):
    vectors = unit_vectors(40)
    await store.upsert([record(i, v, document_id=i // 4) for i, v in enumerate(vectors)])
    if not store.filters_documents:
        return  # the index drops what is out of scope: tests/unit/storage/test_vectors.py
    for documents in ([range(2, 4)], [range(1), range(7, 8), range(9, 12)], [range(50, 60)], []):
        hits = await store.query(vectors[9], 40, documents)
        ids = {i for i in range(40) if any(i // 4 in each for each in documents)}
        assert {hit.chunk_id for hit in hits} == ids
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("store", ["chroma"], indirect=True)
async def test_searches_wait_while_deleted_rows_are_erased(store: ChromaStore):
    vectors = unit_vectors(1100)
    await store.upsert([record(i + 1, v) for i, v in enumerate(vectors)])
    await store.delete(range(1, 21))
    called: list[str] = []
    searching: list[asyncio.Task[list[Hit]]] = []
    call = store._child.call

    async def recorded(method: str, *args: Any, **more: Any) -> Any:
        called.append(method)
        if method == "flush":
            for _ in range(5):
                searching.append(tasks.create_task(store.query(vectors[100], 1)))
        return await call(method, *args, **more)

    store._child.call = recorded
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(store.erase_deleted())
    assert [task.result()[0].chunk_id for task in searching] == [101] * 5
    begin = called.index("flush")
    assert called[begin : begin + 2] == ["flush", "scrub"], called
    assert store.damage is None and await rows(store) == 1080


def tear(folder: Path) -> None:
    """Shorten a file of a Chroma index, as a write that did not end."""
    [lengths] = folder.rglob("length.bin")
    lengths.write_bytes(lengths.read_bytes()[:-4])


@pytest.mark.parametrize("store", ["chroma"], indirect=True)
async def test_erasing_in_a_torn_index_reports_the_damage(store: ChromaStore, tmp_path: Path):
    await store.upsert([record(i + 1, v) for i, v in enumerate(unit_vectors(1100))])
    await store.close()
    tear(tmp_path)
    with pytest.raises(VectorStoreDown, match="damaged"):
        await store._exchange("scrub", limit=60)
    assert store.damage is not None
    await store.reset()
    assert store.damage is None and await rows(store) == 0
