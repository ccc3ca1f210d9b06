"""An archive is data: it is refused with a message, or imported as rows."""

import asyncio
import contextlib
import os
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from allma_server.config import Config
from allma_server.engine import DATABASE, import_data, open_engine
from allma_server.errors import AllmaError, DataDirectoryTooNew, InvalidArgument
from allma_server.storage.archive.record_checks import TABLES
from allma_server.storage.archive.worker import convert_here
from allma_server.storage.sqlite.database import open_database
from tests.audit import snapshot
from tests.unit.indexing.test_ingestion import do, found

ARCHIVE = Path(__file__).parents[2] / "fixtures" / "version-0.1" / "archive.zip"
PROJECT = "/home/user/project"

ENDLESS = (
    "CREATE VIEW chunks AS WITH RECURSIVE c(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM c) "
    "SELECT id, 1 AS document_id, id AS chunk_index, 'x' AS text, '' AS context, 0 AS start_offset,"
    " 1 AS end_offset, 1 AS start_line, 1 AS end_line, NULL AS page, '[]' AS heading, "
    "x'00' AS text_hash FROM c"
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with zipfile.ZipFile(ARCHIVE) as packed:
        return Path(packed.extract("archive.allma", tmp_path))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data_dir=tmp_path / "data", chat_provider="scripted", watch=False)


def spoil(archive: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(archive)) as database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            database.execute(statement)
        database.commit()


def rebuild(table: str, columns: str, select: str) -> tuple[str, ...]:
    """Statements that give a table another form: without its constraints, with other columns."""
    return (
        "PRAGMA foreign_keys = OFF",
        f"ALTER TABLE {table} RENAME TO former",
        f"CREATE TABLE {table} ({columns})",
        f"INSERT INTO {table} {select} FROM former",
        "DROP TABLE former",
    )


_MESSAGES = "seq, id, conversation_id, role, content, model, created_at, grounding"

WRONG = {
    "a document outside": "UPDATE documents SET path = '/etc/shadow' WHERE id = 2",
    "a relative path": "UPDATE documents SET path = 'lamps.html' WHERE id = 2",
    "a path that climbs": f"UPDATE documents SET path = '{PROJECT}/../x/lamps.html' WHERE id = 2",
    "a path with a NUL": f"UPDATE documents SET path = '{PROJECT}/a' || char(0) WHERE id = 2",
    "a sibling of the folder": f"UPDATE documents SET path = '{PROJECT}s/x' WHERE id = 2",
    "a workspace of the system": "UPDATE workspaces SET path = '/etc/ssl'",
    "the root": "UPDATE workspaces SET path = '/'",
    "a folder too broad": "UPDATE workspaces SET path = '/home'",
    "a state": "UPDATE documents SET state = 'open' WHERE id = 2",
    "a format": "UPDATE documents SET format = 'abc' WHERE id = 2",
    "a size as text": "UPDATE documents SET size = 'many' WHERE id = 2",
    "a negative size": "UPDATE documents SET size = -1 WHERE id = 2",
    "metadata that is no JSON": "UPDATE documents SET metadata = '{' WHERE id = 2",
    "metadata of another shape": "UPDATE documents SET metadata = '[1]' WHERE id = 2",
    "metadata too deep": "UPDATE documents SET metadata = replace(hex(zeroblob(50000)), '0', '[')",
    "a hash of blanks": "UPDATE documents SET content_hash = '   ' WHERE id = 2",
    "a text as a blob": "UPDATE chunks SET text = x'ff00' WHERE id = 1",
    "a text that is not UTF-8": "UPDATE chunks SET text = CAST(x'ff41ff' AS TEXT) WHERE id = 1",
    "a lone surrogate": "UPDATE chunks SET text = CAST(x'eda080' AS TEXT) WHERE id = 1",
    "a line as a fraction": "UPDATE chunks SET start_line = 1.5 WHERE id = 1",
    "a heading that is no list": "UPDATE chunks SET heading = '\"x\"' WHERE id = 1",
    "a chunk of no document": "UPDATE chunks SET document_id = 999 WHERE id = 1",
    "too few chunks": "DELETE FROM chunks WHERE id = 1",
    "too many chunks": "UPDATE documents SET chunks = 0 WHERE id = 2",
    "an id beyond all": "UPDATE chunks SET id = 9223372036854775807 WHERE id = 1",
    "half a vector": "UPDATE embeddings SET vector = x'00' WHERE id = 1",
    "a vector of another length": "UPDATE embeddings SET vector = x'0000' WHERE id = 1",
    "a vector that is not finite": "UPDATE embeddings SET vector = x'007e' || substr(vector, 3)",
    "a vector of no embedder": "UPDATE embeddings SET embedder_id = 9 WHERE id = 1",
    "an embedder that is none": "UPDATE settings SET value = 'evil/x' WHERE key = 'embedder'",
    "a message of no conversation": "UPDATE messages SET conversation_id = 'f00' WHERE seq = 1",
    "a source of no message": "UPDATE message_sources SET message_id = 'f00' WHERE id = 1",
    "a source without a place": "UPDATE message_sources SET path = 'x' WHERE id = 1",
    "a score that is none": "UPDATE message_sources SET relevance_score = 9e999 WHERE id = 1",
    "a moment that is none": "UPDATE conversations SET updated_at = 'now'",
    "an id with signs": "UPDATE conversations SET id = '../x' WHERE id = (SELECT min(id) FROM "
    "conversations)",
    "a grounding": "UPDATE messages SET grounding = 'sure' WHERE seq = 2",
    "a trigger": "CREATE TRIGGER copy AFTER DELETE ON chunks BEGIN INSERT INTO settings VALUES "
    "(old.text, ''); END",
    "a view": "CREATE VIEW more AS SELECT 1",
    "no manifest": "DROP TABLE manifest",
    "an empty manifest": "DELETE FROM manifest",
    "half a manifest": "DELETE FROM manifest WHERE key = 'version'",
    "a format that is no number": "UPDATE manifest SET value = 'abc' WHERE key = 'format'",
    "a format as a blob": "UPDATE manifest SET value = x'31' WHERE key = 'format'",
    "no schema": "PRAGMA user_version = 0",
    "a schema before the first": "PRAGMA user_version = -3",
    "a missing table": "DROP TABLE message_sources",
}
"""One statement that spoils an archive."""

