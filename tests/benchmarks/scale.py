"""Measure what grows with the number of chunks: search and updates on generated text.

    python -m tests.benchmarks.scale N [N ...] [--data FOLDER [--build]] [--files]

With `--files`, what grows with the number of files, of one short chunk each (`scale_files.py`).
Without it, N chunks in one workspace of 60 % and twenty of 2 % each, ten chunks a file, embedded by
the hashing embedder, whose time is not counted. Words are as frequent as in real text (Zipf), and
each folder has subjects of its own. With several N, the growth from the first to the last is
printed.
"""

import argparse
import asyncio
import gc
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.operations.scope import sources_of
from allma_server.search.search import Scope, find_passages
from allma_server.storage.sqlite.outbox import VectorChange
from allma_server.types import LOCAL, Chunk, FileFacts, Parsed, Workspace
from tests.benchmarks.figures import Figures
from tests.benchmarks.scale_files import run_files

EMBEDDER = "hashing/words-256"
FORMATS_OF = {".py": "python", ".md": "markdown", ".txt": "text"}
CHUNKS_PER_FILE, SEARCHES, BATCH_FILES = 10, 60, 200
VOCABULARY, SUBJECT_WORDS, WORDS, SUBJECT_SHARE = 60_000, 40, 90, 1 / 6


