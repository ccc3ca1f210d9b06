"""What every vector store keeps to, whichever serves."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from allma_server.ports import VectorStore
from allma_server.stores.place import StorePlace
from allma_server.stores.vectors import VECTOR_STORES, VectorRecord

DIMENSIONS = 16
RNG = np.random.default_rng(7)


@pytest.fixture(params=sorted(VECTOR_STORES))
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VectorStore]:
    async with asyncio.TaskGroup() as tasks:
        opened = VECTOR_STORES[request.param](StorePlace(tasks, tmp_path / "one", "allma-test-one"))
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


async def test_a_store_keeps_what_it_is_given_and_finds_the_nearest_first(store: VectorStore):
    assert await store.count() == 0
    assert await store.query(unit_vectors(1)[0], 3) == []

    vectors = unit_vectors(60)
    await store.upsert([record(i + 1, v) for i, v in enumerate(vectors)])
    assert await store.count() == 60

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
    assert await store.count() == 2
    assert (await store.query(after, 1))[0].chunk_id == 5
    assert (await store.query(before, 1))[0].chunk_id == 6


async def test_what_is_deleted_is_not_found_and_unknown_ids_are_no_matter(store: VectorStore):
    vectors = unit_vectors(30)
    await store.upsert([record(i, v) for i, v in enumerate(vectors)])
    await store.delete([0, 29, 11, 4711])
    await store.delete([])
    await store.upsert([])
    assert await store.count() == 27
    found = {hit.chunk_id for hit in await store.query(vectors[11], 30)}
    assert found == set(range(30)) - {0, 29, 11}