SPOILT: dict[str, tuple[str, ...]] = {
    **{name: (statement,) for name, statement in WRONG.items()},
    "a missing column": ("ALTER TABLE messages DROP COLUMN grounding",),
    "a view in the place of a table": ("PRAGMA foreign_keys = OFF", "DROP TABLE chunks", ENDLESS),
    "a computed column": rebuild(
        "conversations",
        "id, created_at, updated_at, title AS (hex(zeroblob(10)))",
        "SELECT id, created_at, updated_at",
    ),
    "a table without types": rebuild(
        "messages",
        _MESSAGES,
        "SELECT seq, id, conversation_id, role, content, model, created_at, 1",
    ),
    "a role": rebuild(
        "messages",
        _MESSAGES,
        "SELECT seq, id, conversation_id, 'root', content, model, created_at, grounding",
    ),
    "an id given twice": rebuild(
        "conversations",
        "id, title, created_at, updated_at",
        "SELECT 'a', title, created_at, updated_at",
    ),
    "a table that SQLite does not keep": (
        "DROP TABLE settings",
        "CREATE VIRTUAL TABLE settings USING fts5(key, value)",
    ),
    "rows that are not numbered": rebuild(
        "settings", "key TEXT, value TEXT, other DEFAULT (randomblob(1e9))", "SELECT key, 7, 1"
    ),
}


@pytest.mark.invariant(19)
@pytest.mark.parametrize("name", SPOILT)
async def test_rows_that_allma_never_writes_are_refused(
    name: str, archive: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(archive, *SPOILT[name])

    # In this process, for speed; the next test has the real one.
    monkeypatch.setattr("allma_server.storage.archive.archive.convert", convert_here)
    with pytest.raises(AllmaError) as refused:
        await import_data(str(archive), config.data_dir, replace=False)
    assert isinstance(refused.value, InvalidArgument), refused.value
    assert config.data_dir.name not in os.listdir(config.data_dir.parent)


def endless_pages(archive: Path) -> None:
    """A table whose inner pages refer to each other."""
    spoil(
        archive,
        *["INSERT INTO settings SELECT hex(randomblob(60)), hex(randomblob(900)) FROM chunks"] * 40,
    )
    with contextlib.closing(sqlite3.connect(archive)) as database:
        [[root]] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'settings'")
    content = bytearray(archive.read_bytes())
    begin = (root - 1) * 4096
    assert content[begin] == 5  # an inner page
    for cell in range(int.from_bytes(content[begin + 3 : begin + 5], "big")):
        at = begin + int.from_bytes(content[begin + 12 + 2 * cell : begin + 14 + 2 * cell], "big")
        content[at : at + 4] = root.to_bytes(4, "big")
    archive.write_bytes(content)


def a_schema_without_end(archive: Path) -> None:
    with contextlib.closing(sqlite3.connect(archive)) as database:
        database.execute("PRAGMA writable_schema = ON")
        columns = ", ".join(f"c{number}" for number in range(1500))
        for number in range(3000):
            sql = f"CREATE TABLE t{number} ({columns})"
            database.execute(
                "INSERT INTO sqlite_master VALUES ('table', ?, ?, 2, ?)",
                (f"t{number}", f"t{number}", sql),
            )
        database.commit()


def cut(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:60_000])


