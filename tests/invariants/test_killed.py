"""A process killed while it indexes leaves work to do, never a wrong or partial document."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from allma_server.config import Config
from allma_server.engine import DATABASE, open_engine
from tests.audit import differences, faults, fresh, snapshot
from tests.processes import wait_until_ended
from tests.unit.indexing.test_ingestion import do, index

FILES = 24
PARAGRAPHS = 12


@pytest.fixture
def config(config: Config) -> Config:
    """Settings with Chroma, whose files these tests read."""
    return config.model_copy(update={"vector_store": "chroma"})


def write(folder: Path, version: str) -> None:
    for number in range(FILES):
        paragraphs = [f"{version} lamp {number} part {part}. " * 12 for part in range(PARAGRAPHS)]
        (folder / f"lamp{number}.md").write_text("\n\n".join(paragraphs))


def published(data: Path, version: str) -> int:
    """Return the indexed documents of this version."""
    with contextlib.closing(sqlite3.connect(data / DATABASE)) as database:
        [count] = database.execute(
            "SELECT count(DISTINCT document_id) FROM chunks WHERE text LIKE ?", [f"{version} %"]
        ).fetchone()
    return count


def killed_while_indexing(config: Config, folder: Path, after: int) -> None:
    """Index in a process that is killed once `after` documents are new."""
    command = [sys.executable, "-m", "allma_server", "index", str(folder), "--solo"]
    environment = {
        **os.environ,  # noqa: TID251
        "ALLMA_DATA_DIR": str(config.data_dir),
        "ALLMA_EMBEDDER": config.embedder,
        "ALLMA_CHAT_PROVIDER": config.chat_provider,
    }
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        until = time.monotonic() + 60
        while published(config.data_dir, "new") < after and process.poll() is None:
            assert time.monotonic() < until
        process.send_signal(signal.SIGKILL)
        wait_until_ended(process.pid)


@pytest.mark.invariant(2)
@pytest.mark.parametrize("after", [1, FILES // 2])
async def test_after_a_kill_each_document_is_either_old_or_new(
    after: int, config: Config, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    write(folder, "old")
    async with open_engine(config) as engine:
        await index(engine, folder)
    write(folder, "new")
    await asyncio.to_thread(killed_while_indexing, config, folder, after)

    with contextlib.closing(sqlite3.connect(config.data_dir / DATABASE)) as database:
        versions = database.execute(
            "SELECT count(DISTINCT substr(text, 1, 3)) FROM chunks GROUP BY document_id"
        ).fetchall()
    assert versions == [(1,)] * FILES, "each document is there, whole, in one version"
    async with open_engine(config) as engine:
        for version in ("old", "new"):
            found = await do(engine, "search", query=f"{version} lamp 7 part 3", top_k=20)
            shown = [(passage.text[:3], passage.stale) for passage in found.passages]
            assert shown and set(shown) <= {("old", True), ("new", False)}
        await index(engine, folder)
        await engine.vectors.wait_until_current()
    assert faults(config.data_dir) == []
    assert differences(snapshot(config.data_dir), await fresh(config, [folder])) == []
