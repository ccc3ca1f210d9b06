"""Put recognised text (OCR) in its place among the sections of a document."""

from collections.abc import Mapping
from dataclasses import replace

from allma_server.documents.builder import DocumentBuilder
from allma_server.errors import NothingToIndex
from allma_server.types import (
    CONFIDENCE,
    FAILED_PAGES,
    FAILURE,
    PENDING,
    RECOGNISED,
    SCANNED,
    Extract,
    RecognisedPage,
    Section,
    page_numbers,
    page_ranges,
)

HEADING = "recognised text (OCR)"
"""The heading of recognised text: people and models who read it know that letters may be wrong."""


def with_recognised(extract: Extract, pages: Mapping[int, RecognisedPage]) -> Extract:
    """Return a document with the text of its scanned pages, as far as it is recognised.

    Raises:
        NothingToIndex: all of them were recognised, and there is no text.
    """
    scanned = page_numbers(extract.metadata.get(SCANNED, ""))
    if not scanned:
        return extract
    pages = {number: pages[number] for number in scanned if number in pages}
    metadata = extract.metadata | _metadata(scanned, pages)
    if not any(page.text for page in pages.values()):
        if not extract.text and not metadata[SCANNED]:
            raise NothingToIndex(_why_empty(pages))
        return replace(extract, metadata=_without_blanks(metadata))
    return replace(_merged(extract, pages), metadata=_without_blanks(metadata))


def _metadata(scanned: list[int], pages: Mapping[int, RecognisedPage]) -> dict[str, str]:
    failed = [number for number, page in pages.items() if page.problem]
    with_text = {number: page for number, page in pages.items() if page.text}
    letters = sum(len(page.text) for page in with_text.values())
    sure = sum(page.confidence * len(page.text) for page in with_text.values())
    left = [number for number in scanned if number not in pages]
    return {
        SCANNED: page_ranges(left),
        PENDING: "yes" if left else "",
        RECOGNISED: page_ranges(with_text),
        CONFIDENCE: f"{sure / letters:.3f}" if letters else "",
        FAILED_PAGES: page_ranges(failed),
        FAILURE: pages[failed[0]].problem if failed else "",
    }


def _without_blanks(metadata: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if value}


def _why_empty(pages: Mapping[int, RecognisedPage]) -> str:
    problems = [page.problem for page in pages.values() if page.problem]
    return f"OCR failed on it: {problems[0]}" if problems else "OCR found no text in it."


def _merged(extract: Extract, pages: Mapping[int, RecognisedPage]) -> Extract:
    document = DocumentBuilder()
    waiting = [(number, page.text) for number, page in sorted(pages.items())]

    def add_until(end: float) -> None:
        while waiting and waiting[0][0] < end:
            number, text = waiting.pop(0)
            document.add_section(text, Section(0, 0, heading=(HEADING,), page=number))

    for section in extract.sections:
        # What is attached has no page, and follows the pages.
        add_until(float("inf") if section.page is None else section.page)
        breaks = tuple(offset - section.start for offset in section.breaks)
        text = extract.text[section.start : section.end]
        document.add_section(text, replace(section, breaks=breaks))
    add_until(float("inf"))
    return document.build("OCR found no text in it.", title=extract.title)
