"""Measure how well Allma ranks: nDCG@10 of each stage on sets with relevance judgements.

    python -m tests.benchmarks.retrieval [SET …] [--data DIR] [--together] [--every N]
                                         [--embedder NAME]
    python -m tests.benchmarks.retrieval pieces latency [--data DIR]

Each document of a set is published as one chunk, embedded by the local model and searched through
the engine's own stores. `held out` are the questions on which no weight was chosen: three in four
of squad. The other sets have no such part; for them the two halves are shown, and their difference
tells how much of a figure is chance. `--together` puts all sets into one index, which is larger and
mixes subjects. `--data` keeps the indexes for the next run.

`pieces` ingests long documents as files and compares the characters found with the expected ones.
`latency` searches 20,000 chunks, and measures a bare full-text query and a bare matrix-vector
product as lower bounds.

What was measured (ARCHITECTURE.md, "Notes on ranking", has the figures of the weights in use):

- The weights are round numbers in the middle of a plateau. Varied one at a time, with
  TOPIC_DENSE_WEIGHT from 30 to 38, QUESTION_DENSE_WEIGHT from 20 to 28, CODE_DENSE_WEIGHT from 60
  to 84, PROXIMITY_WEIGHT from 1.5 to 3, PAIR_WEIGHT from 3 to 6, FEEDBACK_WEIGHT from 20 to 60 and
  TOPIC_FEEDBACK from 30 to 50, no set changes by more than about .01, which is less than the
  difference between its halves.
- A linear model of sixteen such signals, trained on all sets but the one it was tested on, ranks
  every set worse than these weights. Trained on the test questions themselves, it gains .008 on
  cosqa and nothing on topics.
- Verbatim queries: of 200 strings and sentences of this project used as queries, 191 are ranked
  first, and 151 without the phrase; no set changes.

- Cosines in units of the embedder's own (`fusion.similarity_unit`). With bge-small-en-v1.5,
  cranfield gains .010, med .003, cacm .010, squad .003, cosqa .006; with MiniLM nothing changes;
  hashed words, which separate nothing, take nothing away from the lexical list any more (cacm).

- Rescoring in proportion to the best BM25 score (`fusion.lexical_evidence`): cacm gains .007,
  chunking and med .001; 99 questions about tables in made-up reports, which share few words with
  them, .034, and .048 more by the weight of meaning for such questions. With the square of the
  proportion these gain as much again, and med, cranfield and chunking lose .003 to .006.
- Of passages with the same text, the one with the query's words in its headings (`select.py`):
  these questions gain .025 with MiniLM and .023 with bge.
- Feedback from at most .27 of the passages: in collections of 6 chunks drawn from these sets and
  searched by words alone, .04 to .11 of the other passages reach .3 of the best score instead of
  .14 to .22 (with the tables: .29 instead of .77); nDCG@10 changes by -.016 (tables) to .007.

Tried without a gain:

- The unit from the standard deviation of the cosines between texts of the index, or between a query
  and such texts: equal on these sets, but an index whose texts are nearly alike magnifies noise.
- Other weights of meaning and feedback for bge (no set gains more than its halves differ); less
  weight for lists that seldom agree (questions in other words than the passage would lose).
- Lists scaled to 0..1 with the best single weight; the lexical list scaled for topics (cacm gains
  .01, med loses as much); weights by how concentrated each list is or how well the lists agree
  (code gains, topics lose); lexical scores scaled by their range against the range of the cosines
  of the whole collection (the same for topics, worse for questions).
- Vectors centred on the mean of the collection, and cosines reduced by those of the nearest
  neighbours (code gains .01, topics lose .02); feedback on vectors; exact cosines for passages that
  only the lexical list has; 50 passages to rescore instead of 30.
- Late interaction over the model's token vectors, and identifiers split before embedding (cosqa);
  the query embedded without its stop words.
- BM25's k1 from 0.9 to 2.5 and b from 0.5 to 0.9 (at most .01); query expansion by RM3 (med gains
  .03 and cranfield .02 with the lexical list alone; cacm and chunking lose as much).
- Each sentence of a long query searched for by itself, beside the whole (dense: cacm .440 instead
  of .421, med .791 instead of .786; no difference after rescoring).
- What words have found measured by the share of the query's information that the best passage has,
  instead of the best BM25 score (the questions about tables lose .02 to .04); the temperature of
  feedback in proportion to it (cacm loses .005); BM25 scores of small collections raised to those
  of large ones (small collections of the tables lose .05).
- Copies left out of feedback (cacm loses .005); .63 to .8 of the weight of meaning for bge, whose
  signal stands out less from its noise (with it, the questions about tables lose .01 to .03).
- Only one of the two feedback signals, vectors or words (med and cranfield lose .006).
- Queries without their frame, as in "I'm interested in articles about" (cacm gains .005, cranfield
  nothing), and without negated sentences (cacm loses .004 of that).
- Added after rescoring, with several weights: reciprocal ranks, whether both lists agree, the share
  of the query's information that a passage has, its length, how early its first match is, terms of
  a pair within eight words, BM25 with k1 2.5 or b 0.4 or 0.95 (none gains more on one of cranfield,
  med and chunking than it loses on another); the share that its title has (cranfield gains .002,
  the reports .020, cacm loses .003).
- Feedback without a passage's similarity to itself, or to its near-duplicates (med loses .004); the
  query's vector moved by that of the best passages (cranfield gains .007, chunking and med lose
  .003 to .02); dense differences divided by another power of the spread than the root (at the power
  .25 cacm gains .006, and cranfield loses .003).
- Weights by the share of the query's information that the best passage has: between sets it tells
  which ones need meaning, within a set it does not.
- Code embedded with its name in words and the first sentence of its docstring in front (dense, a
  third of cosqa: .753 instead of .747; one half gains, one loses). A vector of these words alone:
  .600; the sum of both vectors, weighted .3 to .7: .743 to .721.
- Queries about code without the name of the language (dense .580 instead of .606), written as the
  head of a function (.566), or either added to the vector of the query (.593, .603).
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
from allma_server.providers.embedding.local import MODEL
from allma_server.search.explain import explain_passages
from allma_server.search.fusion import fuse, similarity_unit
from allma_server.search.search import CANDIDATES, Scope, find_passages
from allma_server.storage.vectors.exact_vectors import best
from allma_server.types import LOCAL, Chunk, FileFacts, Hit, Parsed, Workspace
from tests.conftest import SHARED_DATA

TARGETS = {
    "cranfield": 0.60, "med": 0.825, "cacm": 0.58, "squad": 0.92, "cosqa": 0.625, "chunking": 0.83,
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
    """The nDCG@10 of one question by method, and the time of the search without the embedding."""

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


def min_max_fusion(dense: Sequence[Hit], lexical: Sequence[Hit], weight: float = 0.6) -> list[int]:
    """Return the order by the weighted sum of both lists' scores, each scaled to 0..1."""
    scores: dict[int, float] = {}
    for ranking, share in ((dense, weight), (lexical, 1 - weight)):
        for hit in ranking:
            spread = ranking[0].score - ranking[-1].score
            scaled = (hit.score - ranking[-1].score) / spread if spread else 1.0
            scores[hit.chunk_id] = scores.get(hit.chunk_id, 0.0) + share * scaled
    return sorted(scores, key=lambda chunk_id: -scores[chunk_id])


