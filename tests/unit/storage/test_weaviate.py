"""Weaviate as a vector store: its addresses, and its failures as sentences."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from allma_server.config import Config
from allma_server.errors import VectorStoreDown
from allma_server.storage.cluster.addresses import Address, addresses
from allma_server.storage.sqlite.outbox import VectorRecord
from allma_server.storage.vectors.config import VectorStoreConfig
from allma_server.storage.vectors.stores.weaviate import WeaviateStore
from tests.cluster import KEY, RunningCluster, run_cluster


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("http://node:8080", [Address("node", 8080, False, 50051)]),
        ("https://node", [Address("node", 443, True, 443)]),
        (
            "http://[::1]:1/?grpc=2,, b:3",
            [Address("::1", 1, False, 2), Address("b", 3, False, 50051)],
        ),
    ],
)
def test_addresses_of_nodes(written: str, expected: list[Address]) -> None:
    found = Config.model_validate({"vector_store_url": written}).vector_store_url
    assert found is not None and addresses(found) == expected


@pytest.mark.parametrize("written", ["http://a:b", "http://a:1/?grpc=no", "http://a:1,ftp://b"])
def test_what_is_no_address(written: str) -> None:
    with pytest.raises(ValueError):
        addresses(written)


def record(number: int, dimensions: int = 8) -> VectorRecord:
    vector = np.eye(dimensions, dtype=np.float32)[number % dimensions]
    return VectorRecord(number, vector, "", "/a", 0, 1, "2026-01-01T00:00:00Z")


@asynccontextmanager
async def store(url: str | None, key: str = KEY) -> AsyncGenerator[WeaviateStore]:
    async def read_key() -> str:
        return key

    async with asyncio.TaskGroup() as tasks:
        config = VectorStoreConfig(tasks, Path("unused"), "allma-1-2", url=url, api_key=read_key)
        opened = WeaviateStore(config)
        try:
            yield opened
        finally:
            await opened.close()


async def test_a_cluster_that_is_away_is_named(unused_url: str) -> None:
    async with store(unused_url) as opened:
        with pytest.raises(VectorStoreDown, match=f"The cluster at {unused_url} does not answer"):
            await opened.open()


async def test_a_missing_address_names_the_setting() -> None:
    async with store(None) as opened:
        with pytest.raises(VectorStoreDown) as failed:
            await opened.open()
        assert "vector_store_url" in (failed.value.hint or "")


async def test_a_server_that_is_no_cluster_fails_with_a_sentence() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server, store(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as opened:
        with pytest.raises(VectorStoreDown, match="The cluster at http"):
            await opened.open()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    with run_cluster(tmp_path_factory.mktemp("cluster"), 3) as running:
        yield running


@pytest.mark.cluster
async def test_a_wrong_key_says_where_the_right_one_goes(cluster: RunningCluster) -> None:
    async with store(cluster.url, "wrong") as opened:
        with pytest.raises(VectorStoreDown, match="refuses the API key") as failed:
            await opened.open()
        assert "config set-key vector_store" in (failed.value.hint or "")


@pytest.mark.cluster
async def test_vectors_of_another_length_are_refused(tmp_path: Path) -> None:
    # Of several nodes, one that does not have the first vector yet would accept the second.
    with run_cluster(tmp_path) as one:
        async with store(one.url) as opened:
            await opened.upsert([record(1)])
            with pytest.raises(VectorStoreDown, match="of another length"):
                await opened.upsert([record(2, dimensions=9)])
            assert (await opened.health()).rows == 1


@pytest.mark.cluster
async def test_a_slow_node_is_waited_for_no_longer_than_its_share(cluster: RunningCluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        slow = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with store(f"{slow},{cluster.url}") as opened:
            await opened.reset()
            await opened.upsert([record(1)])
            assert (await opened.health()).rows == 1


@pytest.mark.cluster
async def test_searches_and_writes_go_on_with_a_node_down(cluster: RunningCluster) -> None:
    async with store(cluster.url) as opened:
        await opened.reset()
        await opened.upsert([record(n) for n in range(8)])
        cluster.nodes[0].kill()
        assert [hit.chunk_id for hit in await opened.query(record(3).vector, 1)] == [3]
        await opened.delete([3])
        await opened.upsert([record(number) for number in range(8, 16)])
        assert [hit.chunk_id for hit in await opened.query(record(3).vector, 1)] == [11]
        cluster.nodes[0].start()
        await asyncio.to_thread(cluster.nodes[0].wait_until_ready)
        assert (await opened.health()).rows == 15
