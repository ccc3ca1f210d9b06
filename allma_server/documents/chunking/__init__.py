"""Cuts what a reader extracted into chunks, along its structure.

The way of a document: each section is cut into pieces (at blocks, definitions, records, lines,
sentences, words, in this order of preference) that the embedder can take whole (`cutting.py`, by
`splitting.py`); small neighbours are joined (`joining.py`); each result gets its place and its
context (`context.py`). The time is linear in the length of the text, whatever the text is.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator

from allma_server.documents.chunking.context import Context
from allma_server.documents.chunking.counting import CountTokens, token_counter
from allma_server.documents.chunking.cutting import Cutter, Piece
from allma_server.documents.chunking.joining import Joiner
from allma_server.documents.chunking.settings import ChunkSettings
from allma_server.types import Chunk, Extract

__all__ = ["CHUNKER_VERSION", "ChunkSettings", "chunk", "token_counter"]

CHUNKER_VERSION = 2
"""Changes whenever the same file would yield other chunks; the index is then rebuilt."""


def chunk(
    extract: Extract, title: str, settings: ChunkSettings, count: CountTokens | None = None
) -> tuple[Chunk, ...]:
    """The chunks of a document, in its order.

    A chunk's text is `extract.text[start:end]`, after its section's `repeat` where it continues a
    table. None is longer than `settings.size` characters or, with its context, longer than
    `settings.max_tokens` as `count` has it (`token_counter` by default).
    """
    count = count or token_counter(settings.tokenizer_file)
    context = Context(title, settings, count)
    cutter = Cutter(extract.text, settings, count, context)
    joiner = Joiner(extract.text, settings, context, cutter)
    pieces: list[Piece] = []
    for section in extract.sections:
        span = (section.start, section.end)
        pieces += joiner.joined(cutter.cut(section, span, settings.natural, settings.size))
    return tuple(_chunks(joiner.joined(pieces), extract, context))


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
            heading=piece.heading,
            context=context.of(piece.heading)[0],
        )
