"""Build a document's text and sections, for formats whose text is not the file's own."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from allma_server.documents.readers.text import clean, elide_base64, is_blank
from allma_server.errors import NothingToIndex
from allma_server.types import Extract, Section, page_label

_LIST_ITEM = re.compile(r"\s*(?:-|[0-9]{1,9}\.) ")
_PLAIN = Section(0, 0)
_MIN_TABLE_SECTION = 600
"""Characters from which on a table is a section; a shorter one stays with the text around it."""

_MAX_REPEAT = 400


def embedded(section: Section, heading: tuple[str, ...]) -> Section:
    """Return a section of a document that is embedded below `heading`, whose last is its name.

    The page is named in the heading: as the page of the whole document it would be wrong.
    """
    part = " › ".join(heading)
    if section.page is not None and heading:
        heading = (*heading[:-1], f"{heading[-1]}, {page_label(heading[-1], section.page)}")
    return replace(section, heading=(*heading, *section.heading), page=None, part=part)


class DocumentBuilder:
    """Collects the sections of one document in reading order."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._sections: list[Section] = []
        self._lines: list[int] = []
        self._length = 0

    def add_section(self, text: str, like: Section = _PLAIN, lines: Sequence[int] = ()) -> None:
        """Append `text` as a section with the attributes of `like`, unless it is blank.

        The breaks of `like` count from the start of `text`; with breaks, `text` must already be
        clean, because cleaning would move them. `lines` has the file's line number for each line
        of `text`; give it for all sections of a document or for none.
        """
        if not like.breaks:
            text = clean(elide_base64(text))
            lines = lines[len(text) - len(text.lstrip("\n")) :]
            text = text.strip("\n")
        if is_blank(text):
            return
        if lines:
            gap = self._lines[-1:] if self._parts else []
            self._lines += [*gap, *lines[: text.count("\n") + 1]]
        if self._parts:
            # The gap belongs to the previous section, so that sections cover the text.
            self._parts[-1] += "\n\n"
            self._length += 2
            self._sections[-1] = replace(self._sections[-1], end=self._length)
        start, self._length = self._length, self._length + len(text)
        breaks = tuple(start + offset for offset in like.breaks)
        self._sections.append(replace(like, start=start, end=self._length, breaks=breaks))
        self._parts.append(text)

    def add_embedded(self, extract: Extract, heading: tuple[str, ...]) -> None:
        """Append a document that is embedded in this one, below `heading`."""
        for section in extract.sections:
            breaks = tuple(offset - section.start for offset in section.breaks)
            like = replace(embedded(section, heading), breaks=breaks)
            self.add_section(extract.text[section.start : section.end], like)

    def build(
        self,
        empty_reason: str,
        *,
        title: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Extract:
        """Return the document.

        Raises:
            NothingToIndex: it has no sections; `empty_reason` is its message.
        """
        if not self._parts:
            raise NothingToIndex(empty_reason)
        title = " ".join(clean(title or "").split())
        metadata = {key: clean(value) for key, value in (metadata or {}).items() if value}
        text, sections = "".join(self._parts), tuple(self._sections)
        return Extract(text, sections, title or None, metadata, tuple(self._lines))


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of text with the file's line numbers; `tight`: no blank line before it."""

    text: str
    lines: Sequence[int] = ()
    tight: bool = False


class Outline:
    """Builds a document from headings, paragraphs and tables; each heading begins a section.

    `lines`, where given, are the file's line numbers of each line of a text or row of a table;
    give them for a whole document or not at all.
    """

    def __init__(self) -> None:
        self._document = DocumentBuilder()
        self._path: list[tuple[int, str]] = []
        self._page: int | None = None
        self._blocks: list[_Block] = []

    def begin_page(self, number: int | None) -> None:
        """Begin a page or slide; the headings before it are not those of its text.

        None begins what is on no page.
        """
        self._end_section()
        self._page = number
        self._path.clear()

    def add_heading(self, level: int, title: str, line: int | None = None) -> None:
        """Begin a section below the nearest heading of a smaller level."""
        title = " ".join(clean(title).split())
        if not title:
            return
        self._end_section()
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, title))
        self._blocks.append(_Block(title, () if line is None else (line,)))

    def add_paragraph(self, text: str, lines: Sequence[int] = (), *, tight: bool = False) -> None:
        """Append a block of text to the current section; `tight`: no blank line before it."""
        if not is_blank(text):
            self._blocks.append(_Block(text, lines, tight))

    def add_table(self, rows: Iterable[Sequence[str]], lines: Sequence[int] = ()) -> None:
        """Append a table, one line per row; a large one is a section that repeats its first row."""
        texts = [clean(" | ".join(" ".join(cell.split()) for cell in row)) for row in rows]
        visible = [n for n, text in enumerate(texts) if text.strip(" |")]
        texts, lines = [texts[n] for n in visible], [lines[n] for n in visible if lines]
        if sum(map(len, texts)) < _MIN_TABLE_SECTION or len(texts) < 3:
            self.add_paragraph("\n".join(texts), lines)
            return
        self._end_section()
        breaks: list[int] = [0]
        for text in texts[:-1]:
            breaks.append(breaks[-1] + len(text) + 1)
        repeat = texts[0] if len(texts[0]) <= _MAX_REPEAT else ""
        like = Section(0, 0, "records", repeat=repeat, breaks=tuple(breaks))
        self._add_section("\n".join(texts), like, lines)

    def build(
        self,
        empty_reason: str,
        *,
        title: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Extract:
        """Return the document; see `DocumentBuilder.build`."""
        self._end_section()
        return self._document.build(empty_reason, title=title, metadata=metadata)

    def _end_section(self) -> None:
        blocks, self._blocks = self._blocks, []
        text: list[str] = []
        lines: list[int] = []
        for before, block in pairwise([_Block(""), *blocks]):
            gap = _gap(before, block)
            text += (gap, block.text)
            lines += [*lines[-1:] * (len(gap) - 1), *block.lines]
        self._add_section("".join(text), _PLAIN, lines)

    def _add_section(self, text: str, like: Section, lines: Sequence[int]) -> None:
        heading = tuple(title for _, title in self._path)
        self._document.add_section(text, replace(like, heading=heading, page=self._page), lines)


def _gap(before: _Block, block: _Block) -> str:
    """Return what separates two blocks: no blank line between the items of a list."""
    tight = block.tight or (_LIST_ITEM.match(before.text) and _LIST_ITEM.match(block.text))
    return "\n" if tight else "\n\n" if before.text else ""


def split_lines(fragments: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Join fragments of text, each with the line it begins at, and split the result into lines.

    A line gets the number of its first fragment that is not blank.
    """
    rows: list[tuple[str, int]] = []
    row: list[str] = []
    row_line = line = 0
    for text, first in fragments:
        for n, part in enumerate(text.split("\n")):
            if n:
                rows.append(("".join(row), row_line or line))
                row, row_line = [], 0
            line = first + n
            if not row_line and part.strip():
                row_line = line
            row.append(part)
    rows.append(("".join(row), row_line or line))
    return rows
