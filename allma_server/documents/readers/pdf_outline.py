"""Use the outline of a PDF (its bookmarks) as headings of the text on its pages."""

import logging
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, cast

from pypdfium2 import PdfDocument, PdfiumError  # pyright: ignore[reportMissingTypeStubs]

Heading = tuple[str, ...]

MAX_ENTRIES = 5_000
MAX_ON_PAGE = 50
_MAX_DEPTH = 8
_MAX_TITLE = 200
_PAGE_NUMBER = re.compile(r"(?:\w+\.?\s+)?[\divxlc]{1,6}", re.IGNORECASE)
"""Entries such as `Page 7`, which scanners write and which are no headings."""


def headings_by_page(document: PdfDocument) -> dict[int, list[Heading]]:
    """Return for each page, counted from 0, the headings that begin on it, in outline order.

    A heading includes the titles of the enclosing entries, outermost first.
    """
    # pypdfium2 logs a warning for cyclic outlines.
    logging.getLogger("pypdfium2").setLevel(logging.CRITICAL)
    found: dict[int, list[Heading]] = {}
    path: list[str] = []
    try:
        toc = cast("Iterator[Any]", document.get_toc(max_depth=_MAX_DEPTH))  # pyright: ignore[reportUnknownMemberType]
        for entry in islice(toc, MAX_ENTRIES):
            title = " ".join(entry.get_title()[:_MAX_TITLE].split())
            path[entry.level :] = [title]
            place = entry.get_dest()
            page: int | None = place.get_index() if place is not None else None
            if page is None or not title or _PAGE_NUMBER.fullmatch(title):
                continue
            on_page = found.setdefault(page, [])
            if len(on_page) < MAX_ON_PAGE:
                on_page.append(tuple(part for part in path if part))
    except PdfiumError:
        pass  # a damaged outline is ignored
    return found


def split_by_headings(
    text: str, headings: Sequence[Heading], above: Heading
) -> Iterator[tuple[Heading, str]]:
    """Yield the text of a page in parts, each with its heading.

    A part begins at a line with the title of its heading. The text before the first one belongs to
    `above`, the last heading of the previous page. If no title is found, the whole page belongs to
    the first heading.
    """
    starts = [0]
    owners = [above]
    for heading in headings:
        match = _title_pattern(heading[-1]).search(text, starts[-1])
        if match is not None:
            starts.append(match.start())
            owners.append(heading)
    if headings and len(starts) == 1:
        owners = [headings[0]]
    for heading, start, end in zip(owners, starts, [*starts[1:], len(text)], strict=True):
        yield heading, text[start:end]


def _title_pattern(title: str) -> re.Pattern[str]:
    """Return a pattern for one or more lines that are the title, perhaps with its number."""
    words = r"\s+".join(map(re.escape, title.split()))
    return re.compile(rf"^[^\S\n]*(?:[\dA-Z][\d.]{{0,12}}[^\S\n]+)?{words}[^\S\n]*$", re.I | re.M)
