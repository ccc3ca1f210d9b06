"""How results are laid out: places, columns and snippets that fit any width.

Lines are `Text` that rich neither wraps nor crops, so that a path stays whole, and can be copied
and clicked, whatever the width is.
"""

import os
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from re import finditer
from typing import Any

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.style import Style
from rich.text import Text

from allma_server._internal.lines import split_lines
from allma_server._internal.path_text import actual, readable
from allma_server._internal.tokens import lexemes, query_terms
from allma_server.cli.streams import CONTROLS

SNIPPET_LINES = 6
READABLE = 100
"""Prose in longer lines is hard to read, however wide the terminal is."""


@dataclass(frozen=True, slots=True)
class Page:
    """Where results are printed. `words` are highlighted; paths below `cwd` are shown from it."""

    console: Console
    cwd: str = ""
    words: str = ""

    @property
    def terminal(self) -> bool:
        """Whether somebody looks at it directly."""
        return self.console.is_interactive

    @property
    def width(self) -> int:
        return self.console.width

    def print(self, item: RenderableType) -> None:
        """Prints a line of `Text` as it is, and anything else in the width there is."""
        if not isinstance(item, Text):
            self.console.print(item)
            return
        if self.terminal:
            item.plain = item.plain.translate(CONTROLS)
        self.console.print(item, soft_wrap=True)

    def place(
        self, path: str, line: int | None = None, style: str = "bold cyan", *, whole: bool = False
    ) -> Text:
        """A path, or a line of it, as terminals and editors recognise it; a link on terminals."""
        below = self.cwd and not whole
        named = path.removeprefix(self.cwd.rstrip(os.sep) + os.sep) if below else path
        text = Text(readable(f"{named}:{line}" if line else named), style=style)
        if self.terminal and Path(path).is_absolute():
            text.stylize(Style(link=Path(actual(path)).as_uri()))
        return text

    def columns(self, rows: Sequence[Sequence[str | Text]]) -> Iterator[Text]:
        """Rows with aligned columns; the last stands below the others where it has no room."""
        cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
        if not cells:
            return
        widths = [max(cell.cell_len for cell in column) for column in zip(*cells, strict=True)]
        fixed = sum(widths[:-1]) + 2 * (len(widths) - 1)
        last = max(row[-1].cell_len for row in cells)
        below = self.terminal and fixed + min(last, 24) > self.width
        for row in cells:
            line = Text()
            for cell, width in zip(row[:-1], widths, strict=False):
                line += cell + Text(" " * (width - cell.cell_len + 2))
            if below:
                line.rstrip()
                line.append("\n    ")
            yield line + row[-1]

    def facts(self, *facts: tuple[str, str | Text | None]) -> Iterator[Text]:
        """Labels and what they stand for; without those that stand for nothing."""
        yield from self.columns([(label, value) for label, value in facts if value is not None])

    def snippet(self, text: str, indent: str = "    ") -> Iterator[Text]:
        """The lines of a passage that say most about the page's words, which are highlighted."""
        terms = frozenset(query_terms(self.words).terms)
        rows = _rows(text, min(self.width, READABLE) - len(indent))
        found = [_matches(row, terms) for row in rows]
        first = _best([frozenset(term for *_, term in row) for row in found])
        for row, spans in list(zip(rows, found, strict=True))[first : first + SNIPPET_LINES]:
            line = Text(row)
            for start, end, _ in spans:
                line.stylize("bold yellow", start, end)
            yield Text(indent) + line


View = Iterable[RenderableType]
"""What a result looks like, item by item."""

Views = dict[type, Callable[[Any, Page], View]]
"""The views of results, by type."""


def page_of(console: Console, words: str = "") -> Page:
    """The page that a console shows, seen from the current directory."""
    try:
        cwd = os.getcwd()
    except FileNotFoundError:
        cwd = ""
    return Page(console, cwd, words)


def _rows(text: str, width: int) -> list[str]:
    """A passage's lines, cut to the width, without the blank ones and common indentation."""
    rows: list[str] = []
    for line in split_lines(textwrap.dedent(text.expandtabs(4))):
        margin = line[: len(line) - len(line.lstrip())][: width // 2]
        rows += textwrap.wrap(
            line, max(width, 16), subsequent_indent=margin, replace_whitespace=False
        )
    return rows


def _matches(row: str, terms: frozenset[str]) -> list[tuple[int, int, str]]:
    """Words of a row that a search for `terms` would find: start, end and the term."""
    return [
        (word.start(), word.end(), term)
        for word in finditer(r"\w+", row)
        for term in terms.intersection(lexemes(word.group()))
    ]


def _best(found: Sequence[frozenset[str]]) -> int:
    """The first row of the window that has most of the terms."""
    starts = range(max(1, len(found) - SNIPPET_LINES + 1))
    return max(starts, key=lambda at: len(_union(found[at : at + SNIPPET_LINES])))


def _union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*sets)


def moment(iso: str) -> str:
    """A stored time as the user's clock shows it, to the minute."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M")


def count(number: int, noun: str) -> str:
    """`1 chunk`, `2 chunks`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def fits(text: str, width: int) -> str:
    """A title cut to a width, with an ellipsis where something is missing."""
    line = Text(" ".join(text.split()))
    line.truncate(width, overflow="ellipsis")
    return line.plain if cell_len(line.plain) else "(untitled)"
