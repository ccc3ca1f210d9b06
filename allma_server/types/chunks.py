"""What is read from a file: its text, the sections of that, and the chunks cut from them."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

SectionKind = Literal["text", "markdown", "code", "records"]


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document's text that belongs together: a page, a heading's body, a table.

    `repeat` is put before every chunk cut from the section but its first (a table's header row).
    `breaks` are offsets where a chunk may best begin, such as the starts of records.
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
    """What a reader makes of a file: its whole text, and the sections that cover it in order.

    `lines` has the line of the file (1-based) that each line of `text` comes from; empty where
    they are the same, or where the file has no lines.
    """

    text: str
    sections: tuple[Section, ...]
    title: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    lines: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document small enough to embed.

    `text` is what people see; `context` (title, heading or symbol path) is embedded and indexed
    before it, so that a chunk is found by what stands above it.
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
        """16 bytes that identify what is embedded; the key of the embedding cache."""
        return blake2b(self.embedded_text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file turned into chunks, ready to be embedded."""

    format: str
    title: str
    metadata: dict[str, str]
    chunks: tuple[Chunk, ...]
