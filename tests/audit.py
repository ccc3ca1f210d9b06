"""Check an index: is it consistent, and equal to a new index of the same files?

Reads the files of a data directory, also while an engine uses it.
"""

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tantivy

from allma_server.config import Config
from allma_server.engine import DATABASE, FULL_TEXT, VECTORS, open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.storage.full_text.fields import CHUNK, TEXT
from allma_server.storage.full_text.store import WordStore
from allma_server.storage.vectors.stores import chroma_health
from allma_server.types import LOCAL

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content of an index, without ids and times, which differ between equal indexes.

    `documents`: columns by path. `chunks`: text and location, in order, by path. `words`: by
    which full-text search finds a chunk, by path and chunk index.
    """

    documents: Mapping[str, Row]
    chunks: Mapping[str, Sequence[Row]]
    words: Mapping[tuple[str, int], frozenset[str]]


def snapshot(data: Path) -> Snapshot:
    """Read the index of a data directory."""
    with _opened(data / DATABASE) as database:
        documents = {
            path: tuple(values)
            for path, *values in database.execute(
                "SELECT path, name, format, size, mtime_ns, content_hash, state, reason, title, "
                "metadata, chunks FROM documents"
            )
        }
        locations: dict[int, tuple[str, int]] = {}
        chunks: dict[str, list[Row]] = {path: [] for path in documents}
        for id, path, index, *values in database.execute(
            "SELECT c.id, d.path, c.chunk_index, c.text, c.context, c.heading, c.text_hash, "
            "c.start_offset, c.end_offset, c.start_line, c.end_line, c.page "
            "FROM chunks c JOIN documents d ON d.id = c.document_id ORDER BY d.path, c.chunk_index"
        ):
            locations[id] = path, index
            chunks[path].append((index, *values))
    # In a thread, because tests call this in an event loop, which nothing of Allma may block.
    with ThreadPoolExecutor() as thread:
        words = thread.submit(_words, data, locations).result()
    return Snapshot(documents, chunks, words)


def _words(
    data: Path, locations: Mapping[int, tuple[str, int]]
) -> Mapping[tuple[str, int], frozenset[str]]:
    """Return the words by which full-text search finds each chunk."""
    words: dict[tuple[str, int], set[str]] = {location: set() for location in locations.values()}
    if (store := _word_store(data)) is not None:
        for word, _ in store._texts.searcher.terms_with_prefix(TEXT, ""):
            query = tantivy.Query.term_query(store._schema, TEXT, word)
            hits = store._texts.searcher.search(query, 100_000).hits
            addresses = [address for _, address in hits]
            for value in store._texts.searcher.fast_field_values(CHUNK, addresses):
                id = int(value or 0)
                words.setdefault(locations.get(id, ("no chunk", id)), set()).add(word)
    return {location: frozenset(found) for location, found in words.items()}


def _indexed_chunks(data: Path) -> list[int]:
    store = _word_store(data)
    return sorted(store.chunks_in(store.segments(), store.entries)) if store is not None else []


def _word_store(data: Path) -> WordStore | None:
    """Open the full-text index that the database names; None before there is one."""
    with _opened(data / DATABASE) as database:
        row = database.execute(
            "SELECT value FROM settings WHERE key = 'full_text_index'"
        ).fetchone()
    return None if row is None else WordStore.open(data / FULL_TEXT / json.loads(row[0])["name"])


def differences(index: Snapshot, other: Snapshot) -> list[str]:
    """Return the differences between two indexes, one sentence each."""
    found: list[str] = []
    for path in sorted(index.documents.keys() | other.documents.keys()):
        mine, theirs = index.documents.get(path), other.documents.get(path)
        if mine != theirs:
            found.append(f"{path}: document {mine} is not {theirs}")
        elif index.chunks[path] != other.chunks[path]:
            found.append(f"{path}: its chunks differ")
    for location in sorted(index.words.keys() | other.words.keys()):
        if index.words.get(location) != other.words.get(location):
            found.append(f"{location}: its words in full-text search differ")
    return found


def faults(data: Path, *, store: bool = True, vectors: bool = False) -> list[str]:
    """Return the inconsistencies of an index, one sentence each.

    The index must be idle: no change waits for a search index. `store`: it is in Chroma. `vectors`
    compares every vector there with the one in SQLite; no other process may have the store open.
    """
    with _opened(data / DATABASE) as database:
        found = list(_contradictions(database))
        stored = {
            str(id): vector
            for id, vector in database.execute(
                "SELECT c.id, e.vector FROM chunks c JOIN embeddings e "
                "ON e.text_hash = c.text_hash AND e.embedder_id = "
                "(SELECT max(id) FROM embedders)"
            )
        }
        chunks = [row[0] for row in database.execute("SELECT id FROM chunks")]
    with ThreadPoolExecutor() as thread:
        held = thread.submit(_indexed_chunks, data).result()
    if held != sorted(chunks):
        found.append(f"full-text search holds {len(held)} entries for {len(chunks)} chunks")
    directories = [d for d in (data / VECTORS).iterdir() if d.is_dir()]
    if not store and not directories:
        return found
    if len(directories) != 1:
        return [*found, f"the vector index has the folders {[d.name for d in directories]}"]
    [directory] = directories
    found += _chroma_contradictions(directory, stored.keys())
    if vectors:
        found += _vector_contradictions(directory, stored)
    return found


def _contradictions(database: sqlite3.Connection) -> Iterator[str]:
    checks = {
        "the database is damaged": (
            "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'"
        ),
        "a row violates a foreign key": "SELECT * FROM pragma_foreign_key_check",
        "a document has a wrong number of chunks": (
            "SELECT path FROM documents d WHERE chunks <> "
            "(SELECT count(*) FROM chunks c WHERE c.document_id = d.id)"
        ),
        "a document that is not indexed has chunks": (
            "SELECT path FROM documents WHERE state <> 'indexed' AND chunks > 0"
        ),
        "chunks are not numbered consecutively": (
            "SELECT document_id FROM chunks GROUP BY document_id "
            "HAVING min(chunk_index) <> 0 OR max(chunk_index) <> count(*) - 1"
        ),
        "a chunk has no vector": (
            "SELECT id FROM chunks c WHERE NOT EXISTS (SELECT 1 FROM embeddings e WHERE "
            "e.text_hash = c.text_hash AND e.embedder_id = (SELECT max(id) FROM embedders))"
        ),
        "a change is waiting for the full-text index": "SELECT chunk_id FROM full_text_outbox",
        "a change is waiting for the vector index": "SELECT chunk_id FROM vector_outbox",
    }
    for sentence, query in checks.items():
        if rows := database.execute(query).fetchmany(5):
            yield f"{sentence}: {rows}"


def _chroma_contradictions(directory: Path, wanted: "Mapping[str, bytes] | Any") -> Iterator[str]:
    with _opened(directory / "chroma.sqlite3") as chroma:
        ids = [row[0] for row in chroma.execute("SELECT embedding_id FROM embeddings")]
    if len(ids) != len(set(ids)):
        yield "Chroma has an id twice"
    if missing := set(wanted) - set(ids):
        yield f"Chroma lacks {len(missing)} chunks, such as {sorted(missing)[:5]}"
    if extra := set(ids) - set(wanted):
        yield f"Chroma has {len(extra)} ids without a chunk, such as {sorted(extra)[:5]}"
    try:
        chroma_health.inspect(directory)
    except chroma_health.TornIndex as exc:
        yield f"Chroma is torn: {exc}"


def _vector_contradictions(directory: Path, stored: Mapping[str, bytes]) -> Iterator[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.stored_vectors", str(directory)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        yield f"Chroma cannot be read: {done.stderr.decode()[-500:]}"
        return
    for line in done.stdout.splitlines():
        id, vector = json.loads(line)
        mine = np.frombuffer(stored.get(id, b""), "<f2").astype(np.float32)
        if mine.shape != (len(vector),) or not np.allclose(mine, vector, atol=1e-6):
            yield f"Chroma has another vector for {id}"
            return


async def fresh(config: Config, folders: Sequence[Path]) -> Snapshot:
    """Index the folders in a new data directory, and return the result."""
    with tempfile.TemporaryDirectory() as data:
        other = config.model_copy(update={"data_dir": Path(data), "watch": False})
        async with open_engine(other) as engine:
            await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(f) for f in folders]})
            await engine.full_text.wait_until_current()
        return await asyncio.to_thread(snapshot, Path(data))


@contextlib.contextmanager
def _opened(path: Path) -> Generator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        yield connection
