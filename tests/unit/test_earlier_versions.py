"""Data directories, archives and settings of earlier versions can be opened."""

import asyncio
import json
import sqlite3
import zipfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from allma_server.config import Config, load_config
from allma_server.engine import DATABASE, Engine, import_data, open_engine
from allma_server.errors import DataDirectoryTooNew
from allma_server.ports import Vectors
from allma_server.search.probes import PROBES
from allma_server.storage.sqlite.database import open_database
from allma_server.storage.sqlite.migrations import MIGRATIONS, embedders_of_shares
from allma_server.storage.sqlite.shares import Shares
from tests.audit import snapshot
from tests.unit.indexing.test_ingestion import do, found

FIXTURES = Path(__file__).parents[1] / "fixtures" / "version-0.1"
PROJECT = "/home/user/project"


@pytest.fixture
def former(tmp_path: Path) -> Config:
    """Settings over a copy of the data directory of version 0.1."""
    data = tmp_path / "data"
    with zipfile.ZipFile(FIXTURES / "data.zip") as packed:
        packed.extractall(data)
    return Config(data_dir=data, chat_provider="scripted", watch=False)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with zipfile.ZipFile(FIXTURES / "archive.zip") as packed:
        return Path(packed.extract("archive.allma", tmp_path))


async def refuse_to_embed(engine: Engine) -> None:
    """From now on no document can be embedded again; questions and probes of languages can."""
    embedder = await engine.embedder.current()
    assert embedder is not None and embedder.identity.startswith("local/all-MiniLM-L6-v2-int8")

    embed, probes = embedder.embed_documents, set[str]().union(*PROBES.values())

    async def refuse(texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        assert probes.issuperset(texts), f"embedded again: {texts}"
        return await embed(texts, urgent=urgent)

    embedder.embed_documents = refuse  # type: ignore[method-assign]


async def check(engine: Engine) -> None:
    """Everything that was put into the fixtures is there."""
    await refuse_to_embed(engine)
    page = await do(engine, "documents")
    states = {row.path.removeprefix(f"{PROJECT}/"): row.state for row in page.documents}
    assert set(states.items()) == {
        (".env", "skipped"),
        ("lamps.html", "indexed"),
        ("notes/sea.md", "indexed"),
        ("retry.py", "indexed"),
        ("ships.csv", "indexed"),
        ("wärter.txt", "indexed"),
    }
    assert (await found(engine, "who keeps the lighthouse lamp burning"))[0] == "lamps.html"
    assert (await found(engine, "Leuchtturmwärter"))[0] == "wärter.txt"
    listed = (await do(engine, "conversations.list")).conversations
    assert [c.title for c in listed] == ["Who lights the lamp?", "Salt and tides"]
    shown = await do(engine, "conversations.show", id=listed[1].id)
    assert [m.role for m in shown.messages] == ["user", "assistant"] * 2
    assert shown.messages[0].content == "Why is the sea salty?"
    assert shown.messages[1].grounding == "cited"
    assert shown.messages[1].sources[0].path == f"{PROJECT}/notes/sea.md"
    assert await engine.embedder.name() == "local/all-MiniLM-L6-v2-int8"
    assert await engine.catalog.get_setting("chat_model") == "echo"
    assert await engine.catalog.get_setting("forgotten") == f'["{PROJECT}/notes/diary.md"]'


async def test_a_data_directory_of_the_first_version_opens_as_it_is(former: Config) -> None:
    before = snapshot(former.data_dir)
    async with open_engine(former) as engine:
        await check(engine)
        assert [w.path for w in (await do(engine, "status")).workspaces] == [PROJECT]
        await engine.vectors.wait_until_current()
    after = snapshot(former.data_dir)
    assert (after.documents, after.chunks) == (before.documents, before.chunks)


async def test_an_archive_of_the_first_version_is_imported(archive: Path, tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path / "there", chat_provider="scripted", watch=False)
    await import_data(str(archive), config.data_dir, replace=False)
    async with open_engine(config) as engine:
        await check(engine)
        await engine.vectors.wait_until_current()


def test_a_settings_file_of_the_first_version_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLMA_CONFIG", str(FIXTURES / "config.toml"))
    config = load_config({"data_dir": str(tmp_path)})
    assert (config.chat_model, config.embed_threads, config.top_k) == ("llama3.2", 2, 5)
    assert config.embedder == "local/all-MiniLM-L6-v2-int8"
    assert config.openai_url == "http://127.0.0.1:8080/v1"


async def test_identifiers_in_stored_data_are_still_read(former: Config) -> None:
    """Keys, folder names and kinds of jobs: renaming code must not lose what they name."""
    [collection] = (path.name for path in (former.data_dir / "vectors").iterdir())
    with closing(sqlite3.connect(former.data_dir / DATABASE)) as database, database:
        stored = dict(database.execute("SELECT key, value FROM settings"))
        for number, kind in enumerate(("ingest", "embed", "erase")):
            database.execute(
                "INSERT INTO jobs VALUES (?, ?, 'done', '', 1, 1, '', '2026-01-01', NULL)",
                (f"job{number}", kind),
            )
        embedder = "hashing/words-256"
        until = json.dumps({embedder: datetime.now(UTC).isoformat()})
        database.execute("INSERT INTO settings VALUES ('former_embedders', ?)", (until,))
    assert stored["vector_collection"] == collection
    async with open_engine(former) as engine:
        await engine.embedder.current()
        await engine.vectors.wait_until_current()
        kinds = {job.kind for job in await engine.catalog.jobs(100)}
        assert kinds >= {"ingest", "embed", "erase"}
        reports = [job.report for job in await engine.catalog.jobs(100) if job.report]
        assert reports[0].skipped[0].path == f"{PROJECT}/.env"
        assert embedder in await engine.embedder.retained()
        for key in ("vector_index_id", "vector_collection"):
            assert await engine.catalog.get_setting(key) == stored[key]
    vectors = (former.data_dir / "vectors").iterdir()
    assert [path.name for path in vectors if path.is_dir()] == [collection]


async def test_a_share_of_an_earlier_version_keeps_the_embedder_of_its_engine(
    tmp_path: Path,
) -> None:
    file = tmp_path / DATABASE
    async with open_database(file, MIGRATIONS[: MIGRATIONS.index(embedders_of_shares)]):
        pass
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("INSERT INTO shares (path, name) VALUES ('/docs', 'docs')")
    async with open_database(file) as database:
        [share] = await Shares(database).shares()
    assert (share.path, share.name, share.embedder) == ("/docs", "docs", None)


async def test_a_data_directory_of_a_later_version_is_refused_and_unchanged(former: Config) -> None:
    """As an earlier program sees the directory after a downgrade."""
    file = former.data_dir / DATABASE
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = await asyncio.to_thread(file.read_bytes)
    with pytest.raises(DataDirectoryTooNew) as caught:
        async with open_engine(former):
            pass
    assert "A newer version of Allma wrote" in caught.value.message
    assert caught.value.hint == "Update Allma, or choose another data directory with --data."
    assert await asyncio.to_thread(file.read_bytes) == before
