"""Split sections into pieces that the embedder can take whole."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from allma_server.documents.chunking.context import Context
from allma_server.documents.chunking.settings import ChunkSettings
from allma_server.documents.chunking.text_splitter import Span, split_text, trim
from allma_server.documents.chunking.token_counter import CountTokens
from allma_server.types import Section

# The library gets the text of so many chunks at once: without line breaks, its time grows with the
# square of the length.
_WINDOW_CHUNKS = 6
_SAMPLE = 1_000
_MARGIN = 0.95
"""Estimated lengths are shortened by this factor, so that few pieces need a second split."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A span of text that becomes a chunk, alone or merged with others."""

    start: int
    end: int
    section: Section
    heading: tuple[str, ...]
    tokens: int
    repeat: str = ""

    @property
    def length(self) -> int:
        return len(self.repeat) + self.end - self.start


class SectionSplitter:
    """Splits the sections of one document."""

    def __init__(
        self, text: str, settings: ChunkSettings, count: CountTokens, context: Context
    ) -> None:
        self._text = text
        self._settings = settings
        self._count = count
        self._context = context

    def split(self, section: Section, span: Span, target_size: int, size: int) -> list[Piece]:
        """Split `span`, a part of `section`, into pieces within the token budget.

        Pieces have at most `size` characters and, where the structure allows, about `target_size`.
        """
        pieces: list[Piece] = []
        repeat, repeat_tokens = self._context.repeat(section)
        budget = self._context.token_budget(section.heading)
        first, _ = trim(self._text, section.start, section.end)
        size = max(1, size - len(repeat))
        if span[1] - span[0] > size:
            size = min(size, self._estimate_length(span, budget - repeat_tokens))
        for start, end in self._spans(section, span, min(target_size, size), size):
            continues = bool(repeat) and start > first
            tokens = self._count(self._text[start:end])
            fits = tokens + repeat_tokens * continues <= budget
            if fits or end - start < 2:
                tokens += repeat_tokens * continues
                before = repeat if continues else ""
                pieces.append(Piece(start, end, section, section.heading, tokens, before))
                continue
            # Parts of equal length, so that no tiny remainder is left.
            length, available = end - start, budget - repeat_tokens
            longest = max(1, int(length * available / tokens * _MARGIN))
            shortest = min(longest, -(-length // -(-tokens // available)))
            pieces += self.split(section, (start, end), shortest, longest + len(repeat))
        return pieces

    def _estimate_length(self, span: Span, tokens: int) -> int:
        """Estimate how many characters of `span` make `tokens`, by a sample from its middle."""
        middle = sum(span) // 2
        sample = self._text[max(span[0], middle - _SAMPLE) : middle + _SAMPLE]
        return max(1, int(len(sample) * tokens / max(1, self._count(sample)) * _MARGIN))

    def _spans(self, section: Section, span: Span, target_size: int, size: int) -> Iterator[Span]:
        start, end = trim(self._text, *span)
        if start >= end:
            return
        if section.breaks:
            yield from self._records(section, (start, end), target_size, size)
        elif end - start <= size:
            yield start, end
        else:
            overlap = self._settings.overlap
            while start < end:
                stop = min(end, start + _WINDOW_CHUNKS * size)
                spans = split_text(self._text, (start, stop), section, target_size, size, overlap)
                # The last span ends with the window instead of the text: split it again.
                start = spans.pop()[0] if stop < end and len(spans) > 1 else stop
                yield from spans

    def _records(self, section: Section, span: Span, target_size: int, size: int) -> Iterator[Span]:
        """Group whole records into full spans; split a record that is longer than `size`."""
        start, end = span
        breaks = section.breaks
        inner = breaks[bisect_right(breaks, start) : bisect_left(breaks, end)]
        group_start = start
        plain = replace(section, breaks=())
        for record, following in pairwise((start, *inner, end)):
            if group_start < record and following - group_start > target_size:
                yield from self._spans(plain, (group_start, record), target_size, size)
                group_start = record
            if following - group_start > size:
                yield from self._spans(plain, (group_start, following), target_size, size)
                group_start = following
        yield from self._spans(plain, (group_start, end), target_size, size)
