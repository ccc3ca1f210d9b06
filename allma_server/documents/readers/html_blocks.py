"""Convert a parsed web page to blocks in reading order: headings, paragraphs, items, code, tables.

Only visible elements are included. Each line of a block has the line number in the file.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from allma_server.documents.builder import split_lines

LINE = "allma-line"
"""The attribute with an element's line, in files with more lines than the parser can count."""

PARSER_LINES = 65_534
"""The highest line number that the parser can store."""

_BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form header hgroup hr legend li main menu nav ol optgroup p search "
    "section summary ul".split()
)
_PARTS = frozenset(
    "article aside blockquote dl form h1 h2 h3 h4 h5 h6 main ol p pre section table ul".split()
)
_ROW, _CELLS = "tr", frozenset({"td", "th"})
_LISTS = frozenset({"ul", "ol", "dl", "menu", "dir"})
_VERBATIM = frozenset({"pre", "textarea", "listing", "xmp", "plaintext"})
_SPACED = frozenset({"button", "option", "select", "text", "img", "input", "area"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_SPACES = re.compile(r"[^\S\n]+")
_PRE_STYLE = re.compile(r"white-space\s*:\s*(?:pre|break-spaces)", re.I)
_EXPONENT = re.compile(r"\s*[-+−–]?\d+\s*$")
_MAX_HEADING = 500
_MATH = {"msup": "^", "mfrac": "/"}

# lxml has no type annotations.
_Element = Any


@dataclass(slots=True)
class Block:
    """A block of a page. `lines` has the file's line number of each line of `text`, or of each row.

    `level` is that of a heading; `mark` is the number or bullet of a list item; `group` numbers the
    outermost list or table, 0 outside one; `linked` counts the characters in links.
    """

    kind: Literal["text", "heading", "term", "definition", "code", "table"]
    text: str
    lines: list[int]
    level: int = 0
    mark: str = ""
    group: int = 0
    linked: int = 0
    rows: list[list[str]] = field(default_factory=list[list[str]])


def visible_blocks(root: _Element, is_invisible: Callable[[_Element], bool]) -> list[Block]:
    """Return the blocks in `root`, without the elements that are invisible; linear in its size."""
    walk = _Walk()
    elements = import_module("lxml.etree").iterwalk(root, events=("start", "end", "comment"))
    for event, element in elements:
        if event == "comment":
            walk.skip(element)
        elif event == "start":
            if element is not root and is_invisible(element):
                walk.skip(element)
                elements.skip_subtree()
                walk.skipped.append(element)
            else:
                walk.start(element)
        elif walk.skipped and walk.skipped[-1] is element:
            walk.skipped.pop()
        else:
            walk.end(element)
        if event != "start" and element is not root:
            walk.add(element.tail)
    walk.flush()
    return walk.blocks


class _Walk:
    """The state of one walk; it does not recurse, so nesting may have any depth."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.skipped: list[_Element] = []
        self._line = 1
        self._marked = False
        self._fragments: list[tuple[str, int]] = []
        self._heading: _Element = None
        self._verbatim: _Element = None
        self._table: _Table | None = None
        self._lists: list[int | None] = []
        self._groups = 0
        self._mark = ""
        self._links = self._linked = 0
        self._kind: Literal["text", "term", "definition"] = "text"
        self._ruby_readings: list[tuple[int, list[tuple[str, int]]]] = []

    # --- text and lines ----------------------------------------------------------------------

    def add(self, text: str | None) -> None:
        """Append text that begins at the current line."""
        if text:
            self._fragments.append((text, self._line))
            self._line += text.count("\n")
            self._linked += len(text.strip()) if self._links else 0

    def skip(self, element: _Element) -> None:
        """Skip an invisible element, and count its lines."""
        self._set_line(element)
        inner = (element.text or "",) if callable(element.tag) else element.itertext()
        self._line += sum(text.count("\n") for text in inner)

    def _set_line(self, element: _Element) -> None:
        if callable(element.tag):
            return
        if known := element.get(LINE):
            self._marked = True
            self._line = int(known)
        elif not self._marked and element.sourceline:
            self._line = element.sourceline

    def _add_text(self, text: str) -> None:
        self._fragments.append((text, self._line))

    # --- elements ----------------------------------------------------------------------------

    def start(self, element: _Element) -> None:
        self._set_line(element)
        tag = element.tag
        self._links += tag == "a"
        if self._verbatim is None:
            self._open(element, tag)
        elif tag == "br":
            self._add_text("\n")
        self.add(element.text)

    def end(self, element: _Element) -> None:
        tag = element.tag
        self._links -= tag == "a"
        if self._verbatim is element:
            self._close_verbatim()
        elif self._verbatim is not None:
            if tag in _BLOCKS and self._fragments and not self._fragments[-1][0].endswith("\n"):
                self._add_text("\n")
        else:
            self._close(element, tag)

    def _open(self, element: _Element, tag: str) -> None:
        if self._inline(element, tag):
            return
        if self._heading is not None and tag in _PARTS:
            self._end_heading()  # the heading was not closed
        if self._table is not None:
            self._open_in_table(tag)
        elif self._heading is not None:
            self._add_text(" ")
        elif heading_level(element):
            self.flush()
            self._heading = element
        elif tag == "table":
            self.flush()
            if _is_data_table(element):
                self._table = _Table(element, self._new_group())
        elif tag in _VERBATIM or _PRE_STYLE.search(element.get("style") or ""):
            self.flush()
            self._verbatim = element
        else:
            self.flush()
            self._open_list(element, tag)

    def _inline(self, element: _Element, tag: str) -> bool:
        """Return whether the element is inline; if so, apply its effect on the text."""
        if tag == "br":
            self._add_text("\n" if self._table is None and self._heading is None else " ")
        elif tag in _SPACED:
            alt = element.get("alt") if tag != "select" else None
            self._add_text(f" {alt} " if alt and alt.strip() else " ")
        elif tag == "sup" and not len(element) and _EXPONENT.match(element.text or ""):
            if (before := "".join(text for text, _ in self._fragments[-1:])[-1:]).isdigit() or (
                before == ")"
            ):
                self._add_text("^")
        elif tag in ("ruby", "rt"):
            self._ruby_readings.append((len(self._fragments), []))
        elif tag in _VERBATIM or tag in _BLOCKS or tag == "table" or heading_level(element):
            return False
        elif tag == _ROW or tag in _CELLS:
            return False
        elif tag == "mrow" and len(element) > 1 and _in_formula(element):
            self._add_text("(")
        return not _PRE_STYLE.search(element.get("style") or "") or tag in ("br", "ruby", "rt")

    def _open_in_table(self, tag: str) -> None:
        assert self._table is not None
        if tag == _ROW or tag in _CELLS:
            self._flush_outside_cells()
        if tag == _ROW:
            self._table.rows.append([])
            self._table.lines.append(self._line)
        elif tag not in _CELLS:
            self._add_text(" ")

    def _open_list(self, element: _Element, tag: str) -> None:
        if tag in _LISTS:
            if not self._lists:
                self._groups += 1
            self._lists.append(_number(element, "start", 1) if tag == "ol" else None)
        elif tag == "li":
            depth = max(0, len(self._lists) - 1)
            number = self._lists[-1] if self._lists else None
            if number is not None:
                number = _number(element, "value", number)
                self._lists[-1] = number + 1
            self._mark = "  " * min(depth, 8) + (f"{number}. " if number is not None else "- ")
        elif tag in ("dt", "dd"):
            self._kind = "term" if tag == "dt" else "definition"

    def _close(self, element: _Element, tag: str) -> None:
        if element is self._heading:
            self._end_heading()
        elif self._table is not None and element is self._table.element:
            self._end_table()
        elif self._table is not None:
            if tag in _CELLS and self._table.rows:
                text, lines = self._take_text()
                self._table.rows[-1].append(text)
                if lines and len(self._table.rows[-1]) == 1:
                    self._table.lines[-1] = lines[0]
            elif tag == "caption":
                self._flush_outside_cells()
            elif tag in _BLOCKS:
                self._add_text(" ")
        elif tag in ("ruby", "rt"):
            self._end_reading(tag)
        elif tag in _SPACED:
            self._add_text(" ")
        elif tag in _BLOCKS or tag == _ROW or tag in _CELLS or tag in _HEADINGS:
            self._end_block(tag)
        if (parent := element.getparent()) is not None and parent.tag in _MATH:
            self._end_in_formula(element, parent)

    def _end_block(self, tag: str) -> None:
        if self._heading is not None:
            self._add_text(" ")
            return
        self.flush()
        if tag in _LISTS and self._lists:
            self._lists.pop()
        elif tag == "li":
            self._mark = ""
        elif tag in ("dt", "dd"):
            self._kind = "text"

    def _end_reading(self, tag: str) -> None:
        """Put ruby readings after their word instead of inside it."""
        start, readings = (
            self._ruby_readings.pop() if self._ruby_readings else (len(self._fragments), [])
        )
        if tag == "ruby":
            if readings:
                self._fragments += [("(", self._line), *readings, (")", self._line)]
        elif self._ruby_readings:
            self._ruby_readings[-1][1].extend(self._fragments[start:])
            del self._fragments[start:]

    def _end_in_formula(self, element: _Element, parent: _Element) -> None:
        if element.tag == "mrow" and len(element) > 1:
            self._add_text(")")
        if element.getprevious() is None:
            self._add_text(_MATH[parent.tag])

    # --- blocks ------------------------------------------------------------------------------

    def flush(self) -> None:
        """End the current block of text."""
        self._add_block(self._kind, *self._take_text())

    def _add_block(
        self, kind: Literal["text", "term", "definition", "code"], text: str, lines: list[int]
    ) -> None:
        if not text:
            return
        mark = "" if kind == "code" else self._mark
        self._mark = ""
        self._append(Block(kind, text, lines, mark=mark, group=self._current_group()))
        if kind == "definition":
            self._kind = "text"  # its next paragraphs are ordinary text

    def _append(self, block: Block) -> None:
        block.linked, self._linked = self._linked, 0
        self.blocks.append(block)

    def _new_group(self) -> int:
        if not self._lists:
            self._groups += 1
        return self._groups

    def _current_group(self) -> int:
        return self._groups if self._lists or self._table else 0

    def _flush_outside_cells(self) -> None:
        """End a block of text that is in a table but in no cell, such as the caption."""
        self._add_block("text", *self._take_text())

    def _end_heading(self) -> None:
        level, self._heading = heading_level(self._heading), None
        text, lines = self._take_text()
        text = " ".join(text.split())
        if len(text) > _MAX_HEADING:
            self._append(Block("text", text, lines[:1]))
        elif text:
            self._mark = ""
            self._append(Block("heading", text, lines[:1], level=level))

    def _end_table(self) -> None:
        table = self._table
        assert table is not None
        self._flush_outside_cells()
        self._table = None
        if any(cell for row in table.rows for cell in row):
            text = "\n".join(" ".join(row) for row in table.rows)
            self._append(Block("table", text, table.lines, group=table.group, rows=table.rows))

    def _close_verbatim(self) -> None:
        self._verbatim = None
        rows = [(text.rstrip(), line) for text, line in self._take_lines()]
        while rows and not rows[-1][0]:
            rows.pop()
        while rows and not rows[0][0]:
            del rows[0]
        self._add_block("code", "\n".join(text for text, _ in rows), [line for _, line in rows])

    def _take_text(self) -> tuple[str, list[int]]:
        """Take the text since the last block, white space collapsed, with its line numbers."""
        rows = [(_SPACES.sub(" ", text).strip(), line) for text, line in self._take_lines()]
        rows = [(text, line) for text, line in rows if text]
        return "\n".join(text for text, _ in rows), [line for _, line in rows]

    def _take_lines(self) -> list[tuple[str, int]]:
        """Take the text since the last block as lines, each with its line number in the file."""
        rows = split_lines(self._fragments)
        self._fragments.clear()
        return rows


@dataclass(slots=True)
class _Table:
    """A data table that is being read."""

    element: _Element
    group: int
    rows: list[list[str]] = field(default_factory=list[list[str]])
    lines: list[int] = field(default_factory=list[int])


def heading_level(element: _Element) -> int:
    """Return the level of a heading, 0 for any other element."""
    if level := _HEADINGS.get(element.tag):
        return level
    if element.get("role") != "heading":
        return 0
    return min(max(_number(element, "aria-level", 2), 1), 6)


def _number(element: _Element, name: str, default: int) -> int:
    value = (element.get(name) or "").strip()
    return int(value) if re.fullmatch(r"-?[0-9]{1,9}", value) else default


def _in_formula(element: _Element) -> bool:
    parent = element.getparent()
    return parent is not None and parent.tag in _MATH


def _is_data_table(table: _Element) -> bool:
    """Return whether a table has data; old pages and e-mails use tables for their layout."""
    if table.get("role") in ("presentation", "none"):
        return False
    if any(_is_layout(part) for part in _elements(table)):
        return False
    return any(sum(cell.tag in _CELLS for cell in row) > 1 for row in table.iterdescendants(_ROW))


def _is_layout(part: _Element) -> bool:
    if part.tag == "pre":
        return any("\n" in text for text in part.itertext())
    return part.tag == "table" or bool(heading_level(part))


def _elements(root: _Element) -> Iterator[_Element]:
    return (part for part in root.iterdescendants() if not callable(part.tag))
