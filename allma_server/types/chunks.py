"""The content of a file: its text, the sections of the text, and the chunks cut from them."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

SectionKind = Literal["text", "markdown", "code", "records"]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a document's text that belongs together: a page, the text of a heading, a table.

    `repeat` is put before every chunk of the section except the first (the header row of a table).
    `breaks` are offsets where a chunk should begin, such as the starts of records.
    """

    start: int
    end: int
    kind: SectionKind = "text"
    heading: tuple[str, ...] = ()
    page: int | None = None
    language: str | None = None
    repeat: str = ""
    breaks: tuple[int, ...] = ()


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
