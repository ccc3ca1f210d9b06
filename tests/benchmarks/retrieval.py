"""How well Allma ranks: nDCG@10 of its parts and of the whole, on sets with relevance judgements.

    python -m tests.benchmarks.retrieval [SET …] [--data DIR] [--together] [--every N]
    python -m tests.benchmarks.retrieval pieces latency [--data DIR]

Each document of a set is published as one chunk, embedded by the local model and searched through
the engine's own stores and search. `held out` are the questions that no weight was chosen on: of
squad three in four; of the other sets there is no such part here, and the two halves are shown
instead, which tell how much of a figure is chance. `--together` puts all sets into one index,
which is larger and mixes subjects. `--data` keeps the indexes for the next run.

`pieces` goes the whole way of a document: long ones are ingested as files, and what is found counts
by its characters. `latency` searches 20,000 chunks, beside a bare full-text query and a bare
product of matrix and vector: quicker than these it cannot be.
"""

import argparse
import asyncio
import gc
import json
import math
import tempfile
import time
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b, md5
from pathlib import Path
from statistics import mean, quantiles
from typing import Any

import numpy as np

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.operations.scope import sources_of
from allma_server.ports import Vector
from allma_server.search.explain import explain_passages
from allma_server.search.fusion import fuse
from allma_server.search.search import CANDIDATES, Scope, find_passages
from allma_server.storage.vectors.exact import best
from allma_server.types import LOCAL, Chunk, FileFacts, Hit, Parsed, Workspace
from tests.conftest import SHARED_DATA

TARGETS = {
    "cranfield": 0.575, "med": 0.82, "cacm": 0.585, "squad": 0.90, "cosqa": 0.62, "chunking": 0.79,
}  # fmt: skip
BATCH = 64


@dataclass(frozen=True)
class Question:
    id: str
    text: str
    relevant: dict[str, int]
    answers: tuple[str, ...] = ()
    held_out: bool = False

    @property
    def half(self) -> int:
        return md5(self.id.encode()).digest()[0] & 1


@dataclass(frozen=True)
class Outcome:
    """One question's nDCG@10 by method, and the time of the search without the embedding."""

    question: Question
    ndcg: dict[str, float]
    answered: bool
    embed_ms: float
    search_ms: float


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def questions(folder: Path, every: int) -> list[Question]:
    relevant: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0:
            relevant.setdefault(query, {})[document] = int(grade)
    gold = folder / "answers.jsonl"
    answers = {a["id"]: tuple(a["answers"]) for a in lines(gold)} if gold.exists() else {}
    return [
        Question(
            q["id"],
            q["text"],
            relevant[q["id"]],
            answers.get(q["id"], ()),
            folder.name == "squad" and i % 4 > 0,
        )
        for i, q in enumerate(q for q in lines(folder / "queries.jsonl") if q["id"] in relevant)
    ][::every]


def ndcg(ranked: Sequence[str], relevant: dict[str, int]) -> float:
    def gain(grades: Sequence[int]) -> float:
        return sum(grade / math.log2(rank + 2) for rank, grade in enumerate(grades))

    ideal = sorted(relevant.values(), reverse=True)[:10]
    return gain([relevant.get(document, 0) for document in ranked[:10]]) / gain(ideal)


def reciprocal_rank_fusion(*rankings: Sequence[Hit]) -> list[int]:
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, hit in enumerate(ranking, start=1):
            scores[hit.chunk_id] = scores.get(hit.chunk_id, 0) + 1 / (60 + rank)
    return sorted(scores, key=lambda chunk_id: -scores[chunk_id])


def letters(number: int) -> str:
    """A number as a word that is in no question, since file names are searched as well."""
    return "zq" + "".join(chr(ord("a") + int(digit)) for digit in str(number))


