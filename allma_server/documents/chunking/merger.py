"""Merge pieces that are too short by themselves with their neighbours."""

from collections import deque
from collections.abc import Iterable
from itertools import takewhile

from allma_server.documents.chunking.context import Context
from allma_server.documents.chunking.section_splitter import Piece, SectionSplitter
from allma_server.documents.chunking.settings import ChunkSettings


class Merger:
    """Merges the pieces of one document; `splitter` splits again what must fit after a heading."""

    def __init__(
        self, text: str, settings: ChunkSettings, context: Context, splitter: SectionSplitter
    ) -> None:
        self._text = text
        self._settings = settings
        self._context = context
        self._splitter = splitter

    def merge(self, pieces: Iterable[Piece]) -> list[Piece]:
        """Merge small neighbours, and each heading with the beginning of its body."""
        pending = deque(pieces)
        done: list[Piece] = []
        while pending:
            piece = pending.popleft()
            if done and self._should_merge(done[-1], piece):
                done[-1] = self._merged(done[-1], piece)
            elif done and (parts := self._split_after_heading(done[-1], piece)):
                done[-1] = self._merged(done[-1], parts[0])
                pending.extendleft(reversed(parts[1:]))
            else:
                self._merge_short_end(done)
                done.append(piece)
        self._merge_short_end(done)
        return done

    def _should_merge(self, last: Piece, piece: Piece) -> bool:
        min_size = self._settings.min_size
        if last.section is piece.section:
            return min(last.length, piece.length) < min_size and self._fits(last, piece)
        if not _are_related(last.heading, piece.heading):
            return max(last.length, piece.length) < min_size and self._fits(last, piece)
        size = self._settings.size if last.length < min_size else self._settings.target_size
        return self._fits(last, piece, size)

    def _split_after_heading(self, last: Piece, piece: Piece) -> list[Piece]:
        """Split `piece` so that its first part fits after `last`, the heading above it.

        The result is empty when `last` is not such a heading, or when too little would fit.
        """
        descends = last.heading == piece.heading[: len(last.heading)]
        is_short = last.length < self._settings.min_size
        if not is_short or not descends or not self._are_adjacent(last, piece):
            return []
        budget = self._context.token_budget(piece.heading) - last.tokens
        gap = piece.start - last.end
        size = self._settings.size - last.length - gap
        size = min(size, int(piece.length * budget / max(1, piece.tokens) * 0.95))
        if size < self._settings.min_size:
            return []
        target_size = min(self._settings.target_size, size)
        parts = self._splitter.split(piece.section, (piece.start, piece.end), target_size, size)
        return parts if self._fits(last, parts[0]) else []

    def _merge_short_end(self, done: list[Piece]) -> None:
        """Merge a short last piece, which nothing was merged with, into the one before it."""
        if len(done) > 1 and done[-1].length < self._settings.min_size:
            before, last = done[-2:]
            if self._fits(before, last):
                done[-2:] = [self._merged(before, last)]

    def _fits(self, last: Piece, piece: Piece, size: int | None = None) -> bool:
        length = last.length + piece.end - last.end
        heading = _common_prefix(last.heading, piece.heading)
        return (
            length <= (size or self._settings.size)
            and last.tokens + piece.tokens <= self._context.token_budget(heading)
            and self._are_adjacent(last, piece)
        )

    def _are_adjacent(self, last: Piece, piece: Piece) -> bool:
        one, other = last.section, piece.section
        if one is not other and (one.page != other.page or one.places or other.places):
            return False  # the place of the whole could not be named
        if one.part != other.part:
            return False
        return not self._text[last.end : piece.start].strip()

    def _merged(self, last: Piece, piece: Piece) -> Piece:
        heading = _common_prefix(last.heading, piece.heading)
        tokens = last.tokens + piece.tokens
        return Piece(last.start, piece.end, piece.section, heading, tokens, last.repeat)


def _common_prefix(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return tuple(part for part, _ in same)


def _are_related(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return whether one heading path contains the other, or both have the same parent."""
    common = len(_common_prefix(one, other))
    return common in (len(one), len(other)) or common + 1 == len(one) == len(other)
