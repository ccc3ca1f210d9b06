"""Extract the text of a PDF page with pdfium, and correct its known mistakes.

pdfium guesses spaces and line breaks from the distances between characters, and reports the box of
each character. Only positions that match one of these patterns are checked again:

- letter-spaced text (`A L E N A Z I`) is joined to words,
- ligatures of right-to-left scripts are in reverse order,
- superscript digits are exponents or footnote marks (`10^6` is not `106`), and neither superscripts
  nor subscripts begin a line,
- words that are hyphenated at line ends are joined, and so are tokens (`pdf_tokens.py`).
"""

import ctypes
import math
import re
from collections.abc import Callable, Collection, Iterator
from itertools import groupby, pairwise
from statistics import median
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium  # pyright: ignore[reportMissingTypeStubs]
from pypdfium2 import PdfPage, PdfTextPage  # pyright: ignore[reportMissingTypeStubs]

from allma_server.documents.readers.pdf_tokens import (
    JOIN_MARK,
    breaks_in_tokens,
    is_address,
    join_tokens,
)

_HYPHEN = "\ufffe"
"""A hyphen at a line end, after which pdfium omits the line break."""

# Five words of at most three letters: short words of a language, or letter-spaced text.
_SHORT_WORDS = re.compile(r"(?<!\S)(?:[^\W\d_]{1,3} ){4,}[^\W\d_]{1,3}(?!\S)")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]{2,}")
_LAM_ALEF = frozenset({"لا", "لأ", "لإ", "لآ"})
_BEFORE_EXPONENT = re.compile(r"(?:(?<!\d)10|[^\W\d_]|\))(?=[-\u2010-\u2015\u2212]?\d{1,3}(?!\d))")

_LINE_BREAK = re.compile(r"(?<=\S)(\r\n)(?=\S)")
_SYMBOL = re.compile(r"(?<![^\W\d_])[^\W\d_]|[\d)\]]")
"""A character that can have an exponent: a digit, a closing bracket or a single letter."""

_MAX_MEAN_LETTERS = 2.0
"""The mean length of words up to which a text may be letter-spaced."""

_MAX_LETTER_GAP = 0.75
"""The widest gap between letters of one word, in heights of a character."""

_MIN_WORD_GAP = 0.15
"""The narrowest gap between words on a line whose height changes, in heights of a character."""

_COMPOUND = re.compile(r"(?<!\w)(?=(\w+-\w+))")

_MAX_TOKEN = 400
"""Characters that are searched for the beginning of a token."""

_BROKEN_WORD = re.compile(rf"(?<!\w)(\w+)(?:[-\u00ad\u2010] *\n|{_HYPHEN})(\w+) ?")


class _Box(NamedTuple):
    left: float
    bottom: float
    right: float
    top: float

    @property
    def height(self) -> float:
        return self.top - self.bottom

    def rotate(self, degrees: int) -> "_Box":
        """Return the box on a page that is rotated clockwise."""
        left, bottom, right, top = self
        if degrees == 90:
            return _Box(bottom, -right, top, -left)
        if degrees == 180:
            return _Box(-right, -top, -left, -bottom)
        if degrees == 270:
            return _Box(-top, left, -bottom, right)
        return self


def page_text(page: PdfPage) -> str:
    r"""Return the text of a page in reading order; lines end with `\n`."""
    found = page.get_textpage()
    turn = _rotation_to_upright(found)
    if turn is not None and turn != page.get_rotation():
        # pdfium returns the lines of sideways text in the wrong order.
        page.set_rotation(turn)  # pyright: ignore[reportUnknownMemberType]
        found = page.get_textpage()
    return _text(found, turn or 0)


