"""Measure folders that are shared in a cluster: nDCG@10 and times, beside the same texts here.

    python -m tests.benchmarks.sharing [CHUNKS] [--every N]

Needs the server of `.ci/cluster`. The sets med and cranfield are searched among CHUNKS chunks of
other text (100,000 without a number): files of this Python installation, cut to 800 characters.
The sets are embedded by the bundled model. So are the first 120 characters of 4,000 of the other
texts, and each other chunk gets the mean of two of these vectors, because to embed 100,000 texts
takes an hour. The same index is searched in three ways:

- here: all of it in one engine;
- shared: all of it shared by that engine as two folders, and nothing here;
- mixed: one of the folders here, the other one shared.

ARCHITECTURE.md, "Ten million chunks, a hundred users", has the figures.
"""

import argparse
import asyncio
import os
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from statistics import mean, quantiles

import numpy as np
import psutil

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.operations.scope import all_sources_of
from allma_server.ports import Embedder, PassageStore, Vector
from allma_server.search.search import CANDIDATES, Scope, find_passages
from allma_server.storage.shared import search
from allma_server.types import LOCAL, SHARED, Chunk, FileFacts, Hit, Parsed
from tests.benchmarks.retrieval import Question, chunk_of, letters, lines, ndcg, questions
from tests.cluster import KEY, RunningCluster, run_cluster
from tests.conftest import SHARED_DATA

SETS = ("med", "cranfield")
ROOT = "/sharing"
FOLDERS = ("first", "second")
CUT, PER_FILE, PER_DOCUMENT = 800, 20, 10
POOL, EMBEDDED = 4_000, 120


@dataclass(frozen=True)
class Text:
    """A document: where it is below ROOT, its id in a set, and its chunks."""

    place: str
    id: str
    chunks: tuple[Chunk, ...]


def corpus(size: int) -> Iterator[Text]:
    """Yield the sets, then other text, spread evenly over the folders."""
    number = 0
    for name in SETS:
        for document in lines(SHARED_DATA / "retrieval" / name / "corpus.jsonl"):
            chunk = chunk_of(document)
            yield Text(place_of(number), f"{name} {document['id']}", (chunk,))
            number += 1
    others = islice(other_texts(), size)
    while texts := tuple(islice(others, PER_DOCUMENT)):
        chunks = tuple(
            Chunk(n, text, n * CUT, n * CUT + len(text), n + 1, n + 1)
            for n, text in enumerate(texts)
        )
        yield Text(place_of(number), "", chunks)
        number += 1


def place_of(number: int) -> str:
    return f"{FOLDERS[number % len(FOLDERS)]}/{letters(number)}"


def other_texts() -> Iterator[str]:
    paths = sysconfig.get_paths()
    found = [
        path
        for root in dict.fromkeys((paths["stdlib"], paths["purelib"]))
        for path in Path(root).rglob("*")
        if path.suffix in (".py", ".md", ".txt", ".rst") and path.is_file()
    ]
    seen: set[bytes] = set()
    for path in sorted(found, key=lambda path: blake2b(str(path).encode()).digest()):
        text = " ".join(path.read_text("utf-8", "replace").split())
        for start in range(0, min(len(text), PER_FILE * CUT), CUT):
            cut = text[start : start + CUT]
            digest = blake2b(cut.encode(), digest_size=8).digest()
            if len(cut) > CUT // 2 and digest not in seen:
                seen.add(digest)
                yield cut


async def vectors_of(embedder: Embedder, texts: Sequence[Text]) -> dict[bytes, Vector]:
    """Return a vector for each chunk, by the hash of its text."""
    of_sets = [chunk for text in texts if text.id for chunk in text.chunks]
    others = [chunk for text in texts if not text.id for chunk in text.chunks]
    vectors = await embedder.embed_documents([chunk.embedded_text for chunk in of_sets])
    known = {c.text_hash: v for c, v in zip(of_sets, vectors, strict=True)}
    if others:
        beginnings = [chunk.text[:EMBEDDED] for chunk in others[:POOL]]
        pool = await embedder.embed_documents(beginnings)
        drawn = np.random.default_rng(7).integers(len(pool), size=(len(others), 2))
        made = pool[drawn[:, 0]] + pool[drawn[:, 1]]
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        known.update(zip((chunk.text_hash for chunk in others), made, strict=True))
    return known


async def index(engine: Engine, texts: Sequence[Text], vectors: dict[bytes, Vector]) -> None:
    embedder = await engine.embedder.resolved()
    workspace = await engine.catalog.add_workspace(ROOT)
    for text in texts:
        path = f"{ROOT}/{text.place}"
        await engine.catalog.publish(
            workspace,
            FileFacts(path, sum(len(chunk.text) for chunk in text.chunks), 0, 0),
            blake2b(path.encode()).hexdigest(),
            Parsed("text", "", {}, text.chunks),
            embedder.identity,
            {chunk.text_hash: vectors[chunk.text_hash] for chunk in text.chunks},
        )
    await engine.full_text.wait_until_current()
    await engine.vectors.wait_until_current()


async def share(engine: Engine, folder: str, name: str) -> tuple[int, float]:
    """Share a folder; return how many chunks were published, and in how many seconds."""
    began = time.perf_counter()
    await BY_NAME["share"](Call(engine, LOCAL), {"path": folder, "name": name})
    while not await engine.sharing.publisher.wait(name, 600):
        print(engine.sharing.publisher.failures, flush=True)
    seconds = time.perf_counter() - began
    [own] = [each for each in (await engine.sharing.list()).shares if each.name == name]
    return own.chunks, seconds


