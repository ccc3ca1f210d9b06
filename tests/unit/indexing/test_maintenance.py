"""What is done from time to time: one task that fails stops no other."""

import pytest

from allma_server.config import Config
from allma_server.engine import open_engine
from allma_server.errors import ModelNotFound
from allma_server.indexing import maintenance
from allma_server.indexing.maintenance import Maintenance


async def test_files_are_read_again_though_it_is_not_known_which_vectors_are_used(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "is_machine_idle", lambda: True)
    retried: list[str] = []

    async def unknown() -> list[str]:
        raise ModelNotFound("The folder of the model does not exist.")

    async def retry() -> None:
        retried.append("limited files")

    async with open_engine(config) as engine:
        tasks = Maintenance(engine.catalog, engine.ingestion._jobs, unknown, retry)
        await tasks.run_once()
        assert retried == ["limited files"]
