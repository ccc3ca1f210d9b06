"""Write rows from elsewhere into a new database of the current schema.

They come from an archive (`reader.py`), where one wrong row refuses the whole file, or from a
damaged database (`page_reader.py`), where wrong rows are left out and contradictions are repaired.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allma_server._internal.paths import is_inside
from allma_server.errors import InvalidArgument
from allma_server.storage.archive.page_reader import Row
from allma_server.storage.archive.record_checks import ALL_TABLES, wrong_column
from allma_server.storage.sqlite import rows
from allma_server.storage.sqlite.connection import Transaction
from allma_server.storage.sqlite.database import open_database
from allma_server.storage.sqlite.full_text_outbox import FILL_OUTBOX
from allma_server.types import FIRST_UNSAVED

Batch = tuple[str, list[tuple[Any, ...]]]
"""A table and some of its rows, with columns in the order of `ALL_TABLES`."""

BATCH_ROWS = 500

IMPORTED_SETTINGS = ("embedder", "embedder_facts", "chat_model", "forgotten")
"""Keys of another data directory's decisions that hold here too."""

_LOCAL_SETTINGS = ("tokens_version", "vector_collection", "vector_index_id", "full_text_index")

_ORPHANS = """
    DELETE FROM documents WHERE workspace_id NOT IN (SELECT id FROM workspaces);
    DELETE FROM chunks WHERE document_id NOT IN (SELECT id FROM documents);
    DELETE FROM embeddings WHERE embedder_id NOT IN (SELECT id FROM embedders);
    UPDATE chunks SET refused_by = NULL WHERE refused_by NOT IN (SELECT id FROM embedders);
    DELETE FROM message_sources WHERE message_id NOT IN (SELECT id FROM messages);
    DELETE FROM summaries WHERE conversation_id NOT IN (SELECT id FROM conversations)
      OR until NOT IN (SELECT id FROM messages)
"""

# A document with missing chunks is read again from the disk.
_INCOMPLETE = """
    UPDATE documents AS d SET content_hash = '', mtime_ns = 0,
      chunks = (SELECT count(*) FROM chunks c WHERE c.document_id = d.id)
    WHERE chunks <> (SELECT count(*) FROM chunks c WHERE c.document_id = d.id)
"""

_MISMATCHED_VECTORS = """
    DELETE FROM embeddings AS e WHERE length(vector) <> (
      SELECT length(o.vector) FROM embeddings o WHERE o.embedder_id = e.embedder_id
      GROUP BY length(o.vector) ORDER BY count(*) DESC LIMIT 1)
"""

# Messages whose conversation is lost get a new one, titled with their first words.
_LOST_CONVERSATIONS = """
    INSERT INTO conversations (id, title, created_at, updated_at) SELECT conversation_id, coalesce(
      (SELECT substr(content, 1, 79) FROM messages f WHERE f.conversation_id = m.conversation_id
       ORDER BY seq LIMIT 1), ''), min(created_at), max(created_at)
    FROM messages m WHERE conversation_id NOT IN (SELECT id FROM conversations)
    GROUP BY conversation_id
"""

# All that is shared is compared with what the cluster holds.
_UNKNOWN_IN_CLUSTER = "UPDATE shares SET collection = '', published = 0"

_CONTRADICTIONS = {
    "a document has another number of chunks than it states": (
        "SELECT 1 FROM documents d WHERE chunks <> "
        "(SELECT count(*) FROM chunks c WHERE c.document_id = d.id) LIMIT 1"
    ),
    "a document that is not indexed has text": (
        "SELECT 1 FROM documents WHERE state <> 'indexed' AND chunks > 0 LIMIT 1"
    ),
    "vectors of one embedder differ in length": (
        "SELECT 1 FROM embeddings GROUP BY embedder_id "
        "HAVING min(length(vector)) <> max(length(vector)) LIMIT 1"
    ),
}


class InvalidRow(InvalidArgument):
    """A row holds something that Allma never writes."""


@dataclass(frozen=True, slots=True)
class ImportedData:
    """What a new database holds."""

    documents: int
    conversations: int
    messages: int
    workspaces: list[str] = field(default_factory=list[str])
    formats: list[str] = field(default_factory=list[str])
    embedder: str | None = None


