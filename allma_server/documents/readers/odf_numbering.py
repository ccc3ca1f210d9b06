"""Numbers of lists and headings in OpenDocument: people refer to `section 3.1.2`."""

from dataclasses import dataclass
from typing import Any

from allma_server.documents.readers.elements import attribute, name
from allma_server.documents.readers.numerals import numeral
from allma_server.documents.readers.odf_text import repeated

# lxml has no type annotations.
_Element = Any


@dataclass(frozen=True, slots=True)
class _Level:
    """How headings of a level are numbered; `shown` is how many levels their number has."""

    format: str
    before: str
    after: str
    shown: int
    start: int


class HeadingNumbers:
    """Numbers the headings of a document in their order, as its outline style demands."""

    def __init__(self, *roots: _Element) -> None:
        self._levels = {
            repeated(each, "level"): _Level(
                attribute(each, "num-format"),
                attribute(each, "num-prefix"),
                attribute(each, "num-suffix"),
                repeated(each, "display-levels"),
                repeated(each, "start-value"),
            )
            for root in roots
            if root is not None
            for style in root.iter("{*}outline-style")
            for each in style
            if name(each) == "outline-level-style"
        }
        self._counts: dict[int, int] = {}

    def next(self, heading: _Element, depth: int) -> str:
        """Return the number of the next heading, at a level from 1; empty if it has none."""
        level = self._levels.get(depth)
        if level is None or attribute(heading, "is-list-header") == "true":
            return ""
        self._counts[depth] = self._counts.get(depth, level.start - 1) + 1
        self._counts = {each: count for each, count in self._counts.items() if each <= depth}
        if not level.format:
            return ""
        shown = range(max(1, depth - level.shown + 1), depth + 1)
        parts = [
            numeral(self._counts.get(each, self._levels[each].start), self._levels[each].format)
            for each in shown
            if each in self._levels and self._levels[each].format
        ]
        return f"{level.before}{'.'.join(parts)}{level.after}"


def numbered_levels(*roots: _Element) -> frozenset[tuple[str, int]]:
    """Return which levels of which list styles have numbers instead of bullets."""
    return frozenset(
        (attribute(style, "name"), repeated(level, "level"))
        for root in roots
        if root is not None
        for style in root.iter("{*}list-style")
        for level in style
        if name(level) == "list-level-style-number" and attribute(level, "num-format")
    )
