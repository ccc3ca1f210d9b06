from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.lsp import workspace_sync
from allma_server.types import LOCAL

GLACIER = """# Glacier

The glacier of Aletsch is twenty three kilometres long.

## Water

Its melt water feeds the river Rhone.
"""
MELT = '''def melt(ice):
    """Turn ice into water."""
    return ice * 0.9
'''


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An indexed folder."""
    folder = tmp_path_factory.mktemp("notes")
    (folder / "glacier.md").write_text(GLACIER)
    (folder / "melt.py").write_text(MELT)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory, notes: Path) -> AsyncGenerator[Engine]:
    """One engine for the connections of a module, as a daemon has it."""
    config = Config(
        data_dir=tmp_path_factory.mktemp("data"),
        embedder="hashing/words-256",
        chat_provider="scripted",
        vector_store="exact",
    )
    async with open_engine(config) as opened:
        await BY_NAME["ingest"](Call(opened, LOCAL), {"paths": [str(notes)]})
        # Status and doctor tell of an index that is being written, and then no longer.
        await opened.vectors.wait_until_current()
        yield opened


@pytest.fixture
def provider(engine: Engine) -> EngineProvider:
    async def ready() -> Engine:
        return engine

    return ready


@pytest.fixture(params=["auto", "legacy"])
def mode(request: pytest.FixtureRequest) -> str:
    """The era of the protocol that the library's client speaks."""
    return request.param


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Index changed files at once."""
    monkeypatch.setattr(workspace_sync, "IDLE_SECONDS", 0.0)
