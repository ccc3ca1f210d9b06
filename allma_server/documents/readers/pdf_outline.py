"""The outline of a PDF (its bookmarks) as headings of the text on its pages."""

import logging
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument  # pyright: ignore[reportMissingTypeStubs]

Heading = tuple[str, ...]

MOST_ENTRIES = 5_000
MOST_ON_PAGE = 50
_DEEPEST = 8
_LONGEST_TITLE = 200
_PAGE_NUMBER = re.compile(r"(?:\w+\.?\s+)?[\divxlc]{1,6}", re.IGNORECASE)
"""What scanners write into outlines: `Page 7`, which tells nothing of the text."""


def headings_by_page(document: "PdfDocument") -> dict[int, list[Heading]]:
    """For each page, counted from 0, the headings that begin on it, in the order of the outline.

    A heading holds the titles of the entries around it, outermost first.
    """
    from pypdfium2 import PdfiumError  # pyright: ignore[reportMissingTypeStubs]

    # It warns of outlines that go round in circles.
    logging.getLogger("pypdfium2").setLevel(logging.CRITICAL)
    found: dict[int, list[Heading]] = {}
    path: list[str] = []
    try:
        toc = cast("Iterator[Any]", document.get_toc(max_depth=_DEEPEST))  # pyright: ignore[reportUnknownMemberType]
        for entry in islice(toc, MOST_ENTRIES):
            title = " ".join(entry.get_title()[:_LONGEST_TITLE].split())
            path[entry.level :] = [title]
            place = entry.get_dest()
            page: int | None = place.get_index() if place is not None else None
            if page is None or not title or _PAGE_NUMBER.fullmatch(title):
                continue
            on_page = found.setdefault(page, [])
            if len(on_page) < MOST_ON_PAGE:
                on_page.append(tuple(part for part in path if part))
    except PdfiumError:
        pass  # an outline that is damaged is a comfort lost
    return found


def parts(text: str, headings: Sequence[Heading], above: Heading) -> Iterator[tuple[Heading, str]]:
    """The text of a page in parts, each with its heading.

    A part begins at a line with the title of its heading, and what stands before the first of them
    belongs `above`, to the heading open on the page before. Where no title is found, all of the
    page belongs to the first.
    """
    starts = [0]
    owners = [above]
    for heading in headings:
        match = _line_with(heading[-1]).search(text, starts[-1])
        if match is not None:
            starts.append(match.start())
            owners.append(heading)
    if headings and len(starts) == 1:
        owners = [headings[0]]
    for heading, start, end in zip(owners, starts, [*starts[1:], len(text)], strict=True):
        yield heading, text[start:end]


def _line_with(title: str) -> re.Pattern[str]:
    """A line, or several, that are the title and perhaps its number."""
    words = r"\s+".join(map(re.escape, title.split()))
    return re.compile(rf"^[^\S\n]*(?:[\dA-Z][\d.]{{0,12}}[^\S\n]+)?{words}[^\S\n]*$", re.I | re.M)