class Words:
    """Generated text with the word frequencies of real text."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        syllables = ["".join(pair) for pair in zip("bdfgklmnprstvz" * 5, "aeiou" * 14, strict=True)]
        self._known = [
            "".join(self._random.choices(syllables, k=self._random.choice((1, 2, 2, 3, 3, 4))))
            for _ in range(VOCABULARY)
        ]
        weights = 1 / np.arange(1, VOCABULARY + 1)
        self._cumulated = np.cumsum(weights)
        self._whole = float(self._cumulated[-1])
        self._drawn = np.random.default_rng(7)
        self._rare = self._known[200:]

    def subject(self, number: int) -> list[str]:
        """The words that the texts of a folder share."""
        return random.Random(number).choices(self._rare, k=SUBJECT_WORDS)

    def texts(self, subject: Sequence[str], count: int) -> list[str]:
        size = (count, WORDS)
        drawn = self._drawn.random(size) * self._whole
        places: list[list[int]] = self._cumulated.searchsorted(drawn).tolist()
        numbers: list[list[int]] = self._drawn.integers(len(subject), size=size).tolist()
        of_subject: list[list[bool]] = (self._drawn.random(size) < SUBJECT_SHARE).tolist()
        texts: list[str] = []
        for row, others, chosen in zip(places, numbers, of_subject, strict=True):
            pairs = zip(row, others, chosen, strict=True)
            words = [subject[n] if is_of else self._known[p] for p, n, is_of in pairs]
            texts.append(" ".join(words).capitalize() + ".")
        return texts

    def queries(self) -> Iterator[str]:
        """Questions about subjects, some with frequent words."""
        for number in range(SEARCHES):
            subject = self.subject(number * 7 % 50)
            yield " ".join([*self._random.choices(subject, k=3), *self._known[number : number + 2]])


def file_of(number: int, files: int) -> str:
    """The relative path of a file: six of ten are in main, the others in one of twenty folders.

    In each, every hundredth is in `rare`, and every tenth in `tests`.
    """
    share = number / files
    root = "main" if share < 0.6 else f"small{int((share - 0.6) / 0.02):02d}"
    part = "rare" if number % 100 == 0 else "tests" if number % 10 == 1 else "src"
    suffix = ("py", "py", "py", "md", "txt")[number % 5]
    return f"{root}/{part}/pack{number // 100 % 500}/file{number}.{suffix}"


def parsed(texts: Sequence[str], format: str) -> Parsed:
    chunks: list[Chunk] = []
    start = 0
    for index, text in enumerate(texts):
        chunks.append(Chunk(index, text, start, start + len(text), index + 1, index + 1))
        start += len(text) + 1
    return Parsed(format, "", {}, tuple(chunks))


def write(path: Path, texts: Sequence[str]) -> os.stat_result:
    path.write_text("\n".join(texts))
    return path.stat()


async def publish(engine: Engine, workspace: Workspace, path: Path, texts: Sequence[str]) -> None:
    """Write a file, and index it as a run would."""
    content = parsed(texts, FORMATS_OF[path.suffix])
    status = write(path, texts)
    embedder = await engine.embedder.resolved()
    vectors = await embedder.embed_documents([chunk.embedded_text for chunk in content.chunks])
    await engine.catalog.publish(
        workspace,
        FileFacts(str(path), status.st_size, status.st_mtime_ns, status.st_ino),
        "unchanged",
        content,
        embedder.identity,
        {c.text_hash: vector for c, vector in zip(content.chunks, vectors, strict=True)},
    )


async def fill(engine: Engine, root: Path, chunks: int, words: Words) -> None:
    """Index the files that are not indexed yet, in the order of a folder's walk."""
    files = chunks // CHUNKS_PER_FILE
    workspaces = {each.path: each for each in await engine.catalog.workspaces()}
    known = (await engine.catalog.document_page([], None, None, 1)).total
    for number in range(known, files):
        path = root / file_of(number, files)
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = words.texts(words.subject(number // 20), CHUNKS_PER_FILE)
        await publish(engine, workspaces[str(root / path.relative_to(root).parts[0])], path, texts)
        if number % 5000 == 0:
            print(f"  {number * CHUNKS_PER_FILE:,} chunks", end="\r", file=sys.stderr, flush=True)


def scopes_of(root: Path) -> dict[str, Scope]:
    main = (str(root / "main"),)
    return {
        "everything": Scope(),
        "workspace of 60 %": Scope(main),
        "workspace of 2 %": Scope((str(root / "small07"),)),
        "two workspaces, 4 %": Scope((str(root / "small07"), str(root / "small11"))),
        "glob of 1 %": Scope((), "rare/**"),
        "glob of 10 %": Scope((), "tests/**"),
        "glob of 60 %": Scope((), "*.py"),
        "glob of 90 %, negative": Scope((), "!tests/**"),
        "glob of 10 % of a workspace": Scope(main, "tests/**"),
        "format, 20 %": Scope((), "*.md"),
    }


async def measure_searches(
    engine: Engine, root: Path, words: Words, figures: Figures, *, after_save: bool
) -> None:
    sources = sources_of(Call(engine, LOCAL))
    workspaces = {each.path: each for each in await engine.catalog.workspaces()}
    saved = root / file_of(1, figures.size // CHUNKS_PER_FILE)
    for name, scope in scopes_of(root).items():
        taken: list[float] = []
        for query in words.queries():
            if after_save:
                texts = words.texts(words.subject(0), CHUNKS_PER_FILE)
                await publish(engine, workspaces[str(root / "main")], saved, texts)
            began = time.perf_counter()
            result = await find_passages(query, 5, scope, sources)
            taken.append((time.perf_counter() - began) * 1000)
            assert result.passages
        figures.times(f"search{' after a save' if after_save else ''}: {name}", taken[5:])


async def measure_recall(engine: Engine, root: Path, words: Words, figures: Figures) -> None:
    """Compare the first 100 hits by vector with those of all stored vectors, in each scope."""
    embedder = await engine.embedder.resolved()
    ids, of_documents, vectors = await stored_vectors(engine, embedder.identity)
    queries = [await embedder.embed_query(query) for query in words.queries()][:20]
    for name, scope in scopes_of(root).items():
        documents = await engine.catalog.select_documents(scope.folders, scope.globs)
        mask = documents.contains(of_documents)
        shares: list[float] = []
        for query in queries:
            scores = dict(zip(ids[mask].tolist(), (vectors[mask] @ query).tolist(), strict=True))
            least = sorted(scores.values(), reverse=True)[:100][-1]
            chosen = documents if scope.folders or scope.glob else None
            hits = await engine.vectors.nearest(query, 100, chosen)
            # Of equal scores, either is right.
            right = sum(scores[hit.chunk_id] >= least - 1e-5 for hit in hits)
            shares.append(right / min(100, len(scores)))
        figures.add(f"recall at 100: {name}", sum(shares) / len(shares) * 100, "%")


async def stored_vectors(
    engine: Engine, embedder: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return chunk ids, document ids and vectors of all chunks."""
    rows: list[VectorChange] = []
    while found := await engine.vectors._outbox.vectors(
        embedder, rows[-1].chunk_id if rows else 0, 20_000
    ):
        rows += found
    blobs = b"".join(row.vector or b"" for row in rows)
    return (
        np.array([row.chunk_id for row in rows]),
        np.array([row.document_id for row in rows]),
        np.frombuffer(blobs, "<f2").reshape(len(rows), -1).astype(np.float32),
    )


async def measure_cold(config: Config, root: Path, words: Words, figures: Figures) -> None:
    """The first searches of a process, as far as the engine is concerned."""
    query, *_ = words.queries()
    for name, scope in list(scopes_of(root).items())[:6:2]:
        async with open_engine(config) as engine:
            began = time.perf_counter()
            await engine.embedder.current()
            await find_passages(query, 5, scope, sources_of(Call(engine, LOCAL)))
            figures.add(f"first search: {name}", (time.perf_counter() - began) * 1000, "ms")


async def measure_upkeep(engine: Engine, root: Path, words: Words, figures: Figures) -> None:
    call = Call(engine, LOCAL)
    began = time.perf_counter()
    report = await BY_NAME["ingest"](call, {"paths": [str(each) for each in folders_of(root)]})
    figures.add("unchanged run", (time.perf_counter() - began) * 1000, "ms")
    assert not report.indexed and not report.removed, report
    forgotten = root / file_of(41, figures.size // CHUNKS_PER_FILE)
    began = time.perf_counter()
    await BY_NAME["forget"](call, {"path": str(forgotten)})
    figures.add("forget a file", (time.perf_counter() - began) * 1000, "ms")
    # Another run with the same data begins with all files again.
    [main, *_] = await engine.catalog.workspaces()
    await publish(engine, main, forgotten, words.texts(words.subject(41), CHUNKS_PER_FILE))


def folders_of(root: Path) -> list[Path]:
    return [root / "main", *(root / f"small{number:02d}" for number in range(20))]


def memory() -> float:
    """Resident memory of this process and its children, in megabytes."""
    me = psutil.Process()
    return sum(each.memory_info().rss for each in (me, *me.children(recursive=True))) / 1e6


def size_of(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


async def prepare(config: Config, root: Path) -> None:
    """Index the empty folders, so that a later run compares files with what is known of them."""
    for folder in folders_of(root):
        folder.mkdir(parents=True, exist_ok=True)
    async with open_engine(config) as engine:
        await BY_NAME["ingest"](
            Call(engine, LOCAL), {"paths": [str(each) for each in folders_of(root)]}
        )


async def build(config: Config, root: Path, words: Words, figures: Figures) -> None:
    """Index what an earlier run has not, and measure how long that takes."""
    if not (await asyncio.to_thread(root.exists)):
        await prepare(config, root)
    async with open_engine(config) as engine:
        await engine.embedder.resolved()
        began, cpu = time.perf_counter(), time.process_time()
        await fill(engine, root, figures.size, words)
        figures.add("indexing without parsing", time.perf_counter() - began, "s")
        figures.add("indexing without parsing, CPU", time.process_time() - cpu, "s")
        began = time.perf_counter()
        await engine.vectors.wait_until_current()
        figures.add("until the vector store holds all", time.perf_counter() - began, "s")


async def run(chunks: int, place: Path, *, only_build: bool) -> Figures:
    figures, words = Figures(chunks), Words()
    root, config = place / "files", config_of(place / "data")
    print(f"{chunks:,} chunks in {chunks // CHUNKS_PER_FILE:,} files")
    await build(config, root, words, figures)
    if only_build:
        return figures
    await measure_cold(config, root, words, figures)
    async with open_engine(config) as engine:
        await engine.embedder.current()
        await find_passages("a", 5, Scope(), sources_of(Call(engine, LOCAL)))
        await engine.vectors.wait_until_current()
        gc.collect()
        figures.add("memory of all processes at rest", memory(), "MB")
        await measure_searches(engine, root, words, figures, after_save=False)
        await measure_searches(engine, root, words, figures, after_save=True)
        figures.add("memory after these searches", memory(), "MB")
        await measure_upkeep(engine, root, words, figures)
        await engine.vectors.wait_until_current()
        await measure_recall(engine, root, words, figures)
    figures.add("disk", size_of(place / "data"), "MB")
    return figures


def config_of(data: Path) -> Config:
    return Config(data_dir=data, embedder=EMBEDDER, chat_provider="scripted", chroma_payload="ids")


def print_growth(first: Figures, last: Figures) -> None:
    print(f"growth from {first.size:,} to {last.size:,} "
          f"(× {last.size / first.size:.0f})")  # fmt: skip
    for name, value in last.values.items():
        before = first.values.get(name)
        if before:
            print(f"  {name:<60} × {value / before:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chunks", nargs="+", type=int)
    parser.add_argument("--data", type=Path, help="where the indexes are kept for another run")
    parser.add_argument("--build", action="store_true", help="only index, for a later run")
    parser.add_argument("--files", action="store_true", help="measure many files instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = (options.data or Path(scratch)).absolute()

        def measure(n: int) -> Figures:
            if options.files:
                folder = place / f"files{n}"
                return asyncio.run(run_files(n, folder, config_of(folder / "data")))
            return asyncio.run(run(n, place / f"chunks{n}", only_build=options.build))

        measured = [measure(n) for n in sorted(options.chunks)]
    if len(measured) > 1:
        print_growth(measured[0], measured[-1])


if __name__ == "__main__":
    main()
