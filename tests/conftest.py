import os
from pathlib import Path

import pytest

from allma_server.config import Config
from tests.ollama.fixtures import ollama as ollama
from tests.ollama.fixtures import unused_url as unused_url

SHARED_DATA = Path(
    os.environ.get("ALLMA_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")  # noqa: TID251
)
"""Evaluation material beside the project; tests that use it have nothing to do without it."""


@pytest.fixture
def shared_data() -> Path:
    return SHARED_DATA


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings for a quick engine: nothing heavy, nothing from the user's own settings."""
    return Config(
        data_dir=tmp_path / "allma-data", embedder="hashing/words-256", chat_provider="scripted"
    )


@pytest.fixture(autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings and data of the person who runs the tests stay out of them."""
    for name in [name for name in os.environ if name.startswith("ALLMA_")]:  # noqa: TID251
        if name != "ALLMA_SHARED_DATA" and not name.startswith("ALLMA_TEST"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("settings")
    monkeypatch.setenv("ALLMA_CONFIG", str(home / "config.toml"))
    monkeypatch.setenv("ALLMA_DATA_DIR", str(home / "data"))
