"""One writer, several readers, atomic transactions, and errors of the disk."""

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from allma_server.errors import (
    DataDamaged,
    DataDirectoryBusy,
    DataDirectoryTooNew,
    DiskFull,
    StorageError,
)
from allma_server.storage.lock import LOCK_FILE, data_directory_owned, own_data_directory
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.connection import Transaction
from allma_server.storage.sqlite.database import READERS, Database, open_database
from allma_server.storage.sqlite.migrations import MIGRATIONS, Migrating
from tests.unit.storage.corpus import publish, search_text

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT sum(x) FROM c"


async def settings(database: Database) -> set[str]:
    return {row["key"] for row in await database.rows("SELECT key FROM settings")}


async def put(tx: Transaction, key: str) -> None:
    await tx.execute("INSERT INTO settings VALUES (?, '')", (key,))


async def test_concurrent_transactions_are_atomic(database: Database):
    before = await settings(database)

    async def two(name: str) -> None:
        async with database.transaction() as tx:
            await put(tx, f"{name} first")
            await asyncio.sleep(0)
            if name == "bad":
                raise ValueError(name)
            await put(tx, f"{name} second")

    names = ["a", "bad", "b", "c"]
    outcomes = await asyncio.gather(*map(two, names), return_exceptions=True)
    assert [type(o) for o in outcomes] == [type(None), ValueError, type(None), type(None)]
    written = await settings(database) - before
    assert written == {f"{name} {part}" for name in "abc" for part in ("first", "second")}


@pytest.mark.parametrize("steps", range(12))
async def test_a_cancelled_transaction_is_atomic_and_the_next_works(database: Database, steps: int):
    before = await settings(database)

    async def two() -> None:
        async with database.transaction() as tx:
            await put(tx, "first")
            await put(tx, "second")

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(two())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
    async with database.transaction() as tx:
        await put(tx, "next")
    assert await settings(database) - before in ({"next"}, {"first", "second", "next"})


async def test_cancelling_interrupts_a_long_statement(database: Database):
    async def write() -> None:
        async with database.transaction() as tx:
            await tx.rows(ENDLESS)

    async with asyncio.TaskGroup() as tasks:
        endless: list[asyncio.Task[Any]] = [
            tasks.create_task(database.rows(ENDLESS)) for _ in range(5)
        ]
        endless.append(tasks.create_task(write()))
        # Long enough for the statements to run in their threads.
        await asyncio.wait(endless, timeout=0.2)
        for task in endless:
            task.cancel()
    async with asyncio.timeout(5):
        assert await asyncio.gather(*(settings(database) for _ in range(6)))
        async with database.transaction() as tx:
            await put(tx, "after")


async def test_a_reader_that_met_a_damaged_text_goes_on_after_an_interruption(database: Database):
    failures: list[Exception] = []
    for _ in range(READERS):
        with pytest.raises(DataDamaged) as failed:
            await database.rows("SELECT CAST(x'ff' AS TEXT) UNION ALL SELECT 'sound'")
        failures.append(failed.value)  # as a log or another exception keeps it
    async with asyncio.TaskGroup() as tasks:
        endless = [tasks.create_task(database.rows(ENDLESS)) for _ in range(READERS)]
        await asyncio.wait(endless, timeout=0.2)
        for task in endless:
            task.cancel()
    for _ in range(READERS):
        assert len(await database.rows("SELECT 1")) == 1


async def test_readers_see_the_last_committed_state_during_a_write(database: Database):
    async with database.transaction() as tx:
        await put(tx, "unseen")
        assert "unseen" not in await settings(database)
    assert "unseen" in await settings(database)


async def test_closing_leaves_one_file(tmp_path: Path):
    async with open_database(tmp_path / "a.sqlite3") as database:
        await database.rows("SELECT 1")
    assert os.listdir(tmp_path) == ["a.sqlite3"]


async def test_a_path_with_uri_characters_is_opened(tmp_path: Path):
    directory = tmp_path / "100% ä?x=1#y"
    directory.mkdir()
    async with open_database(directory / "a.sqlite3"):
        pass
    assert os.listdir(directory) == ["a.sqlite3"]


def schema(path: Path) -> set[str]:
    with sqlite3.connect(path) as connection:
        found = {row[0] for row in connection.execute("SELECT sql FROM sqlite_schema")}
    connection.close()
    return found


FIRST_VERSION = (
    "INSERT INTO workspaces VALUES (1, '/w', '')",
    """
    INSERT INTO documents VALUES
      (1, 1, '/w/a.txt', 'w a.txt', 'text', 9, 1, 1, 'hash', 'indexed', NULL, 'a', '{}', 1, '')
    """,
    "INSERT INTO chunks VALUES (1, 1, 0, 'kept text', '', 0, 9, 1, 1, NULL, '[]', x'00')",
    "CREATE VIRTUAL TABLE chunks_fts USING fts5 (name, heading, text, content = '')",
    "CREATE VIRTUAL TABLE chunks_terms USING fts5vocab (chunks_fts, row)",
    "INSERT INTO chunks_fts (rowid, name, heading, text) VALUES (1, 'w a.txt', '[]', 'kept text')",
)
"""A document as the first version stored it."""


async def make_first_version(path: Path) -> None:
    async with open_database(path, MIGRATIONS[:1]) as database:
        async with database.transaction() as tx:
            for statement in FIRST_VERSION:
                await tx.execute(statement)


