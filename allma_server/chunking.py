"""Cuts what a reader extracted into chunks, along its structure.

The way of a document: each section is cut into pieces (at blocks, definitions, records, lines,
sentences, words, in this order of preference) that the embedder can take whole; small neighbours
are joined; each result gets its place and its context. The time is linear in the length of the
text, whatever the text is.
"""

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any

from allma_server.grammars import GRAMMARS, grammar
from allma_server.model import Chunk, Extract, Section

if TYPE_CHECKING:
    from semantic_text_splitter import CodeSplitter, MarkdownSplitter, TextSplitter

CHUNKER_VERSION = 1
"""Changes whenever the same file would yield other chunks; the index is then rebuilt."""

CountTokens = Callable[[str], int]
Span = tuple[int, int]

_MARKS = 2  # the model's own tokens at the start and the end of a text
_CONTEXT = 160
_HEADING = 80
# The splitter gets this many chunks at once: where lines are endless, its cost grows with the
# square of what it gets.
_WINDOW = 6
_SAMPLE = 1_000
_WORD = 100  # longer ones do not recur
_BERT = re.compile(r"[^\s!-/:-@\[-`{-~]+|[!-/:-@\[-`{-~]")
_WORD_OR_SYMBOL = re.compile(r"\w+|[^\w\s]")
_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)*")
_BOUNDARY = re.compile(r"[.!?:;…。！？；؟।|][\"'”’»)\]*_`]*\s*$|\n\s*$")


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """Bounds of a chunk.

    `size` and `overlap` in characters; `max_tokens` is what the embedder takes, the marks at a
    text's start and end included, counted by `tokenizer_file` (tokenizers' JSON form) if given.
    """

    size: int = 1000
    overlap: int = 200
    max_tokens: int = 256
    tokenizer_file: str | None = None

    @property
    def natural(self) -> int:
        """Where a chunk is full: what is found best is shorter than what is allowed."""
        return self.size // 2

    @property
    def tiny(self) -> int:
        """Below this a piece says too little by itself."""
        return self.size // 8


def chunk(
    extract: Extract, title: str, settings: ChunkSettings, count: CountTokens | None = None
) -> tuple[Chunk, ...]:
    """The chunks of a document, in its order.

    A chunk's text is `extract.text[start:end]`, after its section's `repeat` where it continues a
    table. None is longer than `settings.size` characters or, with its context, longer than
    `settings.max_tokens` as `count` has it (`token_counter` by default).
    """
    count = count or token_counter(settings.tokenizer_file)
    return tuple(_Cutter(extract, title, settings, count).chunks())


@lru_cache(maxsize=4)
def token_counter(tokenizer_file: str | None) -> CountTokens:
    """Counts a text's tokens without start and end marks; without a file, it overestimates."""
    if tokenizer_file is None:
        return _estimate
    # Only the worker that reads files needs it.
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(tokenizer_file)
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    if type(tokenizer.pre_tokenizer).__name__ != "BertPreTokenizer":
        return count
    # BERT never looks across white space and punctuation, and words recur: many times as fast.
    count_word = lru_cache(maxsize=1 << 16)(count)
    return lambda text: sum(
        count_word(word) if len(word) <= _WORD else count(word) for word in _BERT.findall(text)
    )


