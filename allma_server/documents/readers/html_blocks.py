"""A parsed web page as blocks in the order of reading: headings, paragraphs, items, code, tables.

Only what a person sees is walked. Each line of a block knows the line of the file it comes from.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from allma_server.documents.builder import split_lines

LINE = "allma-line"
"""Attribute with an element's line, in files that have more lines than the parser can count."""

PARSER_LINES = 65_534
"""The lines of a file that the parser can count."""

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
_LONGEST_HEADING = 500
_MATH = {"msup": "^", "mfrac": "/"}

# lxml has no types of its own.
_Element = Any


@dataclass(slots=True)
class Block:
    """A piece of a page. `lines` has the file's line of each line of `text`, or of each row.

    `level` is a heading's; `mark` stands before a list's item; `group` numbers the outermost list
    or table, 0 outside of one; `linked` counts the characters in links.
    """

    kind: Literal["text", "heading", "term", "definition", "code", "table"]
    text: str
    lines: list[int]
    level: int = 0
    mark: str = ""
    group: int = 0
    linked: int = 0
    rows: list[list[str]] = field(default_factory=list[list[str]])


def blocks_of(root: _Element, unseen: Callable[[_Element], bool]) -> list[Block]:
    """What stands in `root`, without the elements that are `unseen`; linear in its size."""
    walk = _Walk()
    elements = import_module("lxml.etree").iterwalk(root, events=("start", "end", "comment"))
    for event, element in elements:
        if event == "comment":
            walk.unread(element)
        elif event == "start":
            if element is not root and unseen(element):
                walk.unread(element)
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
    """The state of one walk; nothing recurs, so that nesting may be of any depth."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.skipped: list[_Element] = []
        self._line = 1
        self._marked = False
        self._text: list[tuple[str, int]] = []
        self._heading: _Element = None
        self._verbatim: _Element = None
        self._table: _Table | None = None
        self._lists: list[int | None] = []
        self._groups = 0
        self._mark = ""
        self._links = self._linked = 0
        self._kind: Literal["text", "term", "definition"] = "text"
        self._readings: list[tuple[int, list[tuple[str, int]]]] = []

    # --- text and where it stands ------------------------------------------------------------

    def add(self, text: str | None) -> None:
        """Appends text that stands at the current line."""
        if text:
            self._text.append((text, self._line))
            self._line += text.count("\n")
            self._linked += len(text.strip()) if self._links else 0

    def unread(self, element: _Element) -> None:
        """Passes over what is not shown."""
        self._at(element)
        inner = (element.text or "",) if callable(element.tag) else element.itertext()
        self._line += sum(text.count("\n") for text in inner)

    def _at(self, element: _Element) -> None:
        if callable(element.tag):
            return
        if known := element.get(LINE):
            self._marked = True
            self._line = int(known)
        elif not self._marked and element.sourceline:
            self._line = element.sourceline

    def _put(self, text: str) -> None:
        self._text.append((text, self._line))

    # --- elements ----------------------------------------------------------------------------

    def start(self, element: _Element) -> None:
        self._at(element)
        tag = element.tag
        self._links += tag == "a"
        if self._verbatim is None:
            self._open(element, tag)
        elif tag == "br":
            self._put("\n")
        self.add(element.text)

    def end(self, element: _Element) -> None:
        tag = element.tag
        self._links -= tag == "a"
        if self._verbatim is element:
            self._close_verbatim()
        elif self._verbatim is not None:
            if tag in _BLOCKS and self._text and not self._text[-1][0].endswith("\n"):
                self._put("\n")
        else:
            self._close(element, tag)

    def _open(self, element: _Element, tag: str) -> None:
        if self._inline(element, tag):
            return
        if self._heading is not None and tag in _PARTS:
            self._end_heading()  # it was never closed
        if self._table is not None:
            self._open_in_table(tag)
        elif self._heading is not None:
            self._put(" ")
        elif level_of(element):
            self.flush()
            self._heading = element
        elif tag == "table":
            self.flush()
            if _is_grid(element):
                self._table = _Table(element, self._group())
        elif tag in _VERBATIM or _PRE_STYLE.search(element.get("style") or ""):
            self.flush()
            self._verbatim = element
        else:
            self.flush()
            self._open_list(element, tag)

    def _inline(self, element: _Element, tag: str) -> bool:
        """Whether it begins no block; does what such an element does to the text."""
        if tag == "br":
            self._put("\n" if self._table is None and self._heading is None else " ")
        elif tag in _SPACED:
            alt = element.get("alt") if tag != "select" else None
            self._put(f" {alt} " if alt and alt.strip() else " ")
        elif tag == "sup" and not len(element) and _EXPONENT.match(element.text or ""):
            if (before := "".join(text for text, _ in self._text[-1:])[-1:]).isdigit() or (
                before == ")"
            ):
                self._put("^")
        elif tag in ("ruby", "rt"):
            self._readings.append((len(self._text), []))
        elif tag in _VERBATIM or tag in _BLOCKS or tag == "table" or level_of(element):
            return False
        elif tag == _ROW or tag in _CELLS:
            return False
        elif tag == "mrow" and len(element) > 1 and _in_formula(element):
            self._put("(")
        return not _PRE_STYLE.search(element.get("style") or "") or tag in ("br", "ruby", "rt")

    def _open_in_table(self, tag: str) -> None:
        assert self._table is not None
        if tag == _ROW or tag in _CELLS:
            self._loose_text()
        if tag == _ROW:
            self._table.rows.append([])
            self._table.lines.append(self._line)
        elif tag not in _CELLS:
            self._put(" ")

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
                text, lines = self._taken()
                self._table.rows[-1].append(text)
                if lines and len(self._table.rows[-1]) == 1:
                    self._table.lines[-1] = lines[0]
            elif tag == "caption":
                self._loose_text()
            elif tag in _BLOCKS:
                self._put(" ")
        elif tag in ("ruby", "rt"):
            self._end_reading(tag)
        elif tag in _SPACED:
            self._put(" ")
        elif tag in _BLOCKS or tag == _ROW or tag in _CELLS or tag in _HEADINGS:
            self._end_block(tag)
        if (parent := element.getparent()) is not None and parent.tag in _MATH:
            self._end_in_formula(element, parent)

    def _end_block(self, tag: str) -> None:
        if self._heading is not None:
            self._put(" ")
            return
        self.flush()
        if tag in _LISTS and self._lists:
            self._lists.pop()
        elif tag == "li":
            self._mark = ""
        elif tag in ("dt", "dd"):
            self._kind = "text"

    def _end_reading(self, tag: str) -> None:
        """Readings (ruby) come after their word, which would be torn apart otherwise."""
        start, readings = self._readings.pop() if self._readings else (len(self._text), [])
        if tag == "ruby":
            if readings:
                self._text += [("(", self._line), *readings, (")", self._line)]
        elif self._readings:
            self._readings[-1][1].extend(self._text[start:])
            del self._text[start:]

    def _end_in_formula(self, element: _Element, parent: _Element) -> None:
        if element.tag == "mrow" and len(element) > 1:
            self._put(")")
        if element.getprevious() is None:
            self._put(_MATH[parent.tag])

    # --- blocks ------------------------------------------------------------------------------

    def flush(self) -> None:
        """Ends the block of text that is open."""
        self._emit(self._kind, *self._taken())

    def _emit(
        self, kind: Literal["text", "term", "definition", "code"], text: str, lines: list[int]
    ) -> None:
        if not text:
            return
        mark = "" if kind == "code" else self._mark
        self._mark = ""
        self._append(Block(kind, text, lines, mark=mark, group=self._group_now()))
        if kind == "definition":
            self._kind = "text"  # further paragraphs of it stand apart

    def _append(self, block: Block) -> None:
        block.linked, self._linked = self._linked, 0
        self.blocks.append(block)

    def _group(self) -> int:
        if not self._lists:
            self._groups += 1
        return self._groups

    def _group_now(self) -> int:
        return self._groups if self._lists or self._table else 0

    def _loose_text(self) -> None:
        """Text of a table that stands in no cell, such as its caption."""
        self._emit("text", *self._taken())

    def _end_heading(self) -> None:
        level, self._heading = level_of(self._heading), None
        text, lines = self._taken()
        text = " ".join(text.split())
        if len(text) > _LONGEST_HEADING:
            self._append(Block("text", text, lines[:1]))
        elif text:
            self._mark = ""
            self._append(Block("heading", text, lines[:1], level=level))

    def _end_table(self) -> None:
        table = self._table
        assert table is not None
        self._loose_text()
        self._table = None
        if any(cell for row in table.rows for cell in row):
            text = "\n".join(" ".join(row) for row in table.rows)
            self._append(Block("table", text, table.lines, group=table.group, rows=table.rows))

    def _close_verbatim(self) -> None:
        self._verbatim = None
        rows = [(text.rstrip(), line) for text, line in self._rows()]
        while rows and not rows[-1][0]:
            rows.pop()
        while rows and not rows[0][0]:
            del rows[0]
        self._emit("code", "\n".join(text for text, _ in rows), [line for _, line in rows])

    def _taken(self) -> tuple[str, list[int]]:
        """The text since the last block, white space collapsed, and the lines of its lines."""
        rows = [(_SPACES.sub(" ", text).strip(), line) for text, line in self._rows()]
        rows = [(text, line) for text, line in rows if text]
        return "\n".join(text for text, _ in rows), [line for _, line in rows]

    def _rows(self) -> list[tuple[str, int]]:
        """The text since the last block, line by line, each with its line in the file."""
        rows = split_lines(self._text)
        self._text.clear()
        return rows


@dataclass(slots=True)
class _Table:
    """A table of data while it is read."""

    element: _Element
    group: int
    rows: list[list[str]] = field(default_factory=list[list[str]])
    lines: list[int] = field(default_factory=list[int])


def level_of(element: _Element) -> int:
    """The level of a heading, 0 for anything else."""
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


def _is_grid(table: _Element) -> bool:
    """Whether a table holds data; old pages and letters use tables to lay out whole articles."""
    if table.get("role") in ("presentation", "none"):
        return False
    if any(_lays_out(part) for part in _elements(table)):
        return False
    return any(sum(cell.tag in _CELLS for cell in row) > 1 for row in table.iterdescendants(_ROW))


def _lays_out(part: _Element) -> bool:
    if part.tag == "pre":
        return any("\n" in text for text in part.itertext())
    return part.tag == "table" or bool(level_of(part))


def _elements(root: _Element) -> Iterator[_Element]:
    return (part for part in root.iterdescendants() if not callable(part.tag))
