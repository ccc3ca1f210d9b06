"""Measure how much text of real documents is indexed: `python -m tests.benchmarks.documents [-v]`.

Every file goes the whole way of the product: worker process with limits, reader, chunker. The
text that is compared with the gold is put together from the chunks, so that text lost in chunking
would show, too. Recall is the share of the gold's words that were found, precision the share of
found words that are in the gold, both as multisets. `CPU s` is the processor time of the workers,
their start included.
"""

import argparse
import asyncio
import json
import re
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from allma_server.documents.chunking import ChunkSettings
from allma_server.documents.pool import ParserPool
from allma_server.documents.worker import Limits
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Parsed
from tests.benchmarks import manuals
from tests.benchmarks.words import words
from tests.conftest import SHARED_DATA

GOALS = {
    "csv": 0.99,
    "docx": 0.97,
    "html": 0.95,
    "json": 0.99,
    "md": 0.99,
    "pdf": 0.96,
    "txt": 0.99,
}
PRECISION_GOAL = 0.95
MANUALS = ["bash", "sqlite", "python", "git", "javadoc"]
"""Documentation pages are as much HTML as articles are, and read in another way."""

SECONDS = 20.0
WORKERS = 2


@dataclass(frozen=True)
class Result:
    """What became of one file. Recall and precision are None without a gold text."""

    file: str
    state: str
    detail: str
    seconds: float
    recall: float | None = None
    precision: float | None = None


async def run(folder: Path) -> tuple[list[Result], dict[str, float]]:
    """What became of each file, and the processor time that each format took."""
    lines = (folder / "manifest.tsv").read_text("utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    results: list[Result] = []
    cpu: dict[str, float] = {}
    for format in sorted({row[0].split("/")[0] for row in rows}):
        before = children_cpu()
        group = [row for row in rows if row[0].startswith(f"{format}/")]
        results += await judged_all(folder, group)
        cpu[format] = children_cpu() - before
    return results, cpu


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def judged_all(folder: Path, rows: list[list[str]]) -> list[Result]:
    pool = ParserPool(Limits(50_000_000, ChunkSettings()), WORKERS, SECONDS)
    turn = asyncio.Semaphore(WORKERS)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(parse_result(pool, turn, folder, row)) for row in rows]
        return [task.result() for task in tasks]
    finally:
        await pool.close()


async def parse_result(
    pool: ParserPool, turn: asyncio.Semaphore, folder: Path, row: list[str]
) -> Result:
    file, what, gold = row[0], row[2], row[4]
    async with turn:
        begun = time.perf_counter()
        try:
            parsed = await pool.parse(str(folder / file))
        except UnreadableDocument as exc:
            state = "skipped" if isinstance(exc, NothingToIndex) else "failed"
            return Result(file, state, str(exc), time.perf_counter() - begun)
        seconds = time.perf_counter() - begun
    want = gold_words(folder, file, gold)
    if want is None:
        return Result(file, "indexed", what, seconds)
    found = words(text_of(parsed))
    shared = (want & found).total()
    recall = shared / want.total() if want else 1.0
    precision = shared / found.total() if found else 1.0
    missing = " ".join(word for word, _ in (want - found).most_common(8))
    return Result(file, "indexed", f"missing: {missing}", seconds, recall, precision)


def text_of(parsed: Parsed) -> str:
    """The text of a document without what chunks repeat."""
    text, end = [], 0
    for chunk in parsed.chunks:
        own = chunk.text[len(chunk.text) - (chunk.end - chunk.start) :]
        text.append(own[max(0, end - chunk.start) :] if chunk.start < end else " " + own)
        end = max(end, chunk.end)
    return "".join(text)


