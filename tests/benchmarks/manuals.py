"""Measure how much text of HTML manuals is kept.

Run `python -m tests.benchmarks.manuals [--fetch] [-v] [NAME…]`.

The manuals are Debian packages, unpacked in a cache folder. The gold of a page is the text that
Chromium shows of it, without navigation (nav, aside, footer and ARIA's names for them). Kept is
the share of its words that the reader keeps, as multisets, over all pages of a manual; headings,
the share of its visible headings that are headings of sections. Not counted are pages that lead
elsewhere at once, and lists of results that a script fills (folders named search). Of manuals of
more than 1,500 pages every n-th page is taken, as the table says.
"""

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from platformdirs import user_cache_path

from allma_server.documents.readers import html as html_reader
from allma_server.errors import NothingToIndex
from tests.benchmarks.browser import Browser, program
from tests.benchmarks.words import words

MANUALS = {
    "bash": "bash-doc",
    "sqlite": "sqlite3-doc",
    "python": "python3.11-doc",
    "git": "git-doc",
    "javadoc": "openjdk-17-doc",
    "postgres": "postgresql-doc-15",
    "doxygen": "libeigen3-doc",
    "gtk-doc": "libglib2.0-doc",
    "mkdocs": "mkdocs-doc",
    "sphinx": "python-flask-doc",
    "apache": "apache2-doc",
    "docbook": "debian-reference-en",
    "help": "libreoffice-help-en-us",
}
KEPT_GOAL = 0.99
MOST_PAGES = 1_500


@dataclass
class Manual:
    """The sums over a manual's pages."""

    pages: int = 0
    step: int = 1
    wanted: int = 0
    kept: int = 0
    headings: int = 0
    headings_kept: int = 0
    cpu: float = 0.0
    worst: list[tuple[float, str, str]] = field(default_factory=list[tuple[float, str, str]])


def folder() -> Path:
    return user_cache_path("allma-benchmarks") / "manuals"


def missing(names: Sequence[str]) -> str | None:
    """What has to be there first; None when all is."""
    if program() is None:
        return "Chromium is missing: apt-get install chromium-headless-shell"
    absent = [MANUALS[name] for name in names if not (folder() / MANUALS[name]).is_dir()]
    if absent:
        return f"packages are missing, which --fetch downloads: {' '.join(absent)}"
    return None


def fetch(names: Sequence[str]) -> None:
    """Downloads and unpacks the packages that are not there yet; installs nothing."""
    folder().mkdir(parents=True, exist_ok=True)
    for name in names:
        package = MANUALS[name]
        if not (folder() / package).is_dir():
            subprocess.run(["apt-get", "download", package], cwd=folder(), check=True)
            [archive] = folder().glob(f"{package}_*.deb")
            subprocess.run(["dpkg-deb", "-x", archive, folder() / package], check=True)
            archive.unlink()


def measured(browser: Browser, package: Path) -> Manual:
    pages = sorted(page for page in package.rglob("*") if page.suffix in (".html", ".htm"))
    pages = [page for page in pages if page.is_file() and page.parent.name != "search"]
    manual = Manual(step=-(-len(pages) // MOST_PAGES))
    for page in pages[:: manual.step]:
        shown = browser.shown(page)
        if shown is None:
            continue
        text, headings = shown
        begun = time.process_time()
        try:
            extract = html_reader.read(page.read_bytes(), PurePath(page))
            found = words(extract.text)
            titles = {title for section in extract.sections for title in section.heading}
        except NothingToIndex:
            found, titles = Counter[str](), set[str]()
        manual.cpu += time.process_time() - begun
        count(manual, page, words(text), found, headings, titles)
    return manual


def count(
    manual: Manual,
    page: Path,
    want: Counter[str],
    found: Counter[str],
    headings: list[str],
    titles: set[str],
) -> None:
    kept = (want & found).total()
    manual.pages += 1
    manual.wanted += want.total()
    manual.kept += kept
    seen = [plain for heading in headings if (plain := plain_heading(heading))]
    manual.headings += len(seen)
    manual.headings_kept += sum(heading in titles for heading in seen)
    if want and kept < KEPT_GOAL * want.total():
        lost = " ".join(word for word, _ in (want - found).most_common(8))
        manual.worst.append((kept / want.total(), page.name, lost))


def plain_heading(heading: str) -> str:
    """A heading without the sign that links to it."""
    return " ".join(heading.strip(" \n\xa0¶#§◆").split())


def report(names: Sequence[str], verbose: bool) -> bool:
    """Prints a row for each manual; returns whether each keeps enough."""
    chromium = program()
    assert chromium is not None
    good = True
    print("manual    pages  of  words   kept  headings  CPU s")
    with Browser(chromium) as browser:
        for name in names:
            manual = measured(browser, folder() / MANUALS[name])
            share = manual.kept / max(1, manual.wanted)
            heads = manual.headings_kept / max(1, manual.headings)
            every = "all" if manual.step == 1 else f"1/{manual.step}"
            print(f"{name:<9}{manual.pages:>6}{every:>5}{manual.wanted:>9}{share:>7.4f}"
                  f"{heads:>8.3f}{manual.cpu:>9.1f}", flush=True)  # fmt: skip
            good &= share >= KEPT_GOAL
            for kept, page, lost in sorted(manual.worst)[: 8 if verbose else 0]:
                print(f"    {kept:.3f} {page}: missing {lost}")
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MANUALS)}; all by default")
    parser.add_argument("--fetch", action="store_true", help="download the packages first")
    parser.add_argument("-v", "--verbose", action="store_true", help="list the worst pages")
    arguments = parser.parse_args()
    names = arguments.names or list(MANUALS)
    if unknown := set(names) - set(MANUALS):
        sys.exit(f"There is no manual {', '.join(sorted(unknown))}.")
    if arguments.fetch:
        fetch(names)
    if reason := missing(names):
        sys.exit(f"There is nothing to measure with: {reason}.")
    sys.exit(0 if report(names, arguments.verbose) else 1)


if __name__ == "__main__":
    main()
