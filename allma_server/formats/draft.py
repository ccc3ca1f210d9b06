"""A document's text as it is put together, for formats whose text is not the file's own."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from allma_server.errors import NothingToIndex
from allma_server.formats.text import clean, is_blank, without_blobs
from allma_server.model import Extract, Section

_PLAIN = Section(0, 0)
_TABLE_OF_ITS_OWN = 600
_LONGEST_REPEAT = 400


class Draft:
    """Sections one after the other; blank ones are left out."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._sections: list[Section] = []
        self._length = 0

    def add(self, text: str, like: Section = _PLAIN) -> None:
        """Appends `text` as a section with the marks of `like`; its breaks count from `text`.

        With breaks, `text` must be clean already, or they would point elsewhere.
        """
        if not like.breaks:
            text = clean(without_blobs(text)).strip("\n")
        if is_blank(text):
            return
        if self._parts:
            # The gap belongs to the section before, so that sections cover the text.
            self._parts[-1] += "\n\n"
            self._length += 2
            self._sections[-1] = replace(self._sections[-1], end=self._length)
        start, self._length = self._length, self._length + len(text)
        breaks = tuple(start + offset for offset in like.breaks)
        self._sections.append(replace(like, start=start, end=self._length, breaks=breaks))
        self._parts.append(text)

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
        return Extract("".join(self._parts), tuple(self._sections), title or None, kept)


class Outline:
    """Paragraphs and tables under headings, which become the sections of a draft."""

    def __init__(self) -> None:
        self._draft = Draft()
        self._path: list[tuple[int, str]] = []
        self._blocks: list[str] = []

    def heading(self, level: int, title: str) -> None:
        """Begins a section below the nearest heading of a smaller level."""
        title = " ".join(clean(title).split())
        if not title:
            return
        self._close()
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, title))
        self._blocks.append(title)

    def paragraph(self, text: str) -> None:
        """Appends a block of text to the section that is open."""
        if not is_blank(text):
            self._blocks.append(text)

    def table(self, rows: Iterable[Sequence[str]]) -> None:
        """Appends a table, one line per row; a large one is a section, its first row repeated."""
        lines = [clean(" | ".join(" ".join(cell.split()) for cell in row)) for row in rows]
        lines = [line for line in lines if line.strip(" |")]
        if sum(map(len, lines)) < _TABLE_OF_ITS_OWN or len(lines) < 3:
            self.paragraph("\n".join(lines))
            return
        self._close()
        breaks: list[int] = [0]
        for line in lines[:-1]:
            breaks.append(breaks[-1] + len(line) + 1)
        repeat = lines[0] if len(lines[0]) <= _LONGEST_REPEAT else ""
        self._add("\n".join(lines), Section(0, 0, "records", repeat=repeat, breaks=tuple(breaks)))

    def draft(self) -> Draft:
        """The draft, with the section that was open as its last."""
        self._close()
        return self._draft

    def _close(self) -> None:
        blocks, self._blocks = self._blocks, []
        text = "".join(f"{_gap(before, block)}{block}" for before, block in pairwise(["", *blocks]))
        self._add(text, _PLAIN)

    def _add(self, text: str, like: Section) -> None:
        self._draft.add(text, replace(like, heading=tuple(title for _, title in self._path)))


def _gap(before: str, block: str) -> str:
    """Items of a list stand close, other blocks apart."""
    close = before.lstrip().startswith("- ") and block.lstrip().startswith("- ")
    return "\n" if close else "\n\n" if before else ""