async def test_a_migrated_database_has_the_current_schema(tmp_path: Path):
    await make_first_version(tmp_path / "old.sqlite3")
    async with open_database(tmp_path / "old.sqlite3") as database:
        assert await search_text(Catalog(database), "kept", 5)
    async with open_database(tmp_path / "new.sqlite3"):
        pass
    assert schema(tmp_path / "old.sqlite3") == schema(tmp_path / "new.sqlite3")


async def test_a_migration_keeps_a_backup_until_something_is_forgotten(
    tmp_path: Path,
):
    path = tmp_path / "a.sqlite3"
    await make_first_version(path)
    assert os.listdir(tmp_path) == ["a.sqlite3"]
    async with open_database(path):
        pass
    backup = tmp_path / "a.sqlite3.backup"
    with sqlite3.connect(backup) as former:
        assert former.execute("PRAGMA user_version").fetchone() == (1,)
        assert "kept" in former.execute("SELECT text FROM chunks").fetchone()[0]
    former.close()
    assert os.name != "posix" or backup.stat().st_mode & 0o077 == 0
    written = backup.stat().st_mtime_ns
    async with open_database(path) as database:
        assert backup.stat().st_mtime_ns == written
        await Catalog(database).empty_log()
    assert os.listdir(tmp_path) == ["a.sqlite3"]


async def test_a_damaged_database_is_not_migrated(tmp_path: Path):
    path = tmp_path / "a.sqlite3"
    await make_first_version(path)
    with sqlite3.connect(path) as opened:
        opened.executemany(
            "INSERT INTO settings VALUES (?, ?)", [(f"key{n}", "x" * 900) for n in range(200)]
        )
    opened.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 :] = b"\xff" * (len(content) - 4096 * 3)
    path.write_bytes(content)
    with pytest.raises(DataDamaged):
        async with open_database(path):
            pass
    assert path.read_bytes()[4096 * 3 :] == content[4096 * 3 :]


async def test_a_failed_migration_leaves_the_database_unchanged(tmp_path: Path):
    path = tmp_path / "a.sqlite3"
    async with open_database(path):
        pass
    before = schema(path)

    async def half(tx: Migrating) -> None:
        await tx.execute("CREATE TABLE half (id)")
        await tx.execute("CREATE TABLE half (id)")

    with pytest.raises(StorageError, match="unchanged"):
        async with open_database(path, (*MIGRATIONS, half)):
            pass
    assert schema(path) == before
    async with open_database(path):
        pass


async def test_a_newer_data_directory_is_refused_with_the_next_step(tmp_path: Path):
    path = tmp_path / "a.sqlite3"

    async def later(tx: Migrating) -> None:
        await tx.execute("CREATE TABLE later (id)")

    async with open_database(path, (*MIGRATIONS, later)):
        pass
    with pytest.raises(DataDirectoryTooNew, match="Update Allma"):
        async with open_database(path):
            pass


@pytest.mark.parametrize("content", [b"not a database at all " * 100, b"SQLite format 3\0" * 300])
async def test_a_file_that_is_not_a_database_is_reported_with_the_next_step(
    tmp_path: Path, content: bytes
):
    path = tmp_path / "a.sqlite3"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="doctor --repair"):
        async with open_database(path):
            pass


async def test_a_damaged_page_is_an_expected_error(tmp_path: Path):
    path = tmp_path / "a.sqlite3"
    async with open_database(path) as database:
        await publish(Catalog(database), "/w/a.txt", [f"text {i}" * 50 for i in range(200)])
    content = bytearray(path.read_bytes())
    content[4096 * 3 :] = b"\xff" * (len(content) - 4096 * 3)
    path.write_bytes(content)
    with pytest.raises(StorageError):
        async with open_database(path) as database:
            await Catalog(database).documents(1)
            await database.rows("SELECT * FROM chunks")


async def test_a_full_disk_is_reported_and_reads_still_work(database: Database):
    catalog = Catalog(database)
    await publish(catalog, "/w/a.txt", ["a walrus"])
    [[pages]] = await database.rows("PRAGMA page_count")
    assert database._writer is not None
    await database._writer.execute_fetchall(f"PRAGMA max_page_count = {pages + 20}")
    with pytest.raises(DiskFull, match="Free some space"):
        await publish(catalog, "/w/b.txt", [f"large {i} " * 200 for i in range(200)])
    assert len(await search_text(catalog, "walrus", 5)) == 1
    assert await search_text(catalog, "large", 5) == []
    assert await catalog.document("/w/b.txt") is None
    await publish(catalog, "/w/c.txt", ["a small one"])


async def test_a_read_only_directory_is_reported(tmp_path: Path):
    with pytest.raises(StorageError, match="cannot be opened"):
        async with open_database(tmp_path / "missing" / "a.sqlite3"):
            pass
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        async with data_directory_owned(tmp_path / "file" / "data"):
            pass


def test_a_second_owner_of_a_data_directory_gets_the_pid_of_the_first(tmp_path: Path):
    path = tmp_path / "data"
    with own_data_directory(path):
        assert (path / LOCK_FILE).read_text() == f"{os.getpid()}\n"
        with (
            pytest.raises(DataDirectoryBusy, match=f"pid {os.getpid()}"),
            own_data_directory(path),
        ):
            pass
        assert (path / LOCK_FILE).read_text() == f"{os.getpid()}\n"
    with own_data_directory(path):
        pass


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_new_data_directory_is_private(tmp_path: Path):
    with own_data_directory(tmp_path / "a" / "data"):
        assert (tmp_path / "a" / "data").stat().st_mode & 0o777 == 0o700