def letters(number: int) -> str:
    """Return a number as a word that no question contains, since file names are searched too."""
    return "zq" + "".join(chr(ord("a") + int(digit)) for digit in str(number))


async def publish(engine: Engine, root: str, documents: Sequence[dict[str, str]]) -> dict[str, str]:
    """Index the documents that are not indexed yet; return their ids by path."""
    embedder = await engine.embedder.resolved()
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
    """Index a document of one chunk."""
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
    embedder = await engine.embedder.resolved()
    began = time.perf_counter()
    vector = await embedder.embed_query(question.text)
    embedded = time.perf_counter()
    # The embedder caches the query, so the next call measures the search without the embedding.
    result = await find_passages(question.text, 10, Scope(), sources_of(Call(engine, LOCAL)))
    searched = time.perf_counter()
    lexical = (await engine.full_text.search_text(question.text, CANDIDATES)).hits
    dense = await engine.vectors.nearest(vector, CANDIDATES)
    unit = similarity_unit(await engine.embedder.separation())
    rankings = {
        "BM25": [hit.chunk_id for hit in lexical[:10]],
        "dense": [hit.chunk_id for hit in dense[:10]],
        "RRF": reciprocal_rank_fusion(dense, lexical)[:10],
        "min-max": min_max_fusion(dense, lexical)[:10],
        "fused": [fused.chunk_id for fused in fuse(dense, lexical, CANDIDATES, unit=unit)[:10]],
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
        f"{score('min-max')}    {score('fused')}  {score('ours')}  {halves}    "
        f"{score('ours', held_out)}   {TARGETS[name]:.3f}  "
        f"{times[9]:5.1f} {times[18]:6.1f}   {embed[9]:5.1f} {embed[18]:6.1f}{answered}",
        flush=True,
    )


# --- whole documents ----------------------------------------------------------------------------


async def pieces(data: Path, embedder: str, k: int = 5) -> None:
    """Print recall, precision and intersection over union of the characters found."""
    documents = SHARED_DATA / "retrieval" / "chunking" / "docs"
    places = {path.name: places_in(path) for path in documents.glob("*.md")}
    wanted = {r["id"]: r for r in lines(documents.parent / "references.jsonl")}
    sums = [0.0, 0.0, 0.0, 0.0]
    async with open_engine(engine_config(data / "pieces", embedder)) as engine:
        call = Call(engine, LOCAL)
        await BY_NAME["ingest"](call, {"paths": [str(documents)]})
        await engine.ingestion.wait_until_embedded()
        await engine.vectors.wait_until_current()
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
    """Return a text without white space, and the position of each of its characters."""
    text = path.read_bytes().decode().replace("\r\n", "\n")
    at = [i for i, character in enumerate(text) if not character.isspace()]
    return "".join(text[i] for i in at), at