def another_file(archive: Path) -> None:
    archive.write_bytes(b"PK\x03\x04" + bytes(5000))


def nothing(archive: Path) -> None:
    archive.write_bytes(b"")


def only_a_header(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:100])


def a_pipe(archive: Path) -> None:
    archive.unlink()
    os.mkfifo(archive)


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX's")
@pytest.mark.parametrize(
    "spoiling",
    [
        endless_pages,
        a_schema_without_end,
        cut,
        another_file,
        nothing,
        only_a_header,
        a_pipe,
    ],
)
async def test_a_hostile_file_is_refused_and_the_data_is_kept(
    spoiling: Callable[[Path], None],
    archive: Path,
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as quick:
        quick.setattr("allma_server.storage.archive.archive.convert", convert_here)
        await import_data(str(archive), config.data_dir, replace=False)
    before = await asyncio.to_thread(snapshot, config.data_dir)
    await asyncio.to_thread(spoiling, archive)
    async with asyncio.timeout(60):
        with pytest.raises(InvalidArgument):
            await import_data(str(archive), config.data_dir, replace=True)
    assert await asyncio.to_thread(snapshot, config.data_dir) == before
    leftovers = [name for name in os.listdir(config.data_dir) if "import" in name or "form" in name]
    assert leftovers == []


async def test_a_newer_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    spoil(archive, "UPDATE manifest SET value = '2' WHERE key = 'format'")
    with pytest.raises(DataDirectoryTooNew):
        await convert_here(archive, tmp_path / "draft")


async def test_what_is_imported_is_another_engine_for_a_cluster(
    archive: Path, config: Config
) -> None:
    spoil(archive, "INSERT INTO settings VALUES ('share_owner', 'of the exporting engine')")
    await import_data(str(archive), config.data_dir, replace=False)
    async with open_engine(config) as engine:
        assert await engine.sharing.shares.owner() != "of the exporting engine"


async def test_unknown_contents_of_an_archive_are_ignored(archive: Path, config: Config) -> None:
    spoil(
        archive,
        "INSERT INTO settings VALUES ('forgetting', '/home/user/project')",
        "INSERT INTO settings VALUES ('unknown', 'x')",
        "INSERT INTO jobs VALUES ('j', 'ingest', 'running', '', 0, 1, '', '2026-01-01', NULL)",
        "CREATE TABLE more (text)",
        "INSERT INTO more VALUES ('hidden away')",
    )
    archive.with_name(f"{archive.name}-wal").write_bytes(b"not a log")
    await import_data(str(archive), config.data_dir, replace=False)
    with contextlib.closing(sqlite3.connect(config.data_dir / DATABASE)) as database:
        keys = {key for (key,) in database.execute("SELECT key FROM settings")}
        jobs = database.execute("SELECT count(*) FROM jobs").fetchone()
    assert keys == {"embedder", "chat_model", "forgotten"}
    assert jobs == (0,)
    assert b"hidden away" not in (config.data_dir / DATABASE).read_bytes()


@pytest.mark.invariant(19)
async def test_nothing_of_an_imported_folder_is_read_before_it_is_indexed(
    config: Config, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    (folder / "sub").mkdir(parents=True)
    (folder / "sea.md").write_text("The sea is salty.\n")
    (folder / "sub" / "moon.md").write_text("The moon pulls the tides.\n")
    file = tmp_path / "copy.allma"
    origin = config.model_copy(
        update={"data_dir": tmp_path / "origin", "embedder": "hashing/words-256"}
    )
    async with open_engine(origin) as engine:
        await do(engine, "ingest", paths=[str(folder)])
        await do(engine, "export", path=str(file))

    (folder / "sea.md").write_text("The sea is a secret now.\n")
    (folder / "sub" / "new.md").write_text("A new file about whales.\n")
    report = await import_data(str(file), config.data_dir, replace=False)
    assert report.workspaces == [str(folder)]
    async with open_engine(config) as engine:
        engine.ingestion.start_monitoring()
        result = await do(engine, "search", query="salty sea")
        assert [(p.text, p.stale) for p in result.passages][0] == ("The sea is salty.", False)
        excerpt = await do(engine, "read", source=str(folder / "sea.md"))
        assert (excerpt.text, excerpt.source) == ("The sea is salty.", "index")
        assert (await do(engine, "sync")).unchanged == 0
        [workspace] = (await do(engine, "status")).workspaces
        assert (workspace.approved, workspace.watching, workspace.documents) == (False, False, 2)
        with pytest.raises(AllmaError):
            await do(engine, "sync", path=str(folder))

        # A part of it is approved, and only that is read.
        await do(engine, "ingest", paths=[str(folder / "sub")])
        assert "new.md" in await found(engine, "whales")
        assert (await do(engine, "read", source=str(folder / "sea.md"))).source == "index"

        report = await do(engine, "ingest", paths=[str(folder)])
        assert (report.updated, report.unchanged) == (1, 2)
        excerpt = await do(engine, "read", source=str(folder / "sea.md"))
        assert (excerpt.text, excerpt.source) == ("The sea is a secret now.", "disk")
        [workspace] = (await do(engine, "status")).workspaces
        assert (workspace.path, workspace.approved) == (str(folder), True)


async def test_an_imported_folder_can_be_forgotten_unread(archive: Path, config: Config) -> None:
    await import_data(str(archive), config.data_dir, replace=False)
    async with open_engine(config) as engine:
        report = await do(engine, "forget", path=PROJECT)
        assert report.documents == 6 and report.workspace_removed
        assert (await do(engine, "status")).workspaces == []


async def test_new_rows_take_no_id_that_an_imported_answer_cites(
    archive: Path, tmp_path: Path
) -> None:
    spoil(archive, "UPDATE message_sources SET chunk_id = 5000, document_id = 600 WHERE id = 1")
    await convert_here(archive, tmp_path / "draft")
    with contextlib.closing(sqlite3.connect(tmp_path / "draft")) as database:
        following = dict(database.execute("SELECT name, seq FROM sqlite_sequence"))
    assert (following["chunks"], following["documents"]) == (5000, 600)


async def test_the_checked_columns_are_those_of_the_schema(tmp_path: Path) -> None:
    async with open_database(tmp_path / "a.sqlite3") as database:
        for table, columns in TABLES.items():
            found = await database.rows(f"PRAGMA table_info({table})")
            assert [row["name"] for row in found] == [column.name for column in columns], table
        tables = await database.rows(
            "SELECT name FROM pragma_table_list WHERE type = 'table' AND schema = 'main'"
        )
        # What is made anew, or belongs to the place.
        outboxes = {"vector_outbox", "full_text_outbox", "share_outbox"}
        here = {"jobs", "credentials", "shares", "recognised_pages"}
        others = {"sqlite_schema", "sqlite_sequence"} | here | outboxes
        assert {row["name"] for row in tables} == set(TABLES) | others


SECRET = "glpat-Zk7Qm2Vx9Lp4Rt6Wn8Yd"


async def test_secrets_of_an_archive_are_masked_before_they_are_indexed(
    archive: Path, config: Config, tmp_path: Path
) -> None:
    spoil(
        archive,
        f"UPDATE chunks SET text = text || ' token {SECRET}' WHERE id = 1",
        f"UPDATE message_sources SET text = 'see {SECRET}'",
        f"""UPDATE chunks SET heading = '["{SECRET}"]' WHERE id = 2""",
    )
    await import_data(str(archive), config.data_dir, replace=False)
    async with open_engine(config) as engine:
        for query in (SECRET, SECRET.partition("-")[2]):
            passages = (await do(engine, "search", query=query)).passages
            assert not any("[secret: " in passage.text for passage in passages)
        await do(engine, "export", path=str(tmp_path / "again.allma"))
    for file in (config.data_dir / DATABASE, tmp_path / "again.allma"):
        content = file.read_bytes()
        assert SECRET.encode() not in content and b"[secret: gitlab token]" in content
        assert SECRET.lower().partition("-")[2].encode() not in content


async def test_secrets_are_kept_where_the_settings_say_so(archive: Path, config: Config) -> None:
    spoil(archive, f"UPDATE chunks SET text = '{SECRET}' WHERE id = 1")
    await import_data(str(archive), config.data_dir, replace=False, mask=False)
    assert SECRET.encode() in (config.data_dir / DATABASE).read_bytes()