async def publish(engine: Engine, root: str, documents: Sequence[dict[str, str]]) -> dict[str, str]:
    """Indexes the documents that are not yet; their paths and ids."""
    embedder = await engine.embedder.chosen()
    workspace = await engine.catalog.add_workspace(root)
    known = {document.path for document in await engine.catalog.documents(workspace.id)}
    paths = {f"{root}/{letters(i)}": document for i, document in enumerate(documents)}
    new = [(path, document) for path, document in paths.items() if path not in known]
    for start in range(0, len(new), BATCH):
        chunks = [(path, chunk_of(document)) for path, document in new[start : start + BATCH]]
        vectors = await embedder.embed_documents([chunk.embedded_text for _, chunk in chunks])
        for (path, chunk), vector in zip(chunks, vectors, strict=True):
            await publish_chunk(engine, workspace, path, chunk, embedder.identity, vector)
    return {path: document["id"] for path, document in paths.items()}


async def publish_chunk(
    engine: Engine, workspace: Workspace, path: str, chunk: Chunk, embedder: str, vector: Vector
) -> None:
    """Puts a document of one chunk into the index."""
    await engine.catalog.publish(
        workspace,
        FileFacts(path, len(chunk.text), 0, 0),
        blake2b(path.encode()).hexdigest(),
        Parsed("text", chunk.context, {}, (chunk,)),
        embedder,
        {chunk.text_hash: vector},
    )


def chunk_of(document: dict[str, str]) -> Chunk:
    title, text = document["title"], document["text"]
    if not text:
        title, text = "", title
    heading = (title,) if title else ()
    return Chunk(0, text, 0, len(text), 1, text.count("\n") + 1, heading=heading, context=title)


async def ask(engine: Engine, question: Question, ids: dict[str, str]) -> Outcome:
    embedder = await engine.embedder.chosen()
    began = time.perf_counter()
    vector = await embedder.embed_query(question.text)
    embedded = time.perf_counter()
    # The embedder remembers the question, so what is timed next is the search without it.
    result = await find_passages(question.text, 10, Scope(), sources_of(Call(engine, LOCAL)))
    searched = time.perf_counter()
    lexical = await engine.catalog.search_text(question.text, CANDIDATES)
    dense = await engine.vectors.nearest(vector, CANDIDATES)
    rankings = {
        "BM25": [hit.chunk_id for hit in lexical[:10]],
        "dense": [hit.chunk_id for hit in dense[:10]],
        "RRF": reciprocal_rank_fusion(dense, lexical)[:10],
        "fused": [fused.chunk_id for fused in fuse(dense, lexical, CANDIDATES)[:10]],
    }
    scores: dict[str, float] = {}
    for name, chunk_ids in rankings.items():
        passages = await engine.catalog.passages([Hit(chunk_id, 0.0) for chunk_id in chunk_ids])
        scores[name] = ndcg([ids.get(p.path, "") for p in passages], question.relevant)
    ours = [ids.get(passage.path, "") for passage in result.passages]
    text = " ".join(" ".join(passage.text.split()) for passage in result.passages[:5]).lower()
    return Outcome(
        question,
        {**scores, "ours": ndcg(ours, question.relevant)},
        any(" ".join(answer.split()).lower() in text for answer in question.answers),
        (embedded - began) * 1000,
        (searched - embedded) * 1000,
    )


def report(name: str, outcomes: Sequence[Outcome]) -> None:
    def score(method: str, chosen: Sequence[Outcome] = outcomes) -> str:
        return f"{mean(o.ndcg[method] for o in chosen):.3f}" if chosen else "    -"

    halves = "/".join(score("ours", [o for o in outcomes if o.question.half == h]) for h in (0, 1))
    held_out = [o for o in outcomes if o.question.held_out]
    times = quantiles([o.search_ms for o in outcomes], n=20)
    embed = quantiles([o.embed_ms for o in outcomes], n=20)
    answered = f"  answer in 5: {mean(o.answered for o in outcomes):.3f}" * (name == "squad")
    print(
        f"{name:<10}{len(outcomes):>6}  {score('BM25')}  {score('dense')}  {score('RRF')}  "
        f"{score('fused')}  {score('ours')}  {halves}    {score('ours', held_out)}   "
        f"{TARGETS[name]:.3f}  "
        f"{times[9]:5.1f} {times[18]:6.1f}   {embed[9]:5.1f} {embed[18]:6.1f}{answered}",
        flush=True,
    )