def place_of(text: str, bare: str, at: Sequence[int]) -> range:
    wanted = "".join(text.split())
    start = bare.index(wanted)
    return range(at[start], at[start + len(wanted) - 1] + 1)


def covered(spans: Iterable[tuple[int, int] | range]) -> list[range]:
    """Return the spans in order, merged where they overlap."""
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


async def latency(data: Path, embedder_name: str, chunks: int = 20_000) -> None:
    """Print the times of searches in many chunks, and of their lower bounds."""
    names = ["cosqa", "squad", "chunking", "cacm", "cranfield", "med"]
    folder = SHARED_DATA / "retrieval"
    async with open_engine(engine_config(data / "latency", embedder_name)) as engine:
        await publish_many(
            engine, [d for n in names for d in lines(folder / n / "corpus.jsonl")], chunks
        )
        embedder = await engine.embedder.resolved()
        await engine.vectors.wait_until_current()
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
        gc.freeze()  # as the daemon does after its imports
        vectors: list[Vector] = []
        for text in asked:
            await timed("embedding of the query", embedder.embed_query(text))
            vectors.append(await embedder.embed_query(text))  # cached from now on
            await timed("search without it", find_passages(text, 5, Scope(), sources))
            await timed("  full text alone", engine.full_text.search_text(text, CANDIDATES))
            await timed("  vectors alone", engine.vectors.nearest(vectors[-1], CANDIDATES))
            await timed("explain", explain_passages(text, 5, Scope(), sources))
        # Separately, because the threads of the product keep a core busy for a while.
        for vector in vectors:
            await timed("  bare product of matrix and vector", product(vector))
        serves = (await engine.vectors.status()).state
    print(f"{chunks:,} chunks, {len(asked)} questions, store {serves}; ms".ljust(56) + "p50    p95")
    for name, taken in times.items():
        cuts = quantiles(taken, n=20)
        print(f"{name:<50}{cuts[9]:>9.1f}{cuts[18]:>7.1f}", flush=True)


async def publish_many(engine: Engine, texts: Sequence[dict[str, str]], chunks: int) -> None:
    """Index real texts, then texts mixed from their halves, with random vectors.

    A search takes at least as long as with real vectors, because random ones form no clusters.
    """
    workspace = await engine.catalog.add_workspace("/latency")
    if await engine.catalog.documents(workspace.id):
        return
    embedder = await engine.embedder.resolved()
    vectors = np.random.default_rng(0).standard_normal((chunks, 384), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    mixed = [
        {**d, "text": f"{d['text'][len(d['text']) // 2 :]} {e['text'][: len(e['text']) // 2]}"}
        for d, e in zip(texts, reversed(texts), strict=True)
    ]
    for number, document in enumerate([*texts, *mixed][:chunks]):
        path, chunk = f"/latency/{letters(number)}", chunk_of(document)
        await publish_chunk(engine, workspace, path, chunk, embedder.identity, vectors[number])


async def run(
    names: Sequence[str], data: Path, every: int, embedder: str, *, together: bool
) -> None:
    print("set         asked  BM25   dense  RRF    min-max  fused  ours   halves         held out "
          "target  search p50/p95  embed p50/p95 (ms)")  # fmt: skip
    for group in [names] if together else [[name] for name in names]:
        async with open_engine(engine_config(data / "-".join(group), embedder)) as engine:
            ids: dict[str, str] = {}
            for name in group:
                corpus = list(lines(SHARED_DATA / "retrieval" / name / "corpus.jsonl"))
                ids |= await publish(engine, f"/{name}", corpus)
            for name in group:
                asked = questions(SHARED_DATA / "retrieval" / name, every)
                report(name, [await ask(engine, question, ids) for question in asked])


def engine_config(directory: Path, embedder: str = f"local/{MODEL}") -> Config:
    return Config(data_dir=directory, embedder=embedder, chat_provider="scripted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    everything = [*TARGETS, "pieces", "latency"]
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(everything))
    parser.add_argument("--data", type=Path, help="keep the indexes here")
    parser.add_argument("--together", action="store_true", help="one index for all sets")
    parser.add_argument("--every", type=int, default=1, help="ask every N-th question only")
    parser.add_argument("--embedder", default=f"local/{MODEL}", help="as in the settings")
    options = parser.parse_args()
    chosen: list[str] = options.sets or everything
    if unknown := set(chosen).difference(everything):
        parser.error(f"unknown sets: {', '.join(sorted(unknown))}")
    if not (SHARED_DATA / "retrieval").exists():
        raise SystemExit(f"There are no retrieval sets in {SHARED_DATA}.")
    with tempfile.TemporaryDirectory() as temporary:
        embedder: str = options.embedder
        data = (options.data or Path(temporary)) / embedder.replace("/", "_")
        if sets := [name for name in chosen if name in TARGETS]:
            asyncio.run(run(sets, data, options.every, embedder, together=options.together))
        for name, measure in (("pieces", pieces), ("latency", latency)):
            if name in chosen:
                asyncio.run(measure(data, embedder))


if __name__ == "__main__":
    main()
