"""Sections in pieces that the embedder can take whole."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from allma_server.documents.chunking.context import Context
from allma_server.documents.chunking.counting import CountTokens
from allma_server.documents.chunking.settings import ChunkSettings
from allma_server.documents.chunking.splitting import Span, split, trimmed
from allma_server.types import Section

# The splitter gets this many chunks at once: where lines are endless, its cost grows with the
# square of what it gets.
_WINDOW = 6
_SAMPLE = 1_000


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text on its way to becoming a chunk."""

    start: int
    end: int
    section: Section
    heading: tuple[str, ...]
    tokens: int
    repeat: str = ""

    @property
    def length(self) -> int:
        return len(self.repeat) + self.end - self.start


class Cutter:
    """Cuts one document's text."""

    def __init__(
        self, text: str, settings: ChunkSettings, count: CountTokens, context: Context
    ) -> None:
        self._text = text
        self._settings = settings
        self._count = count
        self._context = context

    def cut(self, section: Section, span: Span, natural: int, size: int) -> list[Piece]:
        """`span` in pieces of at most `size` characters that the embedder takes whole."""
        pieces: list[Piece] = []
        repeat, repeat_tokens = self._context.repeat(section)
        room = self._context.room(section.heading)
        first, _ = trimmed(self._text, section.start, section.end)
        size = max(1, size - len(repeat))
        if span[1] - span[0] > size:
            size = min(size, self._characters(span, room - repeat_tokens))
        for start, end in self._spans(section, span, min(natural, size), size):
            continues = bool(repeat) and start > first
            tokens = self._count(self._text[start:end])
            fits = tokens + repeat_tokens * continues <= room
            if fits or end - start < 2:
                tokens += repeat_tokens * continues
                before = repeat if continues else ""
                pieces.append(Piece(start, end, section, section.heading, tokens, before))
                continue
            # Parts of equal length, so that no crumb is left over.
            length, part = end - start, room - repeat_tokens
            most = max(1, int(length * part / tokens * 0.95))
            least = min(most, -(-length // -(-tokens // part)))
            pieces += self.cut(section, (start, end), least, most + len(repeat))
        return pieces

    def _characters(self, span: Span, room: int) -> int:
        """About how many characters of `span` make `room` tokens, by a sample from its middle."""
        middle = sum(span) // 2
        sample = self._text[max(span[0], middle - _SAMPLE) : middle + _SAMPLE]
        return max(1, int(len(sample) * room / max(1, self._count(sample)) * 0.95))

    def _spans(self, section: Section, span: Span, natural: int, size: int) -> Iterator[Span]:
        start, end = trimmed(self._text, *span)
        if start >= end:
            return
        if section.breaks:
            yield from self._records(section, (start, end), natural, size)
        elif end - start <= size:
            yield start, end
        else:
            overlap = self._settings.overlap
            while start < end:
                stop = min(end, start + _WINDOW * size)
                spans = split(self._text, (start, stop), section, natural, size, overlap)
                # The last span was cut by the window, not by the text: it is cut again.
                start = spans.pop()[0] if stop < end and len(spans) > 1 else stop
                yield from spans

    def _records(self, section: Section, span: Span, natural: int, size: int) -> Iterator[Span]:
        """Whole records, as many as make a full chunk; one that is too long is cut by itself."""
        start, end = span
        breaks = section.breaks
        inner = breaks[bisect_right(breaks, start) : bisect_left(breaks, end)]
        begun = start
        plain = replace(section, breaks=())
        for record, following in pairwise((start, *inner, end)):
            if begun < record and following - begun > natural:
                yield from self._spans(plain, (begun, record), natural, size)
                begun = record
            if following - begun > size:
                yield from self._spans(plain, (begun, following), natural, size)
                begun = following
        yield from self._spans(plain, (begun, end), natural, size)
