"""A document's text as it is put together, for formats whose text is not the file's own."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from allma_server.documents.readers.text import clean, is_blank, without_blobs
from allma_server.errors import NothingToIndex
from allma_server.types import Extract, Section

_ITEM = re.compile(r"\s*(?:-|[0-9]{1,9}\.) ")
_PLAIN = Section(0, 0)
_TABLE_OF_ITS_OWN = 600
_LONGEST_REPEAT = 400


class DocumentBuilder:
    """Sections one after the other; blank ones are left out."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._sections: list[Section] = []
        self._lines: list[int] = []
        self._length = 0

    def add(self, text: str, like: Section = _PLAIN, lines: Sequence[int] = ()) -> None:
        """Appends `text` as a section with the marks of `like`; its breaks count from `text`.

        With breaks, `text` must be clean already, or they would point elsewhere. `lines` has the
        file's line for each line of `text`, in a document whose places are those of the file.
        """
        if not like.breaks:
            text = clean(without_blobs(text))
            lines = lines[len(text) - len(text.lstrip("\n")) :]
            text = text.strip("\n")
        if is_blank(text):
            return
        if lines:
            gap = self._lines[-1:] if self._parts else []
            self._lines += [*gap, *lines[: text.count("\n") + 1]]
        if self._parts:
            # The gap belongs to the section before, so that sections cover the text.
            self._parts[-1] += "\n\n"
            self._length += 2
            self._sections[-1] = replace(self._sections[-1], end=self._length)
        start, self._length = self._length, self._length + len(text)
        breaks = tuple(start + offset for offset in like.breaks)
        self._sections.append(replace(like, start=start, end=self._length, breaks=breaks))
        self._parts.append(text)

    def add_document(self, extract: Extract, heading: tuple[str, ...]) -> None:
        """Appends a document that is inside of this one, below `heading`."""
        for section in extract.sections:
            breaks = tuple(offset - section.start for offset in section.breaks)
            # A page of it is no page of this one.
            below = (*heading, *section.heading)
            like = replace(section, heading=below, page=None, breaks=breaks)
            self.add(extract.text[section.start : section.end], like)

    def extract(
        self,
        nothing: str,
        *,
        title: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Extract:
        """The finished document. Raises NothingToIndex, saying `nothing`, when it is empty."""
        if not self._parts:
            raise NothingToIndex(nothing)
        title = " ".join(clean(title or "").split())
        kept = {key: clean(value) for key, value in (metadata or {}).items() if value}
        text, sections = "".join(self._parts), tuple(self._sections)
        return Extract(text, sections, title or None, kept, tuple(self._lines))


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of text, the file's lines of its lines, and whether it stands close to the last."""

    text: str
    lines: Sequence[int] = ()
    close: bool = False


class Outline:
    """Paragraphs and tables under headings, which become the sections of a draft.

    Lines, where they are given, are the file's for each line of a text or row of a table; they
    are given for all of a document or for nothing in it.
    """

    def __init__(self) -> None:
        self._draft = DocumentBuilder()
        self._path: list[tuple[int, str]] = []
        self._blocks: list[_Block] = []

    def heading(self, level: int, title: str, line: int | None = None) -> None:
        """Begins a section below the nearest heading of a smaller level."""
        title = " ".join(clean(title).split())
        if not title:
            return
        self._close()
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, title))
        self._blocks.append(_Block(title, () if line is None else (line,)))

    def paragraph(self, text: str, lines: Sequence[int] = (), *, close: bool = False) -> None:
        """Appends a block of text to the section that is open; `close` to the block before."""
        if not is_blank(text):
            self._blocks.append(_Block(text, lines, close))

    def table(self, rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> None:
        """Appends a table, one line per row; a large one is a section, its first row repeated."""
        texts = [clean(" | ".join(" ".join(cell.split()) for cell in row)) for row in rows]
        shown = [n for n, text in enumerate(texts) if text.strip(" |")]
        lines, numbers = [texts[n] for n in shown], [numbers[n] for n in shown if numbers]
        if sum(map(len, lines)) < _TABLE_OF_ITS_OWN or len(lines) < 3:
            self.paragraph("\n".join(lines), numbers)
            return
        self._close()
        breaks: list[int] = [0]
        for line in lines[:-1]:
            breaks.append(breaks[-1] + len(line) + 1)
        repeat = lines[0] if len(lines[0]) <= _LONGEST_REPEAT else ""
        like = Section(0, 0, "records", repeat=repeat, breaks=tuple(breaks))
        self._add("\n".join(lines), like, numbers)

    def draft(self) -> DocumentBuilder:
        """The draft, with the section that was open as its last."""
        self._close()
        return self._draft

    def _close(self) -> None:
        blocks, self._blocks = self._blocks, []
        text: list[str] = []
        lines: list[int] = []
        for before, block in pairwise([_Block(""), *blocks]):
            gap = _gap(before, block)
            text += (gap, block.text)
            lines += [*lines[-1:] * (len(gap) - 1), *block.lines]
        self._add("".join(text), _PLAIN, lines)

    def _add(self, text: str, like: Section, lines: Sequence[int]) -> None:
        heading = tuple(title for _, title in self._path)
        self._draft.add(text, replace(like, heading=heading), lines)


def _gap(before: _Block, block: _Block) -> str:
    """Items of a list stand close, other blocks apart."""
    close = block.close or (_ITEM.match(before.text) and _ITEM.match(block.text))
    return "\n" if close else "\n\n" if before.text else ""


def rows_of_pieces(pieces: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Pieces of text, each with the line it begins at, as lines with theirs.

    A line has the number of the first piece in it that is not blank.
    """
    rows: list[tuple[str, int]] = []
    row: list[str] = []
    begun = line = 0
    for text, first in pieces:
        for n, part in enumerate(text.split("\n")):
            if n:
                rows.append(("".join(row), begun or line))
                row, begun = [], 0
            line = first + n
            if not begun and part.strip():
                begun = line
            row.append(part)
    rows.append(("".join(row), begun or line))
    return rows
