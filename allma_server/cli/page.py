"""Layout of results: paths, columns and snippets for any terminal width.

Lines are `Text`, which is neither wrapped nor cropped, so a path stays whole and can be copied and
clicked.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size

from allma_server._internal.path_text import actual, readable
from allma_server.cli.output import Output, Text
from allma_server.cli.streams import CONTROLS
from allma_server.locations import terminal_links
from allma_server.types import format_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from allma_server.search.snippets import Row
    from allma_server.types import Passage

NOT_BY_LINE = frozenset({None, *"archive docx epub msg odf pdf pptx rtf spreadsheet".split()})
"""Formats, and None for pictures, whose lines only Allma knows."""

MAX_LINE_WIDTH = 100
"""Longer lines of prose are hard to read, even on a wide terminal."""


@dataclass(frozen=True)
class Page:
    """Where results are printed. `words` are highlighted; paths inside `cwd` are relative to it.

    `whole`: passages are not cut.
    """

    output: Output
    cwd: str = ""
    words: str = ""
    whole: bool = False

    @property
    def terminal(self) -> bool:
        """Whether the output goes to a terminal instead of a file or pipe."""
        return self.output.is_interactive

    @property
    def width(self) -> int:
        return self.output.width

    @property
    def indent(self) -> str:
        """What is before the text of a passage."""
        return "    " if self.width >= 40 else " "

    def print(self, item: "Text | RenderableType") -> None:
        """Print a `Text` unwrapped, and anything else wrapped to the width."""
        if isinstance(item, Text):
            item.parts = [part._replace(text=part.text.translate(CONTROLS)) for part in item.parts]
        self.output.print(item)

    def location(
        self,
        path: str,
        line: int | None = None,
        style: str = "bold cyan",
        *,
        whole: bool = False,
        page: int | None = None,
    ) -> Text:
        """Return `path` or `path:line`, as editors open it; on a terminal it is a link.

        The link leads to `page`, if there is one and the viewer can.
        """
        relative = self.cwd and not whole
        name = path.removeprefix(self.cwd.rstrip(os.sep) + os.sep) if relative else path
        is_link = self.terminal and Path(path).is_absolute()
        address = link(actual(path), line, page) if is_link else None
        return Text(readable(f"{name}:{line}" if line else name), style, address)

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
            for at, (cell, width) in enumerate(zip(row[:-1], widths, strict=False), start=2):
                line += cell
                if not below or at < len(row):
                    line.append(" " * (width - cell.cell_len + 2))
            yield Text.of(line, "\n    " if below else "", row[-1])

    def facts(self, *facts: tuple[str, str | Text | None]) -> Iterator[Text]:
        """Align labels and values, leaving out values that are None."""
        yield from self.columns([(label, value) for label, value in facts if value is not None])

    @cached_property
    def terms(self) -> frozenset[str]:
        """What the page's words look for."""
        from allma_server.search.snippets import terms_of  # late: only for passages

        return terms_of(self.words)

    def rows(self, passage: "Passage") -> "Sequence[Row]":
        """Return the rows of a passage to show: those with most of the page's words."""
        from allma_server.search.snippets import best_rows, rows_of  # late: only for passages

        width = min(self.width, MAX_LINE_WIDTH) - len(self.indent) - len(f"{passage.end_line}  ")
        rows = rows_of(passage, self.terms, width)
        return rows if self.whole else best_rows(rows)

    def snippet(self, rows: "Sequence[Row]") -> Iterator[Text]:
        """Render rows with the numbers of their lines, and the page's words highlighted."""
        digits = max((len(str(row.number)) for row in rows if row.number is not None), default=0)
        for row in rows:
            number = f"{row.number if row.begins else '':>{digits}}  " if digits else ""
            line = Text.of(self.indent, (number, "dim"))
            at = 0
            for start, end in sorted({(start, end) for start, end, _ in row.words}):
                line.append(row.text[at:start])
                line.append(row.text[start:end], "bold yellow")
                at = end
            line.append(row.text[at:])
            yield line


View = Iterable["Text | RenderableType"]
"""A rendered result: items to print one after another."""

Views = dict[str, Callable[[Any, Page], View]]
"""Functions that render a result, by the name of its type."""


def page_of(output: Output, words: str = "", *, whole: bool = False) -> Page:
    """Return the page of an output, with paths relative to the current directory."""
    try:
        cwd = os.getcwd()
    except FileNotFoundError:
        cwd = ""
    return Page(output, cwd, words, whole)


def link(path: str, line: int | None, page: int | None = None) -> str | None:
    """Return the address of a page or line for this terminal's links; None if it has none.

    Viewers of PDF open a page. Those of Office documents and books open only the file.
    """
    kind = terminal_links()
    if kind == "none":
        return None
    uri = Path(path).as_uri()
    place = {"line": f"#L{line}", "number": f"#{line}", "file": ""}[kind] if line else ""
    if format_of(path) in NOT_BY_LINE:
        place = f"#page={page}" if page and place and format_of(path) == "pdf" else ""
    return f"{uri}{place}"


def local_time(iso: str) -> str:
    """Format a stored time in the local time zone, to the minute."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M")


def count(number: int, noun: str) -> str:
    """Format a number with its noun: `1 chunk`, `2 chunks`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shorten(text: str, width: int) -> str:
    """Shorten a title to a width, with an ellipsis."""
    line = " ".join(text.split())
    if cell_len(line) > width:
        line = set_cell_size(line, width - 1) + "…"
    return line if cell_len(line) else "(untitled)"
