"""Measure how much text of office documents is kept.

Run `python -m tests.benchmarks.office_formats [--fetch] [-v] [FORMAT…]`.

`office_files.py` fetches the documents. The gold of a document is its text as LibreOffice or pandoc
writes it: sheets as CSV with values as shown, slides as the paragraphs of an OpenDocument file.
Kept is the share of its words that the reader keeps, as multisets, over all documents of a format
that it can read; the others are listed with its reason.
"""

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from allma_server.documents.readers import reader_for
from allma_server.errors import AllmaError
from tests.benchmarks.office_files import documents, fetch
from tests.benchmarks.words import words

etree: Any = import_module("lxml.etree")

SHEETS = "csv:Text - txt - csv (StarCalc):9,34,76,1,,0,false,true,true,false,false,-1"
TARGETS = {
    "xlsx": SHEETS, "xlsb": SHEETS, "xls": SHEETS, "ods": SHEETS, "odt": "txt:Text (encoded):UTF8",
    "docx": "txt:Text (encoded):UTF8", "rtf": "txt:Text (encoded):UTF8",
    "pptx": "fodp", "odp": "fodp", "epub": "plain",
}  # fmt: skip
MIDNIGHT = re.compile(r"(?<=\d) 0?0:00(?::00)?\b")
"""The time of a date without one, which LibreOffice shows in some formats."""

ZEROS = re.compile(r"\b0+(?=\d)")
"""Leading zeros, which only one of `2026-04-01` and `4/1/2026` has."""

PER_PROCESS, SECONDS = 20, 180
"""How many documents one process of LibreOffice converts, and how long it may take."""

REFUSED = {
    "testEXCEL_4.xls": "older than the format of Excel 5",
    "testODTnotaZipFile.odt": "a text",
    "testWORD_missing_ooxml_bean1.docx": "two letters in a broken drawing",
}
"""Documents that need not be read, and why."""

KEPT_GOAL = 0.97
FEWEST = 5


@dataclass
class Score:
    """The sums over the documents of a format."""

    files: int = 0
    wanted: int = 0
    kept: int = 0
    cpu: float = 0.0
    refused: list[str] = field(default_factory=list[str])
    worst: list[tuple[float, str, str]] = field(default_factory=list[tuple[float, str, str]])


def gold(kind: str, files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield the text of each document as another program writes it, if it can read it."""
    rest = iter(files)
    with tempfile.TemporaryDirectory() as place:
        while batch := list(islice(rest, PER_PROCESS)):
            out = Path(place) / "out"
            out.mkdir()
            copies = [out / f"{number}.{kind}" for number in range(len(batch))]
            for file, copy in zip(batch, copies, strict=True):
                shutil.copy(file, copy)
            convert(kind, copies, Path(place) / "home")
            for file, copy in zip(batch, copies, strict=True):
                copy.unlink()
                if parts := [*out.glob(f"{copy.stem}.*"), *out.glob(f"{copy.stem}-*.csv")]:
                    text = "\n".join(map(_text, parts))
                    yield file, text
            shutil.rmtree(out)


def convert(kind: str, files: Sequence[Path], home: Path) -> None:
    """Write the text of documents beside them, with LibreOffice or pandoc."""
    programs: list[list[str]] = []
    if kind == "epub":
        for file in files:
            text = str(file.with_suffix(".txt"))
            programs.append(["pandoc", "-t", "plain", str(file), "-o", text])
    else:
        where = f"-env:UserInstallation=file://{home}"
        programs.append(["soffice", where, "--headless", "--convert-to", TARGETS[kind],
                         "--outdir", str(files[0].parent), *map(str, files)])  # fmt: skip
    for program in programs:
        # Some documents are damaged, and LibreOffice ends or hangs on one or the other.
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(program, timeout=SECONDS, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)  # fmt: skip


def _text(path: Path) -> str:
    if path.suffix != ".fodp":
        return path.read_text("utf-8-sig", "replace")
    # Not the text of a PDF: it has the numbers along the axes of charts, and words in halves.
    root = etree.parse(path, etree.XMLParser(huge_tree=True)).getroot()
    body = root.find("{*}body")
    return "\n".join("".join(_pieces(each)) for each in body.iter("{*}p", "{*}h"))


def _pieces(paragraph: Any) -> Iterator[str]:
    yield paragraph.text or ""
    for part in paragraph:
        kind = part.tag.rpartition("}")[2] if isinstance(part.tag, str) else ""
        if kind in ("s", "tab", "line-break"):
            yield " "
        elif kind not in ("page-number", "date", "time", "p"):
            yield from _pieces(part)
        yield part.tail or ""


def counted(kind: str, text: str) -> Counter[str]:
    """Return the words of a text; in sheets, dates are written in several ways."""
    return words(ZEROS.sub("", MIDNIGHT.sub("", text)) if TARGETS[kind] == SHEETS else text)


def measure(kind: str) -> Score:
    score = Score()
    for file, text in gold(kind, documents(kind)):
        wanted = counted(kind, text)
        if not wanted:
            continue
        reader = reader_for(file)
        assert reader is not None
        began = time.process_time()
        try:
            found = counted(kind, reader(file.read_bytes(), file).text)
        except AllmaError as exc:
            print(f"not read: {file.name} ({exc})")
            score.refused.append(file.name)
            continue
        score.cpu += time.process_time() - began
        kept = (wanted & found).total()
        score.files += 1
        score.wanted += wanted.total()
        score.kept += kept
        missing = " ".join((wanted - found).keys())[:160]
        score.worst.append((kept / wanted.total(), file.name, missing))
    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("formats", nargs="*", default=list(TARGETS), metavar="FORMAT")
    parser.add_argument("--fetch", action="store_true", help="download and make the documents")
    parser.add_argument("-v", action="store_true", help="show the worst documents")
    options = parser.parse_args()
    absent = [name for name in ("soffice", "pandoc", "npm", "mvn") if shutil.which(name) is None]
    if absent:
        sys.exit(f"missing: {', '.join(absent)} (.ci/office installs them)")
    if options.fetch:
        fetch()
    failed = False
    print("format  files   words    kept   CPU s")
    for kind in options.formats:
        score = measure(kind)
        share = score.kept / max(1, score.wanted)
        failed = failed or share < KEPT_GOAL or score.files < FEWEST
        failed = failed or not REFUSED.keys() >= set(score.refused)
        print(f"{kind:6} {score.files:6} {score.wanted:7} {share:7.4f} {score.cpu:7.2f}")
        for kept, name, missing in sorted(score.worst)[: 4 if options.v else 0]:
            print(f"    {kept:.3f} {name}: {missing}")
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