def gold_words(folder: Path, file: str, gold: str) -> Counter[str] | None:
    """The words a document should yield: its gold text, or for plain formats its own."""
    if not gold:
        if not file.startswith(("json/csvkit", "csv/csvkit", "md/", "code/")):
            return None
        # Embedded images and the ends of elements are left out on purpose; what is masked is
        # missed, so that a wrong mask shows.
        text = re.sub(r"base64,\S+", "", plain((folder / file).read_bytes()))
        if file.endswith(".xml"):
            text = re.sub(r"</[^>]*>", " ", text)
        return words(text)
    if gold.endswith("commonmark_examples.json"):
        return words((folder / file).read_text("utf-8"))
    text = (folder / gold).read_text("utf-8", "replace")
    if gold.endswith(".json"):
        keys: dict[str, None] = {}
        text = " ".join([*leaves(json.loads(text), keys), *keys])
    return words(text)


def leaves(value: object, keys: dict[str, None]) -> Iterator[str]:
    """The values in a JSON document, each time they stand there; `keys` takes each key once."""
    if isinstance(value, dict):
        keys |= dict.fromkeys(value)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from leaves(item, keys)
    else:
        yield str(value)


def plain(data: bytes) -> str:
    for encoding in (
        "utf-16" if data[:2] in (b"\xfe\xff", b"\xff\xfe") else "utf-8-sig",
        "latin-1",
    ):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise AssertionError("latin-1 decodes everything")


def report(results: list[Result], cpu: dict[str, float], verbose: bool) -> bool:
    """Prints the table; returns whether all goals are met."""
    by_format: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_format[result.file.split("/")[0]].append(result)
    head = "format files indexed skipped failed  gold recall precision slowest  CPU s"
    print(head)
    good = True
    for name, group in sorted(by_format.items()):
        states = Counter(result.state for result in group)
        recalls = [r.recall for r in group if r.recall is not None]
        precisions = [r.precision for r in group if r.precision is not None]
        shown = [f"{mean(v):.3f}" if v else "-" for v in (recalls, precisions)]
        slowest = max(r.seconds for r in group)
        counts = "".join(f"{states[s]:>8}" for s in ("indexed", "skipped", "failed"))
        print(f"{name:<6}{len(group):>6}{counts}{len(recalls):>6}{shown[0]:>7}{shown[1]:>10}"
              f"{slowest:>7.1f} s{cpu[name]:>7.1f}")  # fmt: skip
        good &= not recalls or name not in GOALS or mean(recalls) >= GOALS[name]
        good &= name != "html" or mean(precisions) >= PRECISION_GOAL
    print(f"CPU of all: {sum(cpu.values()):.1f} s")
    if verbose:
        print("\nworst:")
        for r in sorted((r for r in results if r.recall is not None), key=lambda r: r.recall or 0):
            if (r.recall or 0) < 0.98 or r.file.startswith("html") and (r.precision or 0) < 0.9:
                print(f"  {r.recall:.3f} {r.precision:.3f} {r.file}: {r.detail}")
        print("\nnot indexed:")
        for r in results:
            if r.state != "indexed":
                print(f"  {r.state:<8}{r.seconds:5.1f} s {r.file}: {r.detail}")
        print("\nslowest:")
        for r in sorted(results, key=lambda r: -r.seconds)[:8]:
            print(f"  {r.seconds:5.1f} s {r.file} ({r.state})")
    return good


def report_manuals(verbose: bool) -> bool:
    """Prints what is kept of documentation pages, or what it takes to measure it."""
    print()
    if reason := manuals.missing(MANUALS):
        print(f"documentation pages: not measured; {reason}")
        print("(python -m tests.benchmarks.manuals --fetch)")
        return True
    return manuals.report(MANUALS, verbose)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-v", "--verbose", action="store_true", help="list the worst files")
    folder = SHARED_DATA / "documents"
    if not folder.exists():
        sys.exit(f"There is nothing to measure with: {folder} does not exist.")
    verbose = parser.parse_args().verbose
    good = report(*asyncio.run(run(folder)), verbose)
    sys.exit(0 if report_manuals(verbose) and good else 1)


if __name__ == "__main__":
    main()
