"""The content of a file: its text, the sections of the text, and the chunks cut from them."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

SectionKind = Literal["text", "markdown", "code", "records"]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a document's text that belongs together: a page, the text of a heading, a table.

    `repeat` is put before every chunk of the section except the first (the header row of a table).
    `breaks` are offsets where a chunk should begin, such as the starts of records. `places` names
    where each of these records is, in two halves, such as `("A5:", "D5")` or `("0:10–", "0:12")`: a
    chunk's heading ends with the first half of its first record and the second of its last. `part`
    names the embedded file that the section comes from; no chunk has text of two.
    """

    start: int
    end: int
    kind: SectionKind = "text"
    heading: tuple[str, ...] = ()
    page: int | None = None
    language: str | None = None
    repeat: str = ""
    breaks: tuple[int, ...] = ()
    places: tuple[tuple[str, str], ...] = ()
    part: str = ""


@dataclass(frozen=True, slots=True)
class Extract:
    """The result of a reader: the whole text, and the sections that cover it in order.

    `lines` has the line of the file (from 1) for each line of `text`; empty if they are the same,
    or if the file has no lines.
    """

    text: str
    sections: tuple[Section, ...]
    title: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document that is small enough to embed.

    `text` is what users see. `context` (title, headings or symbol path) is put before it when it is
    embedded and indexed, so that a chunk is also found by its headings.
    """

    index: int
    text: str
    start: int
    end: int
    start_line: int
    end_line: int
    page: int | None = None
    heading: tuple[str, ...] = ()
    context: str = ""

    @property
    def embedded_text(self) -> str:
        return f"{self.context}\n{self.text}" if self.context else self.text

    @property
    def text_hash(self) -> bytes:
        """16 bytes that identify the embedded text; the key of the embedding cache."""
        return blake2b(self.embedded_text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Parsed:
    """The chunks of a file, ready to be embedded."""

    format: str
    title: str
    metadata: dict[str, str]
    chunks: tuple[Chunk, ...]


_PLACE = re.compile(r"([A-Z]{1,3}\d+:)([A-Z]{1,3}\d+)|([\d:.]+–)([\d:.]+)")


def common_heading(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Return the heading of two chunks that follow each other, with the place of both together."""
    common = list(os.path.commonprefix([list(first), list(second)]))
    ends = [path[-1] for path in (first, second) if len(path) == len(common) + 1]
    places = [match.groups() for end in ends if (match := _PLACE.fullmatch(end))]
    if len(places) == 2:
        before, after = ([half for half in halves if half] for halves in places)
        return [*common, before[0] + after[1]]
    return common
