"""Measure how well Allma ranks in other languages than English: nDCG@10 of each method.

    python -m tests.benchmarks.languages [LANGUAGE …] [--data DIR] [--alone]
        [--embedder NAME [--openai-url URL]]

`language_sets/` has a file for each language: 25 passages (`P`) on five subjects, so that each has
close distractors, the questions about each (`?`), and questions on which nothing was tuned
(`?? NUMBER`, with the number of their passage). All languages are in one index, with English
texts as background when the evaluation data are present; `--alone` leaves the background out.

`words` is BM25 over plain Unicode words, `BM25` the full-text index with Allma's terms. `ours` is
the whole search; its second figure is that of the held-out questions.
"""

import argparse
import asyncio
import math
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from allma_server.config import Config
from allma_server.engine import open_engine
from tests.benchmarks.retrieval import Outcome, Question, ask, engine_config, lines, ndcg, publish
from tests.conftest import SHARED_DATA

SETS = Path(__file__).parent / "language_sets"
BACKGROUND = {"med": 1, "chunking": 1, "cranfield": 2, "cosqa": 8}
"""English sets, and of how many of their documents one is taken."""

METHODS = ("words", "BM25", "dense", "RRF", "ours")


@dataclass(frozen=True)
class LanguageSet:
    documents: list[dict[str, str]]
    questions: list[Question]


def read_set(path: Path) -> LanguageSet:
    documents: list[dict[str, str]] = []
    questions: list[Question] = []
    for line in path.read_text("utf-8").splitlines():
        kind, _, text = line.partition(" ")
        number = len(documents)
        if kind == "P":
            documents.append({"id": f"{path.stem}{number + 1}", "title": "", "text": text})
        elif kind in ("?", "??"):
            if held_out := kind == "??":
                about, _, text = text.partition(" ")
                number = int(about)
            name = f"{path.stem}-{len(questions)}"
            relevant = {f"{path.stem}{number}": 1}
            questions.append(Question(name, text, relevant, held_out=held_out))
    return LanguageSet(documents, questions)


class PlainWords:
    """BM25 over words as `\\w+` finds them, without stems or other knowledge of languages."""

    def __init__(self, documents: Sequence[dict[str, str]]) -> None:
        self._ids = [document["id"] for document in documents]
        self._counts = [Counter(words(document["text"])) for document in documents]
        self._frequencies = Counter(word for count in self._counts for word in count)
        self._mean = mean(count.total() for count in self._counts)

    def search(self, query: str) -> list[str]:
        wanted = set(words(query)) & self._frequencies.keys()
        weights = {word: self._idf(self._frequencies[word]) for word in wanted}
        scores = [self._score(count, weights) for count in self._counts]
        best = sorted(range(len(scores)), key=lambda i: -scores[i])[:10]
        return [self._ids[i] for i in best if scores[i] > 0]

    def _idf(self, frequency: int) -> float:
        return math.log(1 + (len(self._ids) - frequency + 0.5) / (frequency + 0.5))

    def _score(self, count: Counter[str], weights: dict[str, float]) -> float:
        k = 1.2 * (0.25 + 0.75 * count.total() / self._mean)
        return sum(w * count[word] * 2.2 / (count[word] + k) for word, w in weights.items())


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def background() -> dict[str, list[dict[str, str]]]:
    folder = SHARED_DATA / "retrieval"
    if not folder.exists():
        return {}
    return {
        name: list(lines(folder / name / "corpus.jsonl"))[::every]
        for name, every in BACKGROUND.items()
    }


def report(name: str, outcomes: Sequence[Outcome]) -> None:
    def score(method: str, chosen: Sequence[Outcome] = outcomes) -> str:
        return f"{mean(o.ndcg[method] for o in chosen):.3f}" if chosen else "    -"

    held_out = [o for o in outcomes if o.question.held_out]
    figures = "  ".join(map(score, METHODS))
    others = "  ".join(score(method, held_out) for method in METHODS)
    print(f"{name:<9}{len(outcomes):>4}  {figures}   {len(held_out):>4}  {others}", flush=True)


async def run(names: Sequence[str], config: Config, *, alone: bool) -> None:
    sets = {name: read_set(SETS / f"{name}.txt") for name in names}
    groups = {} if alone else background()
    groups |= {name: each.documents for name, each in sets.items()}
    plain = PlainWords([document for group in groups.values() for document in group])
    heading = "  ".join(f"{method:<5}" for method in METHODS)
    print(f"set     asked  {heading}   held  {heading}", flush=True)
    everything: list[Outcome] = []
    async with open_engine(config) as engine:
        ids: dict[str, str] = {}
        for name, documents in groups.items():
            ids |= await publish(engine, f"/{name}", documents)
        await engine.vectors.wait_until_current()
        for name, each in sets.items():
            outcomes = [await ask(engine, question, ids) for question in each.questions]
            for outcome in outcomes:
                question = outcome.question
                outcome.ndcg["words"] = ndcg(plain.search(question.text), question.relevant)
            report(name, outcomes)
            everything += outcomes
    report("all", everything)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    known = sorted(path.stem for path in SETS.glob("*.txt"))
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help=", ".join(known))
    parser.add_argument("--data", type=Path, help="keep the index here")
    parser.add_argument("--embedder", help="as in the settings")
    parser.add_argument("--openai-url", help="as in the settings")
    parser.add_argument("--alone", action="store_true", help="without the English background")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = options.data or Path(temporary)
        names = options.languages or known
        config = engine_config(data / "index")
        if options.embedder:
            named = {"embedder": options.embedder, "openai_url": options.openai_url}
            config = config.model_copy(update=named)
        asyncio.run(run(names, config, alone=options.alone))


if __name__ == "__main__":
    main()
