"""Measure how much text of office documents is kept.

Run `python -m tests.benchmarks.office_formats [--fetch] [-v] [FORMAT…]`.

The documents come with the sources of Python packages, unpacked in a cache folder; pandoc makes
some of this project's own texts, and SheetJS makes .xlsb files of the .xlsx files. The gold of a
document is its text as LibreOffice or pandoc writes it: sheets as CSV with values as shown, slides
as the text of their PDF. Kept is the share of its words that the reader keeps, as multisets, over
all documents of a format.
"""

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_cache_path
from pypdfium2 import PdfDocument  # pyright: ignore[reportMissingTypeStubs]

from allma_server.documents.readers import reader_for
from allma_server.errors import AllmaError
from tests.benchmarks.words import words

PACKAGES = ("python-pptx==1.0.2", "odfpy==1.4.1", "agate-excel==0.4.2", "tablib==3.10.0",
            "python-calamine==0.9.1")  # fmt: skip
MADE = {"docx": "docx", "odt": "odt", "rtf": "rtf", "epub": "epub", "pptx": "pptx"}
"""Formats of documents that pandoc makes, and what it calls them."""

TEXTS = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "tests/fixtures/README.md",
         "extensions/README.md", "extensions/vscode/README.md")  # fmt: skip
SHEETS = "csv:Text - txt - csv (StarCalc):9,34,76,1,,0,false,true,false,false,false,-1"
TARGETS = {
    "xlsx": SHEETS, "xlsb": SHEETS, "xls": SHEETS, "ods": SHEETS, "odt": "txt:Text (encoded):UTF8",
    "docx": "txt:Text (encoded):UTF8", "rtf": "txt:Text (encoded):UTF8", "pptx": "pdf",
    "odp": "pdf", "epub": "plain",
}  # fmt: skip
SHEETJS = "xlsx@0.16.9"
"""The package of npm that makes .xlsb files of .xlsx files, with the script below."""

CONVERT = """
const sheets = require("xlsx"), [from, to] = process.argv.slice(1);
sheets.writeFile(sheets.readFile(from, { cellNF: true }), to);
"""
MIDNIGHT = re.compile(r"(?<=\d) 00:00(?::00)?\b")
"""The time of a date without one, which LibreOffice shows in some formats."""

KEPT_GOAL = 0.97
FEWEST = 5
ROOT = Path(__file__).parents[2]


@dataclass
class Score:
    """The sums over the documents of a format."""

    files: int = 0
    wanted: int = 0
    kept: int = 0
    cpu: float = 0.0
    worst: list[tuple[float, str, str]] = field(default_factory=list[tuple[float, str, str]])


def folder() -> Path:
    return user_cache_path("allma-benchmarks") / "office"


def fetch() -> None:
    """Download and unpack the sources, and make documents of this project's texts."""
    folder().mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        name = package.partition("==")[0]
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", name]
        subprocess.run([*command, "-d", str(folder()), package], check=True)
    for archive in folder().glob("*.tar.gz"):
        with tarfile.open(archive) as opened:
            opened.extractall(folder(), filter="data")
    for number, text in enumerate(path for path in TEXTS if (ROOT / path).is_file()):
        for kind in MADE:
            made = folder() / "made" / f"{number}.{kind}"
            made.parent.mkdir(exist_ok=True)
            source = str(ROOT / text)
            subprocess.run(["pandoc", "-s", "-f", "gfm", source, "-o", str(made)], check=True)

    make_xlsb()


def make_xlsb() -> None:
    """Make .xlsb files of the .xlsx files that can be read."""
    place = folder() / "node"
    place.mkdir(exist_ok=True)
    quiet = ("--silent", "--no-fund", "--no-audit")
    subprocess.run(["npm", "install", *quiet, "--prefix", str(place), SHEETJS], check=True)
    for number, file in enumerate(documents("xlsx")):
        made = str(folder() / "made" / f"{number}.xlsb")
        command = ["node", "-e", CONVERT, str(file), made]
        with contextlib.suppress(subprocess.TimeoutExpired):  # a sheet of a million empty rows
            subprocess.run(command, cwd=place, timeout=20, stderr=subprocess.DEVNULL)


def documents(kind: str) -> list[Path]:
    return sorted(path for path in folder().rglob(f"*.{kind}") if path.stat().st_size)


def gold(kind: str, files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield the text of each document as another program writes it."""
    with tempfile.TemporaryDirectory() as place:
        copies = [Path(place) / f"{number}.{kind}" for number in range(len(files))]
        for file, copy in zip(files, copies, strict=True):
            shutil.copy(file, copy)
        out = Path(place) / "out"
        out.mkdir()
        if kind == "epub":
            for copy in copies:
                target = str(out / f"{copy.stem}.txt")
                subprocess.run(["pandoc", "-t", "plain", str(copy), "-o", target], check=True)
        else:
            home = f"-env:UserInstallation=file://{place}/home"
            command = ["soffice", home, "--headless", "--convert-to", TARGETS[kind]]
            made = [str(copy) for copy in copies]
            subprocess.run([*command, "--outdir", str(out), *made], check=True, timeout=900,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        for file, copy in zip(files, copies, strict=True):
            parts = [*out.glob(f"{copy.stem}.*"), *out.glob(f"{copy.stem}-*.csv")]
            if parts:
                text = "\n".join(map(_text, parts))
                yield file, MIDNIGHT.sub("", text) if TARGETS[kind] == SHEETS else text


def _text(path: Path) -> str:
    if path.suffix != ".pdf":
        return path.read_text("utf-8-sig", "replace")
    pdf = PdfDocument(path)
    return "\n".join(page.get_textpage().get_text_bounded() for page in pdf)


def measure(kind: str) -> Score:
    score = Score()
    for file, text in gold(kind, documents(kind)):
        wanted = words(text)
        if not wanted:
            continue
        reader = reader_for(file)
        assert reader is not None
        began = time.process_time()
        try:
            found = words(reader(file.read_bytes(), file).text)
        except AllmaError as exc:
            found = Counter[str]()
            print(f"{file.name}: {exc}")
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
    absent = [name for name in ("soffice", "pandoc", "npm") if shutil.which(name) is None]
    if absent:
        sys.exit(f"missing: {', '.join(absent)} (libreoffice-*-nogui, pandoc and npm of Debian)")
    if options.fetch:
        fetch()
    failed = False
    print("format  files   words    kept   CPU s")
    for kind in options.formats:
        score = measure(kind)
        share = score.kept / max(1, score.wanted)
        failed = failed or share < KEPT_GOAL or score.files < FEWEST
        print(f"{kind:6} {score.files:6} {score.wanted:7} {share:7.4f} {score.cpu:7.2f}")
        for kept, name, missing in sorted(score.worst)[: 4 if options.v else 0]:
            print(f"    {kept:.3f} {name}: {missing}")
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
