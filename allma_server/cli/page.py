"""Layout of results: paths, columns and snippets for any terminal width.

Lines are `Text`, which rich neither wraps nor crops here, so a path stays whole and can be copied
and clicked.
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
MAX_LINE_WIDTH = 100
"""Longer lines of prose are hard to read, even on a wide terminal."""


@dataclass(frozen=True, slots=True)
class Page:
    """Where results are printed. `words` are highlighted; paths inside `cwd` are relative to it."""

    console: Console
    cwd: str = ""
    words: str = ""

    @property
    def terminal(self) -> bool:
        """Whether the output goes to a terminal instead of a file or pipe."""
        return self.console.is_interactive

    @property
    def width(self) -> int:
        return self.console.width

    def print(self, item: RenderableType) -> None:
        """Print a `Text` unwrapped, and anything else wrapped to the width."""
        if not isinstance(item, Text):
            self.console.print(item)
            return
        if self.terminal:
            item.plain = item.plain.translate(CONTROLS)
        self.console.print(item, soft_wrap=True)

    def location(
        self, path: str, line: int | None = None, style: str = "bold cyan", *, whole: bool = False
    ) -> Text:
        """Return `path` or `path:line`, as editors open it; on a terminal it is a link."""
        relative = self.cwd and not whole
        name = path.removeprefix(self.cwd.rstrip(os.sep) + os.sep) if relative else path
        text = Text(readable(f"{name}:{line}" if line else name), style=style)
        if self.terminal and Path(path).is_absolute():
            text.stylize(Style(link=Path(actual(path)).as_uri()))
        return text

    def columns(self, rows: Sequence[Sequence[str | Text]]) -> Iterator[Text]:
        """Align rows in columns; the last cell goes on its own line where it does not fit."""
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
        """Align labels and values, leaving out values that are None."""
        yield from self.columns([(label, value) for label, value in facts if value is not None])

    def snippet(self, text: str, indent: str = "    ") -> Iterator[Text]:
        """Return the lines of a passage with most of the page's words, which are highlighted."""
        terms = frozenset(query_terms(self.words).terms)
        rows = _rows(text, min(self.width, MAX_LINE_WIDTH) - len(indent))
        found = [_matches(row, terms) for row in rows]
        first = _best([frozenset(term for *_, term in row) for row in found])
        for row, spans in list(zip(rows, found, strict=True))[first : first + SNIPPET_LINES]:
            line = Text(row)
            for start, end, _ in spans:
                line.stylize("bold yellow", start, end)
            yield Text(indent) + line


View = Iterable[RenderableType]
"""A rendered result: items to print one after another."""

Views = dict[type, Callable[[Any, Page], View]]
"""Functions that render a result, by its type."""


def page_of(console: Console, words: str = "") -> Page:
    """Return the page of a console, with paths relative to the current directory."""
    try:
        cwd = os.getcwd()
    except FileNotFoundError:
        cwd = ""
    return Page(console, cwd, words)


def _rows(text: str, width: int) -> list[str]:
    """Wrap a passage to the width, without blank lines and common indentation."""
    rows: list[str] = []
    for line in split_lines(textwrap.dedent(text.expandtabs(4))):
        margin = line[: len(line) - len(line.lstrip())][: width // 2]
        rows += textwrap.wrap(
            line, max(width, 16), subsequent_indent=margin, replace_whitespace=False
        )
    return rows


def _matches(row: str, terms: frozenset[str]) -> list[tuple[int, int, str]]:
    """Return start, end and term of each word in a row that matches one of `terms`."""
    return [
        (word.start(), word.end(), term)
        for word in finditer(r"\w+", row)
        for term in terms.intersection(lexemes(word.group()))
    ]


def _best(found: Sequence[frozenset[str]]) -> int:
    """Return the first row of the window with the most distinct terms."""
    starts = range(max(1, len(found) - SNIPPET_LINES + 1))
    return max(starts, key=lambda at: len(_union(found[at : at + SNIPPET_LINES])))


def _union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*sets)


def local_time(iso: str) -> str:
    """Format a stored time in the local time zone, to the minute."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M")


def count(number: int, noun: str) -> str:
    """Format a number with its noun: `1 chunk`, `2 chunks`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shorten(text: str, width: int) -> str:
    """Shorten a title to a width, with an ellipsis."""
    line = Text(" ".join(text.split()))
    line.truncate(width, overflow="ellipsis")
    return line.plain if cell_len(line.plain) else "(untitled)"