def _estimate(text: str) -> int:
    # Two to three times the truth for prose, and about the truth for symbols and other scripts.
    sizes = (len(piece.encode("utf-8", "replace")) for piece in _WORD_OR_SYMBOL.findall(text))
    return sum(1 + size // 2 for size in sizes)


@dataclass(frozen=True, slots=True)
class _Piece:
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


class _Cutter:
    """One document and the bounds that hold for it."""

    def __init__(
        self, extract: Extract, title: str, settings: ChunkSettings, count: CountTokens
    ) -> None:
        self._text = extract.text
        self._sections = extract.sections
        self._title = " ".join(title.split())
        self._settings = settings
        self._count = count
        self._contexts: dict[tuple[str, ...], tuple[str, int]] = {}

    def chunks(self) -> Iterator[Chunk]:
        natural, size = self._settings.natural, self._settings.size
        pieces: list[_Piece] = []
        for section in self._sections:
            pieces += self._joined(self._cut(section, (section.start, section.end), natural, size))
        for index, piece in enumerate(self._joined(pieces)):
            yield Chunk(
                index=index,
                text=piece.repeat + self._text[piece.start : piece.end],
                start=piece.start,
                end=piece.end,
                start_line=bisect_right(self._line_starts, piece.start),
                end_line=bisect_right(self._line_starts, piece.end - 1),
                page=piece.section.page,
                heading=piece.heading,
                context=self._context(piece.heading)[0],
            )

    # --- cutting --------------------------------------------------------------------------------

    def _cut(self, section: Section, span: Span, natural: int, size: int) -> list[_Piece]:
        """`span` in pieces of at most `size` characters that the embedder takes whole."""
        pieces: list[_Piece] = []
        repeat, repeat_tokens = self._repeat(section)
        room = self._room(section.heading)
        first, _ = _trimmed(self._text, section.start, section.end)
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
                pieces.append(_Piece(start, end, section, section.heading, tokens, before))
                continue
            # Parts of equal length, so that no crumb is left over.
            length, part = end - start, room - repeat_tokens
            most = max(1, int(length * part / tokens * 0.95))
            least = min(most, -(-length // -(-tokens // part)))
            pieces += self._cut(section, (start, end), least, most + len(repeat))
        return pieces

    def _characters(self, span: Span, room: int) -> int:
        """About how many characters of `span` make `room` tokens, by a sample from its middle."""
        middle = sum(span) // 2
        sample = self._text[max(span[0], middle - _SAMPLE) : middle + _SAMPLE]
        return max(1, int(len(sample) * room / max(1, self._count(sample)) * 0.95))

    def _spans(self, section: Section, span: Span, natural: int, size: int) -> Iterator[Span]:
        start, end = _trimmed(self._text, *span)
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
                spans = _split(self._text, (start, stop), section, natural, size, overlap)
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

    # --- joining --------------------------------------------------------------------------------

    def _joined(self, pieces: Iterable[_Piece]) -> list[_Piece]:
        """Small neighbours become one, and a heading keeps the beginning of its body."""
        todo = deque(pieces)
        done: list[_Piece] = []
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

    def _belongs(self, last: _Piece, piece: _Piece) -> bool:
        tiny = self._settings.tiny
        if last.section is piece.section:
            return min(last.length, piece.length) < tiny and self._fits(last, piece)
        if not _related(last.heading, piece.heading):
            return max(last.length, piece.length) < tiny and self._fits(last, piece)
        most = self._settings.size if last.length < tiny else self._settings.natural
        return self._fits(last, piece, most)

    def _led(self, last: _Piece, piece: _Piece) -> list[_Piece]:
        """`piece` cut so that its first part fits behind a heading; empty if `last` is none."""
        descends = last.heading == piece.heading[: len(last.heading)]
        if last.length >= self._settings.tiny or not descends or not self._adjoin(last, piece):
            return []
        room = self._room(piece.heading) - last.tokens
        gap = piece.start - last.end
        most = self._settings.size - last.length - gap
        most = min(most, int(piece.length * room / max(1, piece.tokens) * 0.95))
        if most < self._settings.tiny:
            return []
        natural = min(self._settings.natural, most)
        parts = self._cut(piece.section, (piece.start, piece.end), natural, most)
        return parts if self._fits(last, parts[0]) else []

    def _settle(self, done: list[_Piece]) -> None:
        """Appends a tiny last piece, which nothing followed, to the one before it."""
        if len(done) > 1 and done[-1].length < self._settings.tiny:
            before, last = done[-2:]
            if self._fits(before, last):
                done[-2:] = [self._join(before, last)]

    def _fits(self, last: _Piece, piece: _Piece, most: int | None = None) -> bool:
        length = last.length + piece.end - last.end
        heading = _common(last.heading, piece.heading)
        return (
            length <= (most or self._settings.size)
            and last.tokens + piece.tokens <= self._room(heading)
            and self._adjoin(last, piece)
        )

    def _adjoin(self, last: _Piece, piece: _Piece) -> bool:
        same_page = last.section.page == piece.section.page
        return same_page and not self._text[last.end : piece.start].strip()

    def _join(self, last: _Piece, piece: _Piece) -> _Piece:
        heading = _common(last.heading, piece.heading)
        tokens = last.tokens + piece.tokens
        return _Piece(last.start, piece.end, piece.section, heading, tokens, last.repeat)

    # --- what stands before a chunk -------------------------------------------------------------

    def _repeat(self, section: Section) -> tuple[str, int]:
        """The section's `repeat` and its tokens; none where it would crowd out the text."""
        if not section.repeat or len(section.repeat) > self._settings.size // 3:
            return "", 0
        repeat = section.repeat.rstrip("\n") + "\n"
        tokens = self._count(repeat)
        return (repeat, tokens) if tokens <= self._settings.max_tokens // 3 else ("", 0)

    def _room(self, heading: tuple[str, ...]) -> int:
        return self._settings.max_tokens - _MARKS - self._context(heading)[1]

    def _context(self, heading: tuple[str, ...]) -> tuple[str, int]:
        """Title and heading path, as much as is short, and its tokens."""
        if heading not in self._contexts:
            title = (self._title,) if self._title and self._title not in heading[:1] else ()
            parts = [" ".join(part.split())[:_HEADING] for part in (*title, *heading)]
            parts = [part for part in parts if part]
            most = self._settings.max_tokens // 4
            while parts and (
                len(context := " › ".join(parts)) > _CONTEXT or self._count(context) > most
            ):
                # The nearest heading says most, then the title.
                parts.pop(1 if len(parts) > 2 else 0)
            context = " › ".join(parts)
            self._contexts[heading] = (context, self._count(context))
        return self._contexts[heading]

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self._text))]


