"""Pieces that say too little by themselves, joined to their neighbours."""

from collections import deque
from collections.abc import Iterable
from itertools import takewhile

from allma_server.documents.chunking.context import Context
from allma_server.documents.chunking.cutting import Cutter, Piece
from allma_server.documents.chunking.settings import ChunkSettings


class Joiner:
    """Joins one document's pieces; `cutter` cuts anew what must fit behind a heading."""

    def __init__(
        self, text: str, settings: ChunkSettings, context: Context, cutter: Cutter
    ) -> None:
        self._text = text
        self._settings = settings
        self._context = context
        self._cutter = cutter

    def joined(self, pieces: Iterable[Piece]) -> list[Piece]:
        """Small neighbours become one, and a heading keeps the beginning of its body."""
        todo = deque(pieces)
        done: list[Piece] = []
        while todo:
            piece = todo.popleft()
            if done and self._belongs(done[-1], piece):
                done[-1] = self._join(done[-1], piece)
            elif done and (parts := self._led(done[-1], piece)):
                done[-1] = self._join(done[-1], parts[0])
                todo.extendleft(reversed(parts[1:]))
            else:
                self._settle(done)
                done.append(piece)
        self._settle(done)
        return done

    def _belongs(self, last: Piece, piece: Piece) -> bool:
        tiny = self._settings.tiny
        if last.section is piece.section:
            return min(last.length, piece.length) < tiny and self._fits(last, piece)
        if not _related(last.heading, piece.heading):
            return max(last.length, piece.length) < tiny and self._fits(last, piece)
        most = self._settings.size if last.length < tiny else self._settings.natural
        return self._fits(last, piece, most)

    def _led(self, last: Piece, piece: Piece) -> list[Piece]:
        """`piece` cut so that its first part fits behind a heading; empty if `last` is none."""
        descends = last.heading == piece.heading[: len(last.heading)]
        if last.length >= self._settings.tiny or not descends or not self._adjoin(last, piece):
            return []
        room = self._context.room(piece.heading) - last.tokens
        gap = piece.start - last.end
        most = self._settings.size - last.length - gap
        most = min(most, int(piece.length * room / max(1, piece.tokens) * 0.95))
        if most < self._settings.tiny:
            return []
        natural = min(self._settings.natural, most)
        parts = self._cutter.cut(piece.section, (piece.start, piece.end), natural, most)
        return parts if self._fits(last, parts[0]) else []

    def _settle(self, done: list[Piece]) -> None:
        """Appends a tiny last piece, which nothing followed, to the one before it."""
        if len(done) > 1 and done[-1].length < self._settings.tiny:
            before, last = done[-2:]
            if self._fits(before, last):
                done[-2:] = [self._join(before, last)]

    def _fits(self, last: Piece, piece: Piece, most: int | None = None) -> bool:
        length = last.length + piece.end - last.end
        heading = _common(last.heading, piece.heading)
        return (
            length <= (most or self._settings.size)
            and last.tokens + piece.tokens <= self._context.room(heading)
            and self._adjoin(last, piece)
        )

    def _adjoin(self, last: Piece, piece: Piece) -> bool:
        same_page = last.section.page == piece.section.page
        return same_page and not self._text[last.end : piece.start].strip()

    def _join(self, last: Piece, piece: Piece) -> Piece:
        heading = _common(last.heading, piece.heading)
        tokens = last.tokens + piece.tokens
        return Piece(last.start, piece.end, piece.section, heading, tokens, last.repeat)


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return tuple(part for part, _ in same)


def _related(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one heading is above the other, or both are right below the same."""
    common = len(_common(one, other))
    return common in (len(one), len(other)) or common + 1 == len(one) == len(other)