async def measure(
    name: str, engine: Engine, scope: Scope, ids: dict[str, str], asked: dict[str, list[Question]]
) -> None:
    """Print nDCG@10 of vectors alone, of words alone and of the search, and its time."""
    call = Call(engine, LOCAL)
    embedder = await engine.embedder.resolved()
    times: dict[str, list[float]] = {"dense": [], "words": [], "search": []}
    notices: set[str] = set()
    for of_set, some in asked.items():
        scores: dict[str, list[float]] = {"dense": [], "words": [], "search": []}
        for question in some:
            vector = await embedder.embed_query(question.text)
            for method in scores:
                sources, finds = await all_sources_of(call, scope)
                documents = None
                if scope.folders:
                    documents = await sources.passages.select_documents(scope.folders, ())
                began = time.perf_counter()
                match method:
                    case "dense":
                        hits = await sources.vectors.nearest(vector, CANDIDATES, documents)
                        ranked = await places(sources.passages, hits)
                    case "words":
                        words = await sources.full_text.search_text(
                            question.text, CANDIDATES, documents
                        )
                        ranked = await places(sources.passages, words.hits)
                    case _:
                        result = await find_passages(question.text, 10, scope, sources)
                        ranked = [p.path for p in result.passages]
                times[method].append((time.perf_counter() - began) * 1000)
                found = [ids.get(within(path), "") for path in ranked]
                relevant = {f"{of_set} {id}": n for id, n in question.relevant.items()}
                scores[method].append(ndcg(found, relevant))
                if finds is not None and (notice := finds.notice(None)):
                    notices.add(notice)
        shown = "  ".join(f"{method} {mean(each):.3f}" for method, each in scores.items())
        print(f"{name:<20} {of_set:<10} {shown}", flush=True)
    for method, each in times.items():
        cuts = quantiles(each, n=20)
        print(f"{name:<20} {method:<10} p50 {cuts[9]:.0f} ms, p95 {cuts[18]:.0f} ms", flush=True)
    for notice in sorted(notices):
        print(f"{name:<20} {notice}", flush=True)


async def places(store: PassageStore, hits: Sequence[Hit]) -> list[str]:
    return [passage.path for passage in await store.passages(hits[:10])]


def within(path: str) -> str:
    """Return the place of a document below ROOT, whoever has it."""
    if not path.startswith(SHARED):
        return path.removeprefix(f"{ROOT}/")
    return path.removeprefix(SHARED)


def config(data: Path, url: str) -> Config:
    return Config(data_dir=data, vector_store="exact", shared_url=url, chat_provider="scripted")


async def run(size: int, data: Path, every: int, cluster: RunningCluster) -> None:
    texts = list(corpus(size))
    ids = {text.place: text.id for text in texts if text.id}
    asked = {name: questions(SHARED_DATA / "retrieval" / name, every) for name in SETS}
    assert cluster.nodes[0].process is not None
    node = psutil.Process(cluster.nodes[0].process.pid)

    # A search that takes too long is measured as such, and must not spoil those after it.
    search.REST_SECONDS = 0.0

    def report(what: str, chunks: int, seconds: float) -> None:
        resident = node.memory_info().rss / 1e6
        disk = sum(f.stat().st_size for f in cluster.nodes[0].directory.rglob("*") if f.is_file())
        print(
            f"{what}: {chunks} chunks in {seconds:.0f} s, {chunks / seconds:.0f} a second; "
            f"the node has {resident:.0f} MB in memory, {disk / 1e6:.0f} MB on the disk",
            flush=True,
        )

    async with AsyncExitStack() as stack:
        owner, reader, mixed = [
            await stack.enter_async_context(open_engine(config(data / name, cluster.url)))
            for name in ("owner", "reader", "mixed")
        ]
        vectors = await vectors_of(await owner.embedder.resolved(), texts)
        print(f"{len(vectors)} vectors", flush=True)
        began = time.perf_counter()
        await index(owner, texts, vectors)
        print(f"indexed in {time.perf_counter() - began:.0f} s", flush=True)
        await measure("here", owner, Scope(), ids, asked)
        for name in FOLDERS:
            report(name, *await share(owner, f"{ROOT}/{name}", name))
        # Before anything is indexed no embedder is chosen, and only words would be searched.
        note = Chunk(0, "A note.", 0, 7, 1, 1)
        vector = next(iter(vectors.values()))
        await index(reader, [Text("own/note", "", (note,))], {note.text_hash: vector})
        everything = Scope(tuple(SHARED + name for name in FOLDERS))
        await measure("shared", reader, everything, ids, asked)
        await index(mixed, [t for t in texts if t.place.startswith(FOLDERS[0])], vectors)
        await measure("mixed", mixed, Scope((ROOT, SHARED + FOLDERS[1])), ids, asked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("chunks", nargs="?", type=int, default=100_000)
    parser.add_argument("--every", type=int, default=1)
    arguments = parser.parse_args()
    os.environ["ALLMA_VECTOR_STORE_API_KEY"] = KEY  # noqa: TID251
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        with run_cluster(Path(folder)) as cluster:
            asyncio.run(run(arguments.chunks, Path(folder), arguments.every, cluster))


if __name__ == "__main__":
    main()
