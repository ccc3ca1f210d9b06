"""Three nodes and several engines: a node or an engine is killed while folders are published."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.storage.cluster.connection import Cluster
from allma_server.storage.cluster.objects import chunk_id
from allma_server.storage.shared import share_writer
from allma_server.storage.shared.chunks import VERSION, collection_name
from allma_server.types import LOCAL, SearchResult
from tests.cluster import KEY, RunningCluster, run_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

FILES = 150


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningCluster]:
    with run_cluster(tmp_path_factory.mktemp("cluster"), 3) as running:
        yield running


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_VECTOR_STORE_API_KEY", KEY)


def settings(data: Path, cluster: RunningCluster) -> Config:
    return Config(
        data_dir=data,
        embedder="hashing/words-256",
        chat_provider="scripted",
        vector_store="exact",
        shared_url=cluster.url,
    )


def written(folder: Path, subject: str) -> str:
    folder.mkdir()
    for number in range(FILES):
        text = f"# {subject} {number}\n\nThe {subject} number {number} is {number * 7} years old.\n"
        (folder / f"{number}.md").write_text(text)
    return str(folder)


async def run(engine: Engine, operation: str, /, **arguments: Any) -> Any:
    return await BY_NAME[operation](Call(engine, LOCAL), arguments)


async def published(engine: Engine, name: str) -> None:
    """Wait until a share is published, through failures."""
    until = time.monotonic() + 150
    while not await engine.sharing.publisher.wait(name, 30):
        assert time.monotonic() < until, engine.sharing.publisher.failures
        await asyncio.to_thread(time.sleep, 0.5)


async def audit(engine: Engine, name: str, url: str, seconds: float = 0.0) -> None:
    """Check that a node holds exactly what the owner's SQLite holds, within so many seconds."""
    from weaviate.classes.config import ConsistencyLevel

    [share] = [each for each in await engine.sharing.shares.shares() if each.name == name]
    embedder = await engine.sharing.embedders.identity(None)
    chunks = await engine.sharing.shares.chunks_after(share, embedder, -1, 100_000)
    assert len(chunks) == FILES

    async def held(client: Any) -> dict[int, str]:
        target = client.collections.use(collection_name(embedder)).with_tenant(name)
        target = target.with_consistency_level(ConsistencyLevel.QUORUM)
        found: list[tuple[int, str]] = []
        async for each in target.iterator(return_properties=[VERSION]):
            found.append((chunk_id(each.uuid), each.properties[VERSION]))
        assert len(found) == len(dict(found)), "doubled"
        return dict(found)

    async def read_key() -> str:
        return KEY

    reader = Cluster(url, read_key)
    try:
        expected = {chunk.chunk_id: chunk.version for chunk in chunks}
        until = time.monotonic() + seconds
        while (found := await reader.call(held, limit=60)) != expected:
            assert time.monotonic() < until, (len(found), len(expected))
            await asyncio.to_thread(time.sleep, 1)  # nothing tells when a node is repaired
    finally:
        await reader.close()


async def test_a_node_is_killed_while_two_engines_publish_and_a_third_searches(
    cluster: RunningCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share_writer, "BATCH", 10)
    async with AsyncExitStack() as stack:
        ann, bob, cid = [
            await stack.enter_async_context(open_engine(settings(tmp_path / name, cluster)))
            for name in ("ann", "bob", "cid")
        ]
        owners = {"oak": ann, "elm": bob}
        for name, engine in owners.items():
            await run(engine, "ingest", paths=[written(tmp_path / name, name)])
        await run(cid, "ingest", paths=[written(tmp_path / "pine", "pine")])
        notices: list[str | None] = []
        killed = asyncio.Event()

        async def search_until_published() -> None:
            while not killed.is_set() or len(notices) < 10:
                result: SearchResult = await run(cid, "search", query="oak number 7", top_k=3)
                notices.append(result.notice)

        async def kill_first_node() -> None:
            # All engines talk to it.
            while (await ann.sharing.shares.pending_shares()).get(1, FILES) > FILES // 2:
                await asyncio.to_thread(time.sleep, 0.01)  # nothing tells of each batch
            await asyncio.to_thread(cluster.nodes[0].kill)
            killed.set()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(search_until_published())
            tasks.create_task(kill_first_node())
            for name, engine in owners.items():
                tasks.create_task(run(engine, "share", path=str(tmp_path / name)))
        assert set(notices) == {None}, "no error is shown"
        for name, engine in owners.items():
            await published(engine, name)
            await audit(engine, name, ",".join(node.url for node in cluster.nodes[1:]))
        for name in owners:
            result = await run(cid, "search", query=f"{name} number 70", top_k=3)
            assert result.passages[0].path == f"shared: {name}/70.md"

        cluster.nodes[0].start()
        await asyncio.to_thread(cluster.nodes[0].wait_until_ready)
        for name, engine in owners.items():
            await audit(engine, name, cluster.nodes[0].url, seconds=120)
            await run(engine, "unshare", path=str(tmp_path / name))


def remove_sockets(home: Path) -> None:
    """Remove what a daemon that was killed has left."""
    for left in home.rglob("allma/*.sock"):
        left.unlink()


async def test_an_engine_that_is_killed_while_it_publishes_resumes(
    cluster: RunningCluster, tmp_path: Path, isolated: Path
) -> None:
    data, ash = tmp_path / "data", written(tmp_path / "ash", "ash")
    environment = {
        **os.environ,  # noqa: TID251
        "ALLMA_DATA_DIR": str(data),
        "ALLMA_SHARED_URL": cluster.url,
        "ALLMA_EMBEDDER": "hashing/words-256",
        "ALLMA_VECTOR_STORE": "exact",
    }

    def allma(*arguments: str) -> Any:
        command = [sys.executable, "-m", "allma_server", *arguments, "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    await asyncio.to_thread(allma, "index", ash)
    pid = (await asyncio.to_thread(allma, "daemon", "status"))["pid"]
    command = [sys.executable, "-m", "allma_server", "share", ash]
    popen = partial(subprocess.Popen, command, env=environment, stderr=subprocess.DEVNULL)
    with await asyncio.to_thread(popen) as sharing:
        listed: list[Any] = []
        while not listed:  # the share is known as soon as it is in SQLite
            listed = (await asyncio.to_thread(allma, "shares"))["shares"]
        os.kill(pid, signal.SIGKILL)
        sharing.kill()
    # Its client may have started another one already.
    await asyncio.to_thread(allma, "daemon", "stop")
    await asyncio.to_thread(remove_sockets, isolated)
    async with open_engine(settings(data, cluster)) as engine:
        await published(engine, "ash")
        await audit(engine, "ash", cluster.url)
        await run(engine, "unshare", path=ash)
