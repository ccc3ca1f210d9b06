"""The full-text index follows SQLite: it is healed, rebuilt and erased, and nothing is lost."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import pytest

from allma_server._internal.file_lock import try_lock
from allma_server._internal.tasks import background_tasks
from allma_server.storage.full_text import indexer as indexing
from allma_server.storage.full_text.entries import TEXT
from allma_server.storage.full_text.index import FullText, open_full_text
from allma_server.storage.full_text.store import WordStore
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.database import Database, open_database
from allma_server.storage.sqlite.full_text_outbox import ChunkText, FullTextOutbox
from tests.seeds import FULL, seeds
from tests.unit.storage.corpus import chunk_ids, publish

DATABASE = "allma.sqlite3"


@contextlib.asynccontextmanager
async def opened(data: Path) -> AsyncGenerator[tuple[Catalog, FullText]]:
    """Opens the database in `data`, and full-text search beside it."""
    async with (
        open_database(data / DATABASE) as database,
        background_tasks() as tasks,
        open_full_text(database, data / "full_text", tasks) as words,
    ):
        yield Catalog(database), words


async def found(words: FullText, catalog: Catalog, query: str) -> list[str]:
    result = await words.search_text(query, 10)
    return sorted(passage.text for passage in await catalog.passages(result.hits))


def index_folder(data: Path) -> Path:
    [folder] = (data / "full_text").iterdir()
    return folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with 40 documents, of which some were changed and removed."""
    data = tmp_path_factory.mktemp("sound")
    asyncio.run(fill(data))
    return data


@pytest.fixture
def data(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path, dirs_exist_ok=True))


async def fill(data: Path) -> None:
    async with opened(data) as (catalog, words):
        for number in range(40):
            await publish(catalog, f"/w/{number}.txt", [f"walrus number {number}", "a whale"])
            if number % 8 == 0:
                await words.search_text("walrus", 1)  # written in several parts
        await publish(catalog, "/w/0.txt", ["seal number 0", "a whale"])
        document = await catalog.document("/w/1.txt")
        assert document is not None
        await catalog.remove([document.id])
        await words.wait_until_current()


async def check_whole(data: Path) -> None:
    """Everything is found, and the index is the database's again."""
    async with opened(data) as (catalog, words):
        assert await found(words, catalog, "seal") == ["seal number 0"]
        for number in (2, 17, 39):
            assert f"walrus number {number}" in await found(words, catalog, f"walrus {number}")
        assert await found(words, catalog, "whale" + " removed" * 3) != []
        await words.wait_until_current()
        state = await words.status()
        assert (state.state, state.pending, state.reason) == ("ready", 0, None)
        ids = [row["id"] for row in await catalog._db.rows("SELECT id FROM chunks ORDER BY id")]
    assert await asyncio.to_thread(held, data) == ids


def held(data: Path) -> list[int]:
    store = WordStore.open(index_folder(data))
    return sorted(store.chunks_in(store.segments(), store.entries))


async def test_an_index_is_kept_when_nothing_is_wrong(data: Path):
    before = index_folder(data).name
    await check_whole(data)
    assert index_folder(data).name == before


async def test_a_saved_text_ranks_as_it_does_once_the_index_holds_it(data: Path):
    saved = ["a walrus and another walrus", "walrus number 17 whale whale"]
    queries = ["walrus", "walrus 17", '"another walrus"', "wal*", "walruz", "new.md", "whale seal"]
    async with opened(data) as (catalog, words):
        await words.check()
        async with words._indexer._writing:  # so that nothing is written meanwhile
            await publish(catalog, "/w/new.md", saved)
            before = [await words.search_text(query, 50) for query in queries]
            assert (await words.status()).pending
        await words.check()
        for query, pending in zip(queries, before, strict=True):
            written = await words.search_text(query, 50)
            assert pending.similar == written.similar
            scores = {hit.chunk_id: hit.score for hit in pending.hits}
            assert scores == pytest.approx({h.chunk_id: h.score for h in written.hits}, rel=0.1)


# --- damage -------------------------------------------------------------------------------------


def largest(folder: Path, suffix: str) -> Path:
    return max(folder.glob(f"*{suffix}"), key=lambda path: path.stat().st_size)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.write_bytes(b"")


PARTS = [".idx", ".term", ".pos", ".fast", ".fieldnorm", "meta.json"]
HARMS: list[Callable[[Path], None]] = [flip, cut, empty, Path.unlink]


