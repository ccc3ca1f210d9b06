"""Split what a reader extracted into chunks, along the document's structure.

Each section is split into pieces that the embedder can take whole (`section_splitter.py`, with the
libraries of `text_splitter.py`): at blocks, definitions, records, lines, sentences or words, in
this order of preference. Small neighbours are merged (`merger.py`), and each result gets its
location and its context (`context.py`). The time is linear in the length of the text.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator

from allma_server.documents.chunking.context import Context
from allma_server.documents.chunking.merger import Merger
from allma_server.documents.chunking.section_splitter import Piece, SectionSplitter
from allma_server.documents.chunking.settings import ChunkSettings
from allma_server.documents.chunking.token_counter import CountTokens, token_counter
from allma_server.types import Chunk, Extract

__all__ = ["CHUNKER_VERSION", "ChunkSettings", "chunk", "token_counter"]

CHUNKER_VERSION = 3
"""Increase it when the same file would yield other chunks; the index is then rebuilt."""


def chunk(
    extract: Extract, title: str, settings: ChunkSettings, count: CountTokens | None = None
) -> tuple[Chunk, ...]:
    """Return the chunks of a document, in document order.

    A chunk's text is `extract.text[start:end]`, preceded by its section's `repeat` where it
    continues a table. No chunk is longer than `settings.size` characters or, with its context,
    longer than `settings.max_tokens` as counted by `count` (`token_counter` by default).
    """
    count = count or token_counter(settings.tokenizer_file)
    context = Context(title, settings, count)
    splitter = SectionSplitter(extract.text, settings, count, context)
    merger = Merger(extract.text, settings, context, splitter)
    pieces: list[Piece] = []
    for section in extract.sections:
        span = (section.start, section.end)
        pieces += merger.merge(splitter.split(section, span, settings.target_size, settings.size))
    return tuple(_chunks(merger.merge(pieces), extract, context))


def _chunks(pieces: list[Piece], extract: Extract, context: Context) -> Iterator[Chunk]:
    text = extract.text
    line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
    lines = extract.lines or range(1, len(line_starts) + 1)
    for index, piece in enumerate(pieces):
        first = lines[bisect_right(line_starts, piece.start) - 1]
        yield Chunk(
            index=index,
            text=piece.repeat + text[piece.start : piece.end],
            start=piece.start,
            end=piece.end,
            start_line=first,
            end_line=max(first, lines[bisect_right(line_starts, piece.end - 1) - 1]),
            page=piece.section.page,
            heading=(*piece.heading, *_place(piece)),
            context=context.text(piece.heading),
        )


def _place(piece: Piece) -> tuple[str, ...]:
    """Return where the records of a piece are, as its section names it; empty if it does not."""
    section = piece.section
    if not section.places or not section.start <= piece.start < piece.end <= section.end:
        return ()
    first = max(0, bisect_right(section.breaks, piece.start) - 1)
    last = max(first, bisect_right(section.breaks, piece.end - 1) - 1)
    return (section.places[first][0] + section.places[last][1],)