# --- the whole way of a document ----------------------------------------------------------------


async def pieces(data: Path, k: int = 5) -> None:
    """Recall, precision and intersection over union of the characters that are found."""
    documents = SHARED_DATA / "retrieval" / "chunking" / "docs"
    places = {path.name: places_in(path) for path in documents.glob("*.md")}
    wanted = {r["id"]: r for r in lines(documents.parent / "references.jsonl")}
    sums = [0.0, 0.0, 0.0, 0.0]
    async with open_engine(engine_config(data / "pieces")) as engine:
        call = Call(engine, LOCAL)
        await BY_NAME["ingest"](call, {"paths": [str(documents)]})
        asked = list(lines(documents.parent / "queries.jsonl"))
        for question in asked:
            result = await find_passages(question["text"], k, Scope(), sources_of(call))
            found = [place_of(p.text, *places[Path(p.path).name]) for p in result.passages]
            names = [Path(p.path).name for p in result.passages]
            gold = wanted[question["id"]]
            expected = covered((r["start"], r["end"]) for r in gold["references"])
            mine = covered(s for s, name in zip(found, names, strict=True) if name == gold["doc"])
            both = sum(map(len, overlaps(expected, mine)))
            size = sum(map(len, expected))
            total = sum(map(len, found))
            parts = (both / size, both / total, both / (size + total - both), len(found))
            sums = [a + b for a, b in zip(sums, parts, strict=True)]
    recall, precision, union, shown = (s / len(asked) for s in sums)
    print(
        f"pieces    {len(asked):>6}  recall {recall:.3f} (target 0.870)  precision "
        f"{precision:.3f} (0.080)  IoU {union:.3f} (0.080)  {shown:.1f} passages of {k}",
        flush=True,
    )


def places_in(path: Path) -> tuple[str, list[int]]:
    """A text without its white space, and where each character of that stands."""
    text = path.read_bytes().decode().replace("\r\n", "\n")
    at = [i for i, character in enumerate(text) if not character.isspace()]
    return "".join(text[i] for i in at), at


def place_of(text: str, bare: str, at: Sequence[int]) -> range:
    wanted = "".join(text.split())
    start = bare.index(wanted)
    return range(at[start], at[start + len(wanted) - 1] + 1)


def covered(spans: Iterable[tuple[int, int] | range]) -> list[range]:
    """Stretches in their order, joined where they overlap."""
    joined: list[range] = []
    for start, end in sorted((s.start, s.stop) if isinstance(s, range) else s for s in spans):
        if joined and start <= joined[-1].stop:
            joined[-1] = range(joined[-1].start, max(end, joined[-1].stop))
        else:
            joined.append(range(start, end))
    return joined


def overlaps(first: Sequence[range], second: Sequence[range]) -> list[range]:
    return [range(max(a.start, b.start), min(a.stop, b.stop)) for a in first for b in second]


# --- time ---------------------------------------------------------------------------------------