def _rotation_to_upright(page: PdfTextPage) -> int | None:
    """Return the clockwise rotation in degrees that makes the text of a page upright."""
    count = page.count_chars()
    for at in range(count // 2, count):
        if pdfium.FPDFText_IsGenerated(page.raw, at) == 0:
            angle = pdfium.FPDFText_GetCharAngle(page.raw, at)
            return round(-math.degrees(angle) / 90) * 90 % 360
    return None


def _text(page: PdfTextPage, turn: int) -> str:
    look_up: Callable[[Any, int], int] = pdfium.FPDFText_GetUnicode
    handle = page.raw
    # Character by character: pdfium's function for all text returns only 65,536 characters.
    text = "".join([chr(look_up(handle, i)) for i in range(page.count_chars())])
    if "\x02" in text:
        is_hyphen: Callable[[Any, int], int] = pdfium.FPDFText_IsHyphen
        text = re.sub("\x02", lambda m: _HYPHEN if is_hyphen(handle, m.start()) == 1 else "", text)
    chars = list(text)
    for at, char in _corrections(page, text, turn):
        chars[at] = char
    text = "".join(chars).replace("\r\n", "\n").replace("\r", "\n")
    return clean_page(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def clean_page(text: str) -> str:
    """Join words that are hyphenated at line ends, and strip trailing spaces."""
    compounds = frozenset(_COMPOUND.findall(text))
    text = _BROKEN_WORD.sub(lambda match: _rejoin(match, compounds), text).replace(_HYPHEN, "-")
    return "\n".join(line.rstrip() for line in join_tokens(text).split("\n")).rstrip()


def _rejoin(match: re.Match[str], compounds: Collection[str]) -> str:
    left, right = match.groups()
    before = match.string[max(0, match.start() - _MAX_TOKEN) : match.end(1)]
    if is_address(before.split()[-1]):
        return f"{left}-{JOIN_MARK}{right}{' ' * match[0].endswith(' ')}"
    if not (left[-1].isalpha() and right[0].islower()):
        return match[0].replace(_HYPHEN, "-")
    # Keep the hyphen of a compound that the page also has within a line.
    hyphen = "-" if f"{left}-{right}" in compounds else ""
    return f"{left}{hyphen}{right}\n"


# --- corrections --------------------------------------------------------------------------------


def _corrections(page: PdfTextPage, text: str, turn: int) -> Iterator[tuple[int, str]]:
    """Yield indices of characters and their replacements."""
    rectangle = pdfium.FS_RECTF()
    pointer: Any = ctypes.byref(rectangle)

    def box(at: int) -> _Box:
        pdfium.FPDFText_GetLooseCharBox(page.raw, at, pointer)
        place = _Box(rectangle.left, rectangle.bottom, rectangle.right, rectangle.top)
        return place.rotate(turn) if turn else place

    def is_guess(at: int) -> bool:
        return pdfium.FPDFText_IsGenerated(page.raw, at) == 1

    for match in _SHORT_WORDS.finditer(text):
        yield from _close_letter_spacing(match, box, is_guess)
    for match in _RIGHT_TO_LEFT.finditer(text):
        yield from _reverse_ligatures(match, box)
    for match in _BEFORE_EXPONENT.finditer(text):
        base = match.end() - 1
        if _is_raised(box(base), box(base + 1)):
            yield base, f"{text[base]}^"
    for match in _LINE_BREAK.finditer(text):
        before, after = match.start() - 1, match.end()
        if (separator := _separator(box(before), box(after))) is not None:
            is_exponent = not separator and _SYMBOL.match(text, before) is not None
            raised = is_exponent and _is_raised(box(before), box(after))
            yield match.start(), "^" if raised else separator
            yield match.start() + 1, ""
    for at in breaks_in_tokens(text, lambda i: box(i).left, lambda i: box(i).right):
        yield at, JOIN_MARK
        yield at + 1, ""


def _close_letter_spacing(
    match: re.Match[str], box: Callable[[int], _Box], is_guess: Callable[[int], bool]
) -> Iterator[tuple[int, str]]:
    """Remove the spaces between letters of one word in letter-spaced text.

    Its gaps are narrow within words and wide between them, or all narrow.
    """
    words = match[0].split(" ")
    spaces = [i for i in range(*match.span()) if match.string[i] == " "]
    if sum(map(len, words)) > _MAX_MEAN_LETTERS * len(words) or not all(map(is_guess, spaces)):
        return
    letters = [i for i in range(*match.span()) if match.string[i] != " "]
    boxes = {i: box(i) for i in letters}
    gaps = {(a, b): boxes[b].left - boxes[a].right for a, b in pairwise(letters)}
    height = median(b.height for b in boxes.values())
    widest = _max_letter_gap(sorted(gaps.values()), height)
    for (a, b), gap in gaps.items():
        if b - a == 2 and -0.5 * height < gap <= widest:
            yield a + 1, ""


def _max_letter_gap(gaps: list[float], height: float) -> float:
    """Return the widest narrow gap: the one below the largest step, or the widest of all."""
    step, narrow = max((b - a, a) for a, b in pairwise(gaps))
    if step < 0.15 * height:
        narrow = gaps[-1]
    return narrow if narrow <= _MAX_LETTER_GAP * height else 0.0


def _reverse_ligatures(
    match: re.Match[str], box: Callable[[int], _Box]
) -> Iterator[tuple[int, str]]:
    """Restore the order of characters of one glyph, which pdfium reverses with the line."""
    for _, glyph in groupby(range(*match.span()), key=box):
        places = list(glyph)
        chars = [match.string[i] for i in places]
        # pdfium expands glyphs that are encoded as a ligature in the right order.
        if len(places) > 1 and "".join(chars) not in _LAM_ALEF:
            yield from zip(places, reversed(chars), strict=True)


def _separator(before: _Box, after: _Box) -> str | None:
    """Return the separator of characters at different heights; None if on different lines."""
    height = min(before.height, after.height)
    gap = after.left - before.right
    overlap = min(before.top, after.top) - max(before.bottom, after.bottom)
    if not (0 < height and overlap > 0.15 * height and -0.2 * height < gap < 0.5 * height):
        return None
    return " " if gap > _MIN_WORD_GAP * height else ""


def _is_raised(base: _Box, digit: _Box) -> bool:
    smaller = 0 < digit.height < 0.9 * base.height
    return smaller and digit.bottom > base.bottom + 0.1 * base.height and digit.left > base.left
