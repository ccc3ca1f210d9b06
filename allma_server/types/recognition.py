"""Text recognition (OCR): what is known of pages that are pictures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

INSTALL_OCR = "pip install 'allma-server[ocr]'"

SCANNED = "scanned_pages"
"""The key of a document's metadata with the pages whose text is still to be recognised."""

RECOGNISED = "ocr_pages"
CONFIDENCE = "ocr_confidence"
FAILED_PAGES = "ocr_failed_pages"
FAILURE = "ocr_failure"
PENDING = "ocr_pending"
"""Keys for the pages that were recognised, how surely, those that failed and why, and whether the
scanned ones will be.
"""


@dataclass(frozen=True, slots=True)
class RecognisedPage:
    """The text of a page, empty if it has none, and how sure the recogniser is, from 0 to 1.

    `problem`: why it could not be recognised.
    """

    text: str
    confidence: float
    problem: str = ""


def page_ranges(pages: Iterable[int]) -> str:
    """Return page numbers as people write them, such as `2, 5-9`."""
    ranges: list[str] = []
    for _, run in groupby(enumerate(sorted(pages)), key=lambda each: each[1] - each[0]):
        numbers = [number for _, number in run]
        ranges.append(f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else str(numbers[0]))
    return ", ".join(ranges)


def page_numbers(ranges: str) -> list[int]:
    """Return the page numbers that `page_ranges` wrote."""
    numbers: list[int] = []
    for part in filter(None, ranges.split(", ")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def recognition_note(metadata: Mapping[str, str]) -> str:
    """Return what the ledger says about text recognition in a document; empty without any."""
    notes: list[str] = []
    if pages := metadata.get(RECOGNISED):
        sure = round(100 * float(metadata[CONFIDENCE]))
        notes.append(f"text of {_pages(pages)} recognised by OCR, confidence {sure} %")
    if pages := metadata.get(FAILED_PAGES):
        notes.append(f"OCR failed on {_pages(pages)}: {metadata[FAILURE].rstrip('.')}")
    if pages := metadata.get(SCANNED):
        without = f"no text layer on {_pages(pages)}: "
        pending = metadata.get(PENDING)
        notes.append(without + ("OCR is pending" if pending else f"`{INSTALL_OCR}` adds OCR"))
    return "; ".join(notes)


def _pages(ranges: str) -> str:
    return f"page {ranges}" if ranges.isdecimal() else f"pages {ranges}"
