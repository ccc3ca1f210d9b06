"""A damaged database is reported, and replaced by one with every readable row."""

import asyncio
import contextlib
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from allma_server.config import Config
from allma_server.engine import DATABASE, open_engine, rescue_data
from allma_server.errors import AllmaError, DataDamaged
from allma_server.storage.archive.worker import rescue_here
from tests.audit import faults
from tests.seeds import seeds
from tests.unit.indexing.test_ingestion import do

PAGE = 4096
CONVERSATIONS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage") / "project"
    folder.mkdir()
    for number in range(40):
        text = "\n\n".join(f"Lamp {number} burns in tower {part}." * 9 for part in range(6))
        (folder / f"lamp{number}.md").write_text(f"# Lamp {number}\n\n{text}\n")
    return folder


@pytest.fixture(scope="module")
def sound(folder: Path) -> Path:
    """A data directory with documents and conversations; each question has a word of its own."""

    async def make() -> None:
        config = settings(folder.parent / "sound", "chroma")
        async with open_engine(config) as engine:
            await do(engine, "ingest", paths=[str(folder)])
            for number in range(CONVERSATIONS):
                await do(engine, "ask", question=f"What is marker{number:03}mark about?")
            await engine.vectors.wait_until_current()

    asyncio.run(make())
    return folder.parent / "sound"


def settings(data: Path, store: str = "exact") -> Config:
    return Config(
        data_dir=data,
        embedder="hashing/words-256",
        chat_provider="scripted",
        vector_store=store,
        watch=False,
    )


@pytest.fixture
def data(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "data"))


def questions(database: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(database)) as opened:
        rows = opened.execute("SELECT content FROM messages WHERE role = 'user'").fetchall()
    return {content for (content,) in rows}