@pytest.mark.seeds
@pytest.mark.parametrize(
    ("part", "harm"),
    # Each part in one way; in `.ci/full` in all ways.
    [(p, h) for i, p in enumerate(PARTS) for j, h in enumerate(HARMS) if FULL or j == i % 4],
)
async def test_a_damaged_file_is_noticed_and_the_index_rebuilt(
    data: Path, part: str, harm: Callable[[Path], None]
):
    folder = index_folder(data)
    await asyncio.to_thread(harm, largest(folder, part))
    await check_whole(data)
    assert index_folder(data) != folder


async def test_a_file_that_breaks_while_the_index_is_open_costs_no_answer(data: Path):
    async with opened(data) as (catalog, words):
        assert await found(words, catalog, "seal") == ["seal number 0"]
        for path in index_folder(data).iterdir():
            path.unlink()
        await publish(catalog, "/w/new.txt", ["a new seal"])
        assert await found(words, catalog, "seal") == ["a new seal", "seal number 0"]
    await check_whole_with(data, "a new seal")


async def check_whole_with(data: Path, text: str) -> None:
    async with opened(data) as (catalog, words):
        assert text in await found(words, catalog, text)
        await words.wait_until_current()
        assert (await words.status()).state == "ready"


async def test_a_deleted_folder_is_rebuilt(data: Path):
    for path in index_folder(data).iterdir():
        path.unlink()
    index_folder(data).rmdir()
    await check_whole(data)


async def test_lock_files_that_a_killed_process_left_do_not_matter(data: Path):
    before = index_folder(data)
    for name in (".tantivy-writer.lock", ".tantivy-meta.lock"):
        (before / name).write_text("12345")
    await check_whole(data)
    async with opened(data) as (catalog, words):
        await publish(catalog, "/w/new.txt", ["a new seal"])
        assert "a new seal" in await found(words, catalog, "seal")
    assert index_folder(data) == before