async def fill(draft: Path, batches: Iterable[Batch], *, repair: bool) -> ImportedData:
    """Create the database `draft` from these rows; with `repair`, from the valid ones.

    Raises:
        InvalidArgument: without `repair`, a row contradicts another.
        DiskFull, StorageError: it cannot be written.
    """
    async with open_database(draft) as database:
        async with database.transaction() as tx:
            await tx.execute("PRAGMA defer_foreign_keys = ON")
            for table, batch in batches:
                await tx.many(_insertion(table, len(batch[0]), repair=repair), batch)
            await (_repair(tx) if repair else _refuse_contradictions(tx))
            await _reserve_cited_ids(tx)
            await tx.execute(FILL_OUTBOX)
            return await _imported(tx)


def checked(table: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """Return a row of an archive as a tuple, checked.

    Raises:
        InvalidRow: it holds something that Allma never writes.
    """
    if (column := wrong_column(table, values)) is not None:
        raise InvalidRow(f"{table}.{column} holds something that Allma never writes")
    return tuple(values)


def recognised(found: Iterable[Row]) -> Iterator[Batch]:
    """Assign rows without column names to the tables they fit; leave out the others."""
    pending: dict[tuple[str, int], list[tuple[Any, ...]]] = {}
    for row in found:
        if (known := _recognised(row)) is None:
            continue
        table, values = known
        key = table, len(values)
        pending.setdefault(key, []).append(values)
        if len(pending[key]) == BATCH_ROWS:
            yield table, pending.pop(key)
    for (table, _), batch in pending.items():
        yield table, batch


def _recognised(row: Row) -> tuple[str, tuple[Any, ...]] | None:
    row_id, values = row
    for table, columns in ALL_TABLES.items():
        if not _initial_width(table) <= len(values) <= len(columns):
            continue
        # A numeric key is the row's id, and SQLite does not store it twice.
        keyed = values[0] is None and columns[0].name in ("id", "seq")
        whole = (row_id, *values[1:]) if keyed else tuple(values)
        if wrong_column(table, whole) is None:
            return None if table == "settings" and whole[0] in _LOCAL_SETTINGS else (table, whole)
    return None


def _initial_width(table: str) -> int:
    """Return how many columns a table had in the first schema."""
    columns = ALL_TABLES[table]
    return sum(column.since == 1 for column in columns) or len(columns)


def _insertion(table: str, width: int, *, repair: bool) -> str:
    names = ", ".join(column.name for column in ALL_TABLES[table][:width])
    marks = ", ".join("?" * width)
    return f"INSERT {'OR IGNORE ' if repair else ''}INTO {table} ({names}) VALUES ({marks})"


async def _repair(tx: Transaction) -> None:
    await tx.execute(_LOST_CONVERSATIONS)
    for statement in (
        *_ORPHANS.split(";"),
        _INCOMPLETE,
        _MISMATCHED_VECTORS,
        _UNKNOWN_IN_CLUSTER,
    ):
        await tx.execute(statement)


async def _refuse_contradictions(tx: Transaction) -> None:
    for sentence, query in _CONTRADICTIONS.items():
        if await tx.row(query) is not None:
            raise InvalidRow(sentence)
    for row in await tx.rows(
        "SELECT d.path, w.path AS workspace FROM documents d "
        "JOIN workspaces w ON w.id = d.workspace_id"
    ):
        if not is_inside(row["path"], row["workspace"]):
            raise InvalidRow(f"the document {row['path']} is in none of its workspaces")


async def _reserve_cited_ids(tx: Transaction) -> None:
    """Make sure that no new document or chunk gets an id that an old answer cites."""
    for table, column in (("documents", "document_id"), ("chunks", "chunk_id")):
        row = await tx.row(
            f"SELECT coalesce(max({column}), 0) AS id FROM message_sources WHERE {column} < ?",
            (FIRST_UNSAVED,),
        )
        cited = row["id"] if row else 0
        await tx.execute(
            "INSERT INTO sqlite_sequence (name, seq) SELECT ?1, 0 "
            "WHERE ?1 NOT IN (SELECT name FROM sqlite_sequence)",
            (table,),
        )
        await tx.execute(
            "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (cited, table)
        )


async def _imported(tx: Transaction) -> ImportedData:
    async def column(sql: str) -> list[Any]:
        return [row[0] for row in await tx.rows(sql)]

    [documents] = await column("SELECT count(*) FROM documents WHERE state = 'indexed'")
    [conversations] = await column("SELECT count(*) FROM conversations")
    [messages] = await column("SELECT count(*) FROM messages")
    embedder = await column("SELECT value FROM settings WHERE key = 'embedder'")
    return ImportedData(
        documents,
        conversations,
        messages,
        [rows.shown_path(path) for path in await column("SELECT path FROM workspaces")],
        await column("SELECT DISTINCT format FROM documents"),
        embedder[0] if embedder else None,
    )
