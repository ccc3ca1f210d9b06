"""Measure what grows with the number of files: see `scale.py --files`.

N small files in one workspace, 500 in a folder. They are published by statements over many rows,
because what is measured is everything after the first run.
"""

import asyncio
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.storage.sqlite.embeddings import blob_of
from allma_server.storage.sqlite.rows import indexed_name
from allma_server.types import LOCAL, Chunk, now
from tests.benchmarks.figures import Figures

FILES_PER_FOLDER, SAVES = 500, 10
TEXT = "The lighthouse of harbour {number} is lit at dusk."


T = TypeVar("T")


async def run_files(files: int, place: Path, config: Config) -> Figures:
    """Measure runs over unchanged files, saves, status and doctor."""
    figures, root = Figures(files), place / "files"
    print(f"{files:,} files")
    if not await asyncio.to_thread(root.exists):
        await asyncio.to_thread(root.mkdir, parents=True)
        await publish_all(config, root, files)
    async with open_engine(config) as engine:
        call = Call(engine, LOCAL)
        await engine.embedder.current()
        await engine.full_text.wait_until_current()
        await engine.vectors.wait_until_current()
        for name in ("first", "second"):
            report = await timed(
                figures, f"unchanged run, {name}", BY_NAME["ingest"](call, {"paths": [str(root)]})
            )
            assert (report.unchanged, report.indexed, report.removed) == (files, 0, 0), report
        await timed(figures, "status", BY_NAME["status"](call, {}))
        await timed(figures, "first search", BY_NAME["search"](call, {"query": "lit at dusk"}))
        await measure_saves(engine, root, files, figures)
        await timed(figures, "doctor", BY_NAME["doctor"](call, {}))
    return figures


async def timed(figures: Figures, name: str, work: Awaitable[T]) -> T:
    began, cpu = time.perf_counter(), time.process_time()
    result = await work
    figures.add(name, (time.perf_counter() - began) * 1000, "ms")
    figures.add(f"{name}, CPU of this process", (time.process_time() - cpu) * 1000, "ms")
    return result


def path_of(root: Path, number: int) -> Path:
    return root / f"folder{number // FILES_PER_FOLDER}" / f"file{number}.txt"


def write(root: Path, number: int) -> tuple[Chunk, Path]:
    path, text = path_of(root, number), TEXT.format(number=number)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return Chunk(0, text, 0, len(text), 1, 1), path


async def publish_all(config: Config, root: Path, files: int) -> None:
    """Write the files, and index them as a run would."""
    async with open_engine(config) as engine:
        await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(root)]})
        [workspace] = await engine.catalog.workspaces()
        embedder = await engine.embedder.resolved()
        [vector] = await embedder.embed_documents([TEXT])
        await engine.catalog.keep_vectors(embedder.identity, {b"": vector})
        written = await asyncio.to_thread(lambda: [write(root, n) for n in range(files)])

        def document(id: int, path: Path) -> tuple[object, ...]:
            status = path.stat()
            facts = (status.st_size, status.st_mtime_ns, status.st_ino)
            return (id, workspace.id, str(path), indexed_name(str(path)), *facts, now())

        documents = await asyncio.to_thread(
            lambda: [document(id, path) for id, (_, path) in enumerate(written, 1)]
        )
        async with engine.catalog._db.transaction() as tx:
            await tx.many(
                "INSERT INTO documents (id, workspace_id, path, name, size, mtime_ns, inode, "
                "indexed_at, format, content_hash, state, title, metadata, chunks) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'text', 'as before', 'indexed', '', '{}', 1)",
                documents,
            )
            await tx.many(
                "INSERT INTO chunks (document_id, chunk_index, text, context, heading, text_hash, "
                "start_offset, end_offset, start_line, end_line) "
                "VALUES (?, 0, ?, '', '[]', ?, 0, ?, 1, 1)",
                [(id, c.text, c.text_hash, c.end) for id, (c, _) in enumerate(written, 1)],
            )
            await tx.many(
                "INSERT OR IGNORE INTO embeddings (embedder_id, text_hash, vector, used_on) "
                "VALUES ((SELECT id FROM embedders WHERE identity = ?), ?, ?, '2020-01-01')",
                [(embedder.identity, c.text_hash, blob_of(vector)) for c, _ in written],
            )
            for outbox in ("vector_outbox", "full_text_outbox"):
                await tx.execute(f"INSERT INTO {outbox} (chunk_id) SELECT id FROM chunks")
            tx.workspaces_changed = True
        engine.catalog._db.note_change()
        await engine.full_text.wait_until_current()
        await engine.vectors.wait_until_current()


async def measure_saves(engine: Engine, root: Path, files: int, figures: Figures) -> None:
    """Save a file with a new word, and index it as after an event, until the word is found."""
    call = Call(engine, LOCAL)
    [workspace] = await engine.catalog.workspaces()
    taken: list[float] = []
    for number in range(SAVES):
        path, word = path_of(root, number * files // SAVES), f"newword{number}q"
        await asyncio.to_thread(path.write_text, f"A {word} was seen.")
        began = time.perf_counter()
        await engine.ingestion.run([workspace], call.progress, only=[str(path)])
        found = await engine.full_text.search_text(word, 5)
        taken.append((time.perf_counter() - began) * 1000)
        assert found.hits, word
    figures.times("a saved word is found", taken)