# --- spans of text ------------------------------------------------------------------------------


def _trimmed(text: str, start: int, end: int) -> Span:
    """Without blank lines before and white space behind; the first line keeps its indentation."""
    match = _BLANK_LINES.match(text, start, end)
    start = match.end() if match else start
    return start, start + len(text[start:end].rstrip())


def _split(
    text: str, window: Span, section: Section, natural: int, size: int, overlap: int
) -> list[Span]:
    """`window` in spans of `natural` to `size` characters, which overlap where words are torn."""
    base = window[0]
    text = text[slice(*window)]
    splitter = _splitter(section.kind, section.language, natural, size)
    spans = [(at, at + len(part)) for at, part in splitter.chunk_indices(text)]
    if section.kind == "code":
        spans = [(_indented(text, start, end, size), end) for start, end in spans]
    elif overlap:
        spans = _overlapping(text, spans, size, min(overlap, size // 3))
    return [(base + start, base + end) for start, end in spans]


def _overlapping(text: str, spans: list[Span], size: int, overlap: int) -> list[Span]:
    runs: list[list[Span]] = []
    for span in spans:
        if runs and not _BOUNDARY.search(text, max(0, span[0] - 20), span[0]):
            runs[-1].append(span)
        else:
            runs.append([span])
    result: list[Span] = []
    splitter = _splitter("text", None, size, size, overlap)
    for run in runs:
        if len(run) == 1:
            result += run
            continue
        base = run[0][0]
        parts = splitter.chunk_indices(text[base : run[-1][1]])
        result += [(base + at, base + at + len(part)) for at, part in parts]
    return result


def _indented(text: str, start: int, end: int, size: int) -> int:
    """The start of a line whose indentation the splitter trimmed."""
    line = text.rfind("\n", max(0, start - size), start) + 1
    return line if line and end - line <= size and text[line:start].isspace() else start


@lru_cache(maxsize=256)
def _splitter(
    kind: str, language: str | None, natural: int, size: int, overlap: int = 0
) -> "CodeSplitter | MarkdownSplitter | TextSplitter":
    # The version above is also imported where nothing is ever cut.
    from semantic_text_splitter import CodeSplitter, MarkdownSplitter, TextSplitter

    if kind == "markdown":
        return MarkdownSplitter((natural, size), overlap)
    if kind == "code" and language in GRAMMARS:
        return CodeSplitter(grammar(language), (natural, size), overlap)
    return TextSplitter((natural, size), overlap)


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return tuple(part for part, _ in same)


def _related(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one heading is above the other, or both are right below the same."""
    common = len(_common(one, other))
    return common in (len(one), len(other)) or common + 1 == len(one) == len(other)