def flip(database: Path, seed: int) -> set[str]:
    """Flips bytes in some pages; the questions that stand in other pages."""
    chance = random.Random(seed)
    content = bytearray(database.read_bytes())
    pages = len(content) // PAGE
    damaged = set(chance.sample(range(pages), chance.randint(1, pages // 2)))
    if seed % 3 == 0:
        damaged.add(0)
    sound = {
        f"What is marker{number:03}mark about?"
        for number in range(CONVERSATIONS)
        if not {at // PAGE for at in places(content, f"What is marker{number:03}mark about?")}
        & damaged
    }
    for _ in range(400):
        content[chance.choice(sorted(damaged)) * PAGE + chance.randrange(PAGE)] ^= chance.randint(
            1, 255
        )
    database.write_bytes(content)
    return sound


def places(content: bytearray, text: str) -> list[int]:
    found, at = list[int](), -1
    while (at := content.find(text.encode(), at + 1)) >= 0:
        found.append(at)
    return found


@pytest.mark.seeds
@pytest.mark.parametrize("seed", seeds(4, 120))
async def test_a_flipped_byte_is_reported_and_readable_rows_are_kept(seed: int, data: Path) -> None:
    sound = flip(data / DATABASE, seed)
    calls: list[tuple[str, dict[str, object]]] = [
        ("search", {"query": "lamp tower"}),
        ("documents", {}),
        ("conversations.list", {}),
        ("status", {}),
        ("ask", {"question": "Which lamp burns?"}),
        ("sync", {}),
        ("doctor", {}),
    ]
    async with asyncio.timeout(100):
        with contextlib.suppress(AllmaError):
            async with open_engine(settings(data)) as engine:
                for operation, arguments in calls:
                    with contextlib.suppress(AllmaError):
                        await do(engine, operation, **arguments)
                        continue
                    reported = await failure(engine, operation, arguments)
                    assert "bug" not in reported
        draft = data / "draft.sqlite3"
        await rescue_here(data / DATABASE, draft)
    assert sound <= questions(draft)
    with contextlib.closing(sqlite3.connect(draft)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert opened.execute("PRAGMA foreign_key_check").fetchall() == []


async def failure(engine: object, operation: str, arguments: dict[str, object]) -> str:
    try:
        await do(engine, operation, **arguments)  # type: ignore[arg-type]
    except AllmaError as exc:
        return str(exc)
    return ""


def cut_short(database: Path) -> None:
    os.truncate(database, database.stat().st_size // PAGE // 2 * PAGE)


def cut_in_a_page(database: Path) -> None:
    os.truncate(database, database.stat().st_size - 1000)


def emptied(database: Path) -> None:
    database.write_bytes(b"")


def another_file(database: Path) -> None:
    database.write_text("not a database at all\n" * 1000)


def no_header(database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(bytes(100) + content[100:])


def no_schema(database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content[:100] + bytes(PAGE - 100) + content[PAGE:])


def no_version(database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content[:60] + bytes(4) + content[64:])


def absurd_version(database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content[:60] + b"\x7f\xff\xff\xff" + content[64:])


@pytest.mark.parametrize(
    "spoil",
    [
        cut_short,
        emptied,
        another_file,
        no_header,
        no_schema,
        no_version,
        absurd_version,
    ],
)
async def test_a_file_that_cannot_be_opened_is_repaired_from_its_folders(
    spoil: Callable[[Path], None], data: Path
) -> None:
    # What was lost is read from the file in seven ways, but the store is filled again in one.
    store = "chroma" if spoil is no_header else "exact"
    spoil(data / DATABASE)
    content = (data / DATABASE).read_bytes()
    with pytest.raises(DataDamaged, match="doctor --repair"):
        async with open_engine(settings(data)) as engine:
            await do(engine, "repair")
    rescued = await rescue_data(data)
    kept = await asyncio.to_thread(Path(rescued.damaged).read_bytes)
    assert kept[100:] == content[100:]
    if content.count(b"marker") and spoil is not cut_short:
        assert rescued.conversations == CONVERSATIONS
    async with open_engine(settings(data, store)) as engine:
        assert (await do(engine, "repair")).healthy
        if rescued.conversations == CONVERSATIONS:
            assert (await do(engine, "documents")).total == 40
            await do(engine, "search", query="lamp tower")
            await engine.vectors.wait_until_current()
    if rescued.conversations == CONVERSATIONS:
        assert faults(data, store=store == "chroma", vectors=store == "chroma") == []


async def test_rows_only_in_the_write_ahead_log_are_recovered(data: Path) -> None:
    with contextlib.closing(sqlite3.connect(data / DATABASE)) as opened:
        opened.execute("PRAGMA wal_autocheckpoint = 0")
        opened.execute("UPDATE messages SET content = 'only in the log' WHERE seq = 1")
        opened.commit()
        shutil.copytree(data, data.with_name("crashed"))
    crashed = data.with_name("crashed") / DATABASE
    no_header(crashed)
    await rescue_here(crashed, data / "draft")
    assert "only in the log" in questions(data / "draft")


async def test_a_long_message_is_recovered_completely(data: Path, tmp_path: Path) -> None:
    long = "A long answer, word by word. " * 5000
    with contextlib.closing(sqlite3.connect(data / DATABASE)) as opened:
        opened.execute("UPDATE messages SET content = ? WHERE seq = 1", (long,))
        opened.commit()
    no_schema(data / DATABASE)
    await rescue_here(data / DATABASE, tmp_path / "draft")
    assert long in questions(tmp_path / "draft")


async def test_messages_of_a_lost_conversation_get_a_new_one(data: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(data / DATABASE)) as opened:
        opened.execute("PRAGMA foreign_keys = OFF")
        opened.execute("DELETE FROM conversations")
        opened.commit()
    saved = await rescue_here(data / DATABASE, tmp_path / "draft")
    assert saved.conversations == CONVERSATIONS
    with contextlib.closing(sqlite3.connect(tmp_path / "draft")) as opened:
        titles = {title for (title,) in opened.execute("SELECT title FROM conversations")}
    assert "What is marker007mark about?" in titles
