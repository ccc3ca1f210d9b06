"""Measure the time and the recall of secret masking: `python -m tests.benchmarks.secrets [-v]`.

The texts are Python's standard library, this project without its tests, and, where they are there,
the evaluation documents (`SHARED_DATA_DIR`) and code of npm packages. Nearly all that they hold is
public, so a masked value is a false one unless it is a sample key; `-v` prints each for a reader to
decide.
`CPU ms/MB` is for a million characters; `share` is the CPU time of masking in per cent of reading
and chunking the same files.
"""

import argparse
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from allma_server.documents.chunking import ChunkSettings, chunk
from allma_server.documents.readers import reader_for
from allma_server.errors import AllmaError
from allma_server.secrets import mask
from allma_server.types import Extract
from tests.conftest import SHARED_DATA

MOST_BYTES = 2_000_000
MOST_FILES = 1_500
SHARE_GOAL = 15.0
"""Per cent of the CPU time of reading and chunking."""

FALSE_GOAL = 1.0
"""Masks in a million characters, over all texts."""

PROJECT = Path(__file__).parents[2]
NODE_MODULES = (Path("/usr/lib/node_modules"), Path("/usr/share/nodejs"))


@dataclass
class Measured:
    """The sums over the files of one folder; times are CPU seconds."""

    name: str
    files: int = 0
    characters: int = 0
    parsing: float = 0.0
    masking: float = 0.0
    hidden: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    @property
    def masked_per_mb(self) -> float:
        return len(self.hidden) * 1e6 / max(self.characters, 1)

    @property
    def share(self) -> float:
        return 100 * self.masking / max(self.parsing, 1e-9)

    def __add__(self, other: "Measured") -> "Measured":
        return Measured(
            "all",
            self.files + other.files,
            self.characters + other.characters,
            self.parsing + other.parsing,
            self.masking + other.masking,
            self.hidden + other.hidden,
        )


def folders() -> dict[str, Path]:
    """What is measured with, by name."""
    found = {"python": Path(sysconfig.get_path("stdlib")), "project": PROJECT / "allma_server"}
    for kind in ("md", "html", "csv", "json", "txt", "code"):
        found[f"documents/{kind}"] = SHARED_DATA / "documents" / kind
    found["articles"] = SHARED_DATA / "retrieval" / "chunking"
    found |= {str(folder): folder for folder in NODE_MODULES}
    return {name: folder for name, folder in found.items() if folder.is_dir()}


def measured(name: str, folder: Path) -> Measured:
    total = Measured(name)
    for path, extract, seconds in islice(extracts(folder), MOST_FILES):
        began = time.process_time()
        chunk(extract, extract.title or "", ChunkSettings())
        total.parsing += seconds + time.process_time() - began
        began = time.process_time()
        masked = mask(extract.text)
        total.masking += time.process_time() - began
        total.files += 1
        total.characters += len(extract.text)
        for span in masked.spans:
            line_start = extract.text.rfind("\n", 0, span.start) + 1
            line = extract.text[max(line_start, span.start - 60) : span.end + 20]
            where = f"{path.relative_to(folder)} ({span.kind})"
            total.hidden.append((where, " ".join(line.split())[:200]))
    return total


def extracts(folder: Path) -> Iterator[tuple[Path, Extract, float]]:
    """The files that are read, with the CPU seconds that it took."""
    for path in sorted(folder.rglob("*")):
        ours = path.relative_to(folder).parts
        if any(part.startswith(".") or part in ("site-packages", "build") for part in ours):
            continue
        reader = reader_for(path)
        if reader is None or not path.is_file() or path.stat().st_size > MOST_BYTES:
            continue
        began = time.process_time()
        try:
            extract = reader(path.read_bytes(), path)
        except (AllmaError, RecursionError, OSError, ValueError):
            continue
        yield path, extract, time.process_time() - began


def report(each: Measured) -> None:
    size = each.characters / 1e6
    print(
        f"{each.name:<24}{each.files:>6}{size:>8.2f}{len(each.hidden):>8}{each.masked_per_mb:>10.2f}"
        f"{1000 * each.masking / max(size, 1e-9):>10.1f}{each.share:>8.1f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-v", "--verbose", action="store_true", help="list what is masked")
    options = parser.parse_args()
    print(
        f"{'texts':<24}{'files':>6}{'MB':>8}{'masked':>8}{'per MB':>10}{'ms/MB':>10}{'share':>10}"
    )
    total = Measured("all")
    for name, folder in folders().items():
        each = measured(name, folder)
        report(each)
        total += each
        if options.verbose:
            for where, line in each.hidden:
                print(f"    {where}: {line}")
    report(total)
    print(dict(Counter(where.partition("(")[2].rstrip(")") for where, _ in total.hidden)))
    sys.exit(0 if total.share <= SHARE_GOAL and total.masked_per_mb <= FALSE_GOAL else 1)


if __name__ == "__main__":
    main()