async def latency(data: Path, chunks: int = 20_000) -> None:
    """Searches among many chunks, and what they cannot be quicker than."""
    names = ["cosqa", "squad", "chunking", "cacm", "cranfield", "med"]
    folder = SHARED_DATA / "retrieval"
    async with open_engine(engine_config(data / "latency")) as engine:
        await publish_many(
            engine, [d for n in names for d in lines(folder / n / "corpus.jsonl")], chunks
        )
        embedder = await engine.embedder.chosen()
        await engine.vectors.settled()
        sources = sources_of(Call(engine, LOCAL))
        matrix = np.random.default_rng(1).standard_normal((chunks, 384), np.float32)
        times: dict[str, list[float]] = {}

        async def timed(name: str, work: Awaitable[object]) -> None:
            began = time.perf_counter()
            await work
            times.setdefault(name, []).append((time.perf_counter() - began) * 1000)

        async def product(vector: Vector) -> None:
            best(np.arange(chunks), matrix @ vector, CANDIDATES)

        asked = [q.text for n in names for q in questions(folder / n, 1)[:50]]
        gc.freeze()  # as the daemon has what it imported (`imports.py`)
        vectors: list[Vector] = []
        for text in asked:
            await timed("embedding of the query", embedder.embed_query(text))
            vectors.append(await embedder.embed_query(text))  # it remembers it from now on
            await timed("search without it", find_passages(text, 5, Scope(), sources))
            await timed("  full text alone", engine.catalog.search_text(text, CANDIDATES))
            await timed("  vectors alone", engine.vectors.nearest(vectors[-1], CANDIDATES))
            await timed("explain", explain_passages(text, 5, Scope(), sources))
        # By itself: the threads that multiply keep a core busy for a while after it.
        for vector in vectors:
            await timed("  bare product of matrix and vector", product(vector))
        serves = (await engine.vectors.status()).state
    print(f"{chunks:,} chunks, {len(asked)} questions, store {serves}; ms".ljust(56) + "p50    p95")
    for name, taken in times.items():
        cuts = quantiles(taken, n=20)
        print(f"{name:<50}{cuts[9]:>9.1f}{cuts[18]:>7.1f}", flush=True)


async def publish_many(engine: Engine, texts: Sequence[dict[str, str]], chunks: int) -> None:
    """Real texts, and where they end, others made of their halves; where vectors point is chance.

    For a search that takes as long as with real ones, or longer: chance has no neighbourhoods.
    """
    workspace = await engine.catalog.add_workspace("/latency")
    if await engine.catalog.documents(workspace.id):
        return
    embedder = await engine.embedder.chosen()
    vectors = np.random.default_rng(0).standard_normal((chunks, 384), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    mixed = [
        {**d, "text": f"{d['text'][len(d['text']) // 2 :]} {e['text'][: len(e['text']) // 2]}"}
        for d, e in zip(texts, reversed(texts), strict=True)
    ]
    for number, document in enumerate([*texts, *mixed][:chunks]):
        path, chunk = f"/latency/{letters(number)}", chunk_of(document)
        await publish_chunk(engine, workspace, path, chunk, embedder.identity, vectors[number])


async def run(names: Sequence[str], data: Path, every: int, *, together: bool) -> None:
    print("set         asked  BM25   dense  RRF    fused  ours   halves         held out target"
          "  search p50/p95  embed p50/p95 (ms)")  # fmt: skip
    for group in [names] if together else [[name] for name in names]:
        async with open_engine(engine_config(data / "-".join(group))) as engine:
            ids: dict[str, str] = {}
            for name in group:
                corpus = list(lines(SHARED_DATA / "retrieval" / name / "corpus.jsonl"))
                ids |= await publish(engine, f"/{name}", corpus)
            for name in group:
                asked = questions(SHARED_DATA / "retrieval" / name, every)
                report(name, [await ask(engine, question, ids) for question in asked])


def engine_config(directory: Path) -> Config:
    return Config(
        data_dir=directory, embedder="local/all-MiniLM-L6-v2-int8", chat_provider="scripted"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    everything = [*TARGETS, "pieces", "latency"]
    parser.add_argument(
        "sets", nargs="*", default=everything, choices=everything, metavar="SET",
        help=", ".join(everything),
    )  # fmt: skip
    parser.add_argument("--data", type=Path, help="keep the indexes here")
    parser.add_argument("--together", action="store_true", help="one index for all sets")
    parser.add_argument("--every", type=int, default=1, help="ask every N-th question only")
    options = parser.parse_args()
    if not (SHARED_DATA / "retrieval").exists():
        raise SystemExit(f"There are no retrieval sets in {SHARED_DATA}.")
    with tempfile.TemporaryDirectory() as temporary:
        data = options.data or Path(temporary)
        if sets := [name for name in options.sets if name in TARGETS]:
            asyncio.run(run(sets, data, options.every, together=options.together))
        for name, measure in (("pieces", pieces), ("latency", latency)):
            if name in options.sets:
                asyncio.run(measure(data))


if __name__ == "__main__":
    main()