@pytest.mark.skipif(sys.platform == "win32", reason="file locks are POSIX's")
async def test_while_another_process_locks_the_index_new_text_is_found_with_a_notice(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    lock = index_folder(data) / ".tantivy-writer.lock"
    with await asyncio.to_thread(lock.open, "r+b") as file:
        assert try_lock(file)
        async with opened(data) as (catalog, words):
            # More than a search scores itself.
            await publish(catalog, "/w/new.txt", ["a new seal", *["a whale"] * 9])
            result = await words.search_text("seal", 10)
            texts = [passage.text for passage in await catalog.passages(result.hits)]
            assert sorted(texts) == ["a new seal", "seal number 0"]
            assert result.notice is not None and "may miss words" in result.notice
            assert (await words.status()).state == "down"
    await check_whole_with(data, "a new seal")


# --- an index of another state ------------------------------------------------------------------


async def test_changed_rules_for_terms_rebuild_the_index(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    before = index_folder(data)
    monkeypatch.setattr("allma_server.storage.full_text.fields.VERSION", "2.7")
    await check_whole(data)
    assert index_folder(data) != before and index_folder(data).name.startswith("2.7-")


@pytest.mark.parametrize("newer", ["database", "index"])
async def test_a_database_and_an_index_of_different_times_are_not_used_together(
    data: Path, tmp_path_factory: pytest.TempPathFactory, newer: str
):
    """As after a copy of a running data directory, or a restored backup of a part of it."""
    kept = tmp_path_factory.mktemp("kept")
    folder = index_folder(data)

    def keep(source: Path, target: Path) -> None:
        target.mkdir(exist_ok=True)
        for path in source.iterdir():
            if path.is_file():
                (target / path.name).write_bytes(path.read_bytes())

    keep(data, kept / "data")
    keep(folder, kept / "index")
    async with opened(data) as (catalog, words):
        await publish(catalog, "/w/late.txt", ["a late seal"])
        await publish(catalog, "/w/0.txt", ["seal number 0", "a whale"])
        await words.wait_until_current()
        document = await catalog.document("/w/late.txt")
        assert document is not None
        await catalog.remove([document.id])
        await publish(catalog, "/w/39.txt", ["walrus number 39", "another whale"])
        await words.wait_until_current()
    restored, place = (kept / "data", data) if newer == "index" else (kept / "index", folder)
    for path in place.iterdir():
        if path.is_file():
            path.unlink()
    keep(restored, place)
    await check_whole(data)
    assert index_folder(data) != folder
    async with opened(data) as (catalog, words):
        assert await found(words, catalog, "late") == []


async def test_a_commit_that_sqlite_does_not_know_of_is_repeated(data: Path):
    """As after a crash between the commit of the index and its acknowledgement."""
    async with open_database(data / DATABASE) as database:
        outbox, catalog = FullTextOutbox(database), Catalog(database)
        await publish(catalog, "/w/new.txt", ["a new seal"])
        batch = await outbox.pending(100)
        store = await asyncio.to_thread(WordStore.open, index_folder(data))
        await asyncio.to_thread(indexing._write, store, batch)
        await asyncio.to_thread(store.commit, batch[-1].seq)
        await asyncio.to_thread(store.close)
    before = index_folder(data)
    await check_whole_with(data, "a new seal")
    assert index_folder(data) == before
    assert len(await asyncio.to_thread(held, data)) == len(set(await asyncio.to_thread(held, data)))


async def test_a_migrated_database_is_searched_while_its_index_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with open_database(tmp_path / DATABASE) as database:
        catalog = Catalog(database)
        for number in range(30):
            texts = [f"walrus {number} {part}" for part in range(50)]
            await publish(catalog, f"/w/{number}.txt", texts)
    monkeypatch.setattr(indexing, "START_SECONDS", 3600.0)
    async with opened(tmp_path) as (catalog, words):
        result = await words.search_text("walrus 17 33", 3)
        assert result.notice is not None and "being rebuilt" in result.notice
        [first, *_] = await catalog.passages(result.hits)
        assert first.text == "walrus 17 33"
        await words.check()
        again = await words.search_text("walrus 17 33", 3)
        assert again.notice is None and again.hits[0].chunk_id == first.chunk_id


# --- crashes ------------------------------------------------------------------------------------

WRITER = """
import asyncio, sys
from pathlib import Path
from tests.unit.storage.test_full_text import opened, publish

async def main():
    async with opened(Path(sys.argv[1])) as (catalog, words):
        print("ready", flush=True)
        for number in range(100_000):
            texts = [f"text {number} {n}" for n in range(5)]
            await publish(catalog, f"/w/{number % 50}.txt", texts)
            await words.search_text("text", 1)

asyncio.run(main())
"""


def wait_for_change(path: Path, before: bytes) -> None:
    while path.exists() and path.read_bytes() == before:
        time.sleep(0.001)


@pytest.mark.skipif(os.name != "posix", reason="processes are killed by a signal")
@pytest.mark.seeds
async def test_a_killed_writer_loses_nothing(data: Path):
    for round in seeds(3, 12):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, str(data), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        # Until it has written something, then at some moment of a commit.
        commit = index_folder(data) / "meta.json"
        before = commit.read_bytes()
        await asyncio.to_thread(wait_for_change, commit, before)
        await asyncio.sleep(round * 0.014)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        async with opened(data) as (catalog, words):
            documents = await catalog.documents(1)
            for document in documents[:3]:
                [first, *_] = await catalog.passages_of(document.id)
                assert first.text in await found(words, catalog, first.text)
            await words.wait_until_current()
            ids = [r["id"] for r in await catalog._db.rows("SELECT id FROM chunks ORDER BY id")]
        assert await asyncio.to_thread(held, data) == ids


def write_again(data: Path, texts: Sequence[ChunkText], seq: int) -> None:
    store = WordStore.open(index_folder(data))
    store.write([], texts)
    store.commit(seq)
    store.close()


async def test_an_entry_that_a_crash_left_twice_is_removed(data: Path):
    async with open_database(data / DATABASE) as database:
        outbox = FullTextOutbox(database)
        state = await outbox.state()
        assert state is not None
        [row, *_] = await database.rows("SELECT id FROM chunks ORDER BY id")
        texts = await outbox.texts([row["id"]])
        await asyncio.to_thread(write_again, data, texts, state.seq)
        assert (await asyncio.to_thread(held, data)).count(row["id"]) == 2
        await publish(Catalog(database), "/w/new.md", ["saved, and not yet written"])
    async with opened(data) as (_, words):
        await words.wait_until_current()
    assert (await asyncio.to_thread(held, data)).count(row["id"]) == 1


# --- erasing ------------------------------------------------------------------------------------


def traces(data: Path, words: Sequence[str]) -> list[str]:
    """The files of the index that contain one of these words."""
    return [
        f"{path.name}: {word}"
        for path in (data / "full_text").rglob("*")
        if path.is_file()
        for word in words
        if word.encode() in path.read_bytes()
    ]


def dictionary(data: Path, beginning: str) -> list[str]:
    """The words in the dictionaries of the index, also those of removed chunks only.

    Dictionaries are compressed: their words are no sequences of bytes in the files.
    """
    searcher = WordStore.open(index_folder(data))._texts.searcher
    return [word for word, _ in searcher.terms_with_prefix(TEXT, beginning)]


async def test_nothing_of_an_erased_document_stays_in_the_files(tmp_path: Path):
    secrets, data = ["zyxomma", "quagswagging"], tmp_path
    async with opened(data) as (catalog, words):
        document = await publish(catalog, "/w/diary.txt", [" ".join(secrets), "a whale"])
        await publish(catalog, "/w/more.txt", [f"whale {number}" for number in range(20)])
        await words.wait_until_current()
        folder = index_folder(data)
        await catalog.erase_documents([document.id])
        await words.wait_until_current()
        assert await found(words, catalog, "zyx*") == []
        assert await asyncio.to_thread(dictionary, data, "zyx") == ["zyxomma"]
        files = set(folder.iterdir())
        await words.erase_deleted()
        assert await asyncio.to_thread(dictionary, data, "zyx") == []
        assert await asyncio.to_thread(dictionary, data, "quag") == []
        assert await asyncio.to_thread(traces, data, [*secrets, "diary"]) == []
        assert not files <= set(folder.iterdir())
        assert await found(words, catalog, "zyx*") == []
        assert index_folder(data) == folder
        assert len((await words.search_text("whale", 30)).hits) == 20


async def test_while_an_erased_document_leaves_the_index_everything_is_found(data: Path):
    async with opened(data) as (catalog, words):
        await words.check()
        folder = index_folder(data)
        document = await catalog.document("/w/2.txt")
        assert document is not None
        await catalog.erase_documents([document.id])
        async with asyncio.TaskGroup() as tasks:
            erasing = tasks.create_task(words.erase_deleted())
            while not erasing.done():
                result = await words.search_text("walrus", 100)
                assert (len(result.hits), result.notice) == (37, None)
    # It was merged, not built again.
    assert index_folder(data) == folder
    store = await asyncio.to_thread(WordStore.open, folder)
    assert await asyncio.to_thread(store.worn_segments) == set()
    await check_whole_with(data, "walrus number 17")


async def test_text_that_was_written_but_never_committed_is_erased_too(data: Path):
    async with open_database(data / DATABASE) as database:
        await publish(Catalog(database), "/w/diary.txt", ["zyxomma " * 5])
        batch = await FullTextOutbox(database).pending(100)
        store = await asyncio.to_thread(WordStore.open, index_folder(data))
        await asyncio.to_thread(indexing._write, store, batch)
        del store
    async with opened(data) as (catalog, words):
        document = await catalog.document("/w/diary.txt")
        assert document is not None
        await catalog.erase_documents([document.id])
        await words.erase_deleted()
        assert await asyncio.to_thread(dictionary, data, "zyx") == []
        store = await asyncio.to_thread(WordStore.open, index_folder(data))
        parts = {part.replace("-", "") for part in await asyncio.to_thread(store.segments)}
        names = {path.stem.split(".")[0] for path in index_folder(data).iterdir()}
        assert {name for name in names if len(name) == 32} == parts


async def test_no_text_is_stored_in_the_index(data: Path):
    async with opened(data) as (catalog, words):
        await publish(catalog, "/w/a.txt", ["the Quick-Brown fox, jumping"])
        await words.wait_until_current()
    assert await asyncio.to_thread(traces, data, ["Quick-Brown", "fox, jump"]) == []


# --- repair -------------------------------------------------------------------------------------


async def test_a_rebuild_begins_anew_and_says_how_many_chunks_it_holds(data: Path):
    before = index_folder(data)
    async with opened(data) as (_, words):
        assert await words.rebuild() == 78
    assert index_folder(data) != before
    await check_whole(data)


async def test_chunks_keep_being_found_when_only_their_place_changes(data: Path):
    async with opened(data) as (catalog, words):
        document = await publish(catalog, "/w/2.txt", ["a preface", "walrus number 2", "a whale"])
        assert len(await chunk_ids(catalog, document)) == 3
        assert "walrus number 2" in await found(words, catalog, "walrus 2")
        assert await found(words, catalog, "preface") == ["a preface"]


def test_the_stored_state_names_the_index_and_its_last_commit(data: Path):
    with contextlib.closing(sqlite3.connect(data / DATABASE)) as database:
        [(stored,)] = database.execute("SELECT value FROM settings WHERE key = 'full_text_index'")
    state = json.loads(stored)
    meta = json.loads((index_folder(data) / "meta.json").read_bytes())
    assert (state["name"], state["commit"]) == (index_folder(data).name, meta["opstamp"])


async def test_the_event_loop_goes_on_while_the_index_is_written(
    database: Database, catalog: Catalog, tmp_path: Path
):
    for number in range(10):
        await publish(catalog, f"/w/{number}.txt", [f"text {number} {n}" for n in range(100)])
    async with background_tasks() as tasks:
        async with open_full_text(database, tmp_path / "full_text", tasks) as words:
            writing = tasks.create_task(words.rebuild())
            steps = 0
            while not writing.done():
                await asyncio.sleep(0)
                steps += 1
            assert writing.result() == 1_000 and steps > 100
