from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from allma_server.config import Config
from allma_server.engine import open_engine
from allma_server.storage.shared import search
from tests.cluster import KEY, RunningCluster, run_cluster
from tests.unit.sharing.engines import EMBEDDER, Opens, administrator


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    with run_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
async def opens(
    cluster: RunningCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Opens]:
    """Yield what opens an engine, by its name, each with data of its own; the cluster is empty."""
    monkeypatch.setenv("ALLMA_VECTOR_STORE_API_KEY", KEY)
    monkeypatch.setattr(search, "KNOWN_SECONDS", 0.0)

    def opened(name: str, url: str | None = None, embedder: str = EMBEDDER, **more: object) -> Any:
        config = Config(
            data_dir=tmp_path / f"data of {name}",
            embedder=embedder,
            chat_provider="scripted",
            vector_store="exact",
            shared_url=url or cluster.url,
        )
        return open_engine(config.model_copy(update=more))

    yield opened
    async with administrator(cluster.url) as admin:
        await admin.call(lambda client: client.collections.delete_all(), limit=60)
