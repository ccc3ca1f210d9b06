"""The text of a PDF page as pdfium finds it, with what it gets wrong put right.

pdfium guesses spaces and line breaks from the distances between characters, and gives each
character's place. Looked at again are only the few places that can be wrong:

- letters that are spaced out (`A L E N A Z I`) are words,
- ligatures of right-to-left scripts come back to front,
- raised digits are exponents or marks of notes (`10^6` is not `106`), and neither they nor lowered
  ones begin a line,
- words hyphenated at line ends are put together, and so are tokens (`pdf_tokens.py`).
"""

import ctypes
import math
import re
from collections.abc import Callable, Collection, Iterator
from itertools import groupby, pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from allma_server.documents.readers.pdf_tokens import JOINT, breaks_in_tokens, is_address, joined

if TYPE_CHECKING:
    from pypdfium2 import PdfPage, PdfTextPage  # pyright: ignore[reportMissingTypeStubs]

_HYPHEN = "\ufffe"
"""A hyphen at a line end, where pdfium leaves out the line break."""

# Five words of three letters at most: short words of a language, or spaced letters.
_SHORT_WORDS = re.compile(r"(?<!\S)(?:[^\W\d_]{1,3} ){4,}[^\W\d_]{1,3}(?!\S)")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]{2,}")
_LAM_ALEF = frozenset({"لا", "لأ", "لإ", "لآ"})
_RAISED = re.compile(r"(?:(?<!\d)10|[^\W\d_]|\))(?=[-\u2010-\u2015\u2212]?\d{1,3}(?!\d))")

_LINE_BREAK = re.compile(r"(?<=\S)(\r\n)(?=\S)")
_SYMBOL = re.compile(r"(?<![^\W\d_])[^\W\d_]|[\d)\]]")
"""What stands before an exponent: a digit, a bracket or a single letter."""

_SPACED_LETTERS = 2.0
"""Letters a word, at most, where letters may be spaced out."""

_LETTER_GAP = 0.75
"""The widest gap between letters of one word, in heights of a character."""

_WORD_GAP = 0.15
"""The narrowest gap between words on a line whose height changes, in heights of a character."""

_COMPOUND = re.compile(r"(?<!\w)(?=(\w+-\w+))")

_LONGEST_TOKEN = 400
"""Characters that are looked at for the beginning of a token."""

_BROKEN_WORD = re.compile(rf"(?<!\w)(\w+)(?:[-\u00ad\u2010] *\n|{_HYPHEN})(\w+) ?")


class _Box(NamedTuple):
    left: float
    bottom: float
    right: float
    top: float

    @property
    def height(self) -> float:
        return self.top - self.bottom

    def turned(self, degrees: int) -> "_Box":
        """Where it is on a page that is turned clockwise."""
        left, bottom, right, top = self
        if degrees == 90:
            return _Box(bottom, -right, top, -left)
        if degrees == 180:
            return _Box(-right, -top, -left, -bottom)
        if degrees == 270:
            return _Box(-top, left, -bottom, right)
        return self


def page_text(page: "PdfPage") -> str:
    """The text of a page in reading order; lines end as in Python."""
    found = page.get_textpage()
    turn = _turn_to_upright(found)
    if turn is not None and turn != page.get_rotation():
        # Lines of text that is seen sideways come in the wrong order.
        page.set_rotation(turn)  # pyright: ignore[reportUnknownMemberType]
        found = page.get_textpage()
    return _text(found, turn or 0)


def _turn_to_upright(page: "PdfTextPage") -> int | None:
    """How many degrees, clockwise, a page is to be turned for its text to be upright."""
    import pypdfium2.raw as pdfium  # pyright: ignore[reportMissingTypeStubs]

    count = page.count_chars()
    for at in range(count // 2, count):
        if pdfium.FPDFText_IsGenerated(page.raw, at) == 0:
            angle = pdfium.FPDFText_GetCharAngle(page.raw, at)
            return round(-math.degrees(angle) / 90) * 90 % 360
    return None


def _text(page: "PdfTextPage", turn: int) -> str:
    import pypdfium2.raw as pdfium  # pyright: ignore[reportMissingTypeStubs]

    look_up: Callable[[Any, int], int] = pdfium.FPDFText_GetUnicode
    handle = page.raw
    # Character by character: the text in one piece knows only the first 65,536 characters.
    text = "".join([chr(look_up(handle, i)) for i in range(page.count_chars())])
    if "\x02" in text:
        is_hyphen: Callable[[Any, int], int] = pdfium.FPDFText_IsHyphen
        text = re.sub("\x02", lambda m: _HYPHEN if is_hyphen(handle, m.start()) == 1 else "", text)
    chars = list(text)
    for at, char in _corrections(page, text, turn):
        chars[at] = char
    text = "".join(chars).replace("\r\n", "\n").replace("\r", "\n")
    return tidy(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def tidy(text: str) -> str:
    """The text of a page, with words put together again that were hyphenated at line ends."""
    compounds = frozenset(_COMPOUND.findall(text))
    text = _BROKEN_WORD.sub(lambda match: _mended(match, compounds), text).replace(_HYPHEN, "-")
    return "\n".join(line.rstrip() for line in joined(text).split("\n")).rstrip()


def _mended(match: re.Match[str], compounds: Collection[str]) -> str:
    left, right = match.groups()
    before = match.string[max(0, match.start() - _LONGEST_TOKEN) : match.end(1)]
    if is_address(before.split()[-1]):
        return f"{left}-{JOINT}{right}{' ' * match[0].endswith(' ')}"
    if not (left[-1].isalpha() and right[0].islower()):
        return match[0].replace(_HYPHEN, "-")
    # A compound is written with its hyphen elsewhere, too.
    hyphen = "-" if f"{left}-{right}" in compounds else ""
    return f"{left}{hyphen}{right}\n"


# --- corrections --------------------------------------------------------------------------------


def _corrections(page: "PdfTextPage", text: str, turn: int) -> Iterator[tuple[int, str]]:
    """Characters to put in the place of others, by index."""
    import pypdfium2.raw as pdfium  # pyright: ignore[reportMissingTypeStubs]

    rectangle = pdfium.FS_RECTF()
    pointer: Any = ctypes.byref(rectangle)

    def box(at: int) -> _Box:
        pdfium.FPDFText_GetLooseCharBox(page.raw, at, pointer)
        place = _Box(rectangle.left, rectangle.bottom, rectangle.right, rectangle.top)
        return place.turned(turn) if turn else place

    def is_guess(at: int) -> bool:
        return pdfium.FPDFText_IsGenerated(page.raw, at) == 1

    for match in _SHORT_WORDS.finditer(text):
        yield from _closed_up(match, box, is_guess)
    for match in _RIGHT_TO_LEFT.finditer(text):
        yield from _turned(match, box)
    for match in _RAISED.finditer(text):
        base = match.end() - 1
        if _is_raised(box(base), box(base + 1)):
            yield base, f"{text[base]}^"
    for match in _LINE_BREAK.finditer(text):
        before, after = match.start() - 1, match.end()
        if (joint := _joint(box(before), box(after))) is not None:
            is_exponent = not joint and _SYMBOL.match(text, before) is not None
            raised = is_exponent and _is_raised(box(before), box(after))
            yield match.start(), "^" if raised else joint
            yield match.start() + 1, ""
    for at in breaks_in_tokens(text, lambda i: box(i).left, lambda i: box(i).right):
        yield at, JOINT
        yield at + 1, ""


def _closed_up(
    match: re.Match[str], box: Callable[[int], _Box], is_guess: Callable[[int], bool]
) -> Iterator[tuple[int, str]]:
    """Spaces between letters of one word taken out, where letters are spaced out.

    The gaps between letters are narrow ones and wide ones, or all of one kind.
    """
    words = match[0].split(" ")
    spaces = [i for i in range(*match.span()) if match.string[i] == " "]
    if sum(map(len, words)) > _SPACED_LETTERS * len(words) or not all(map(is_guess, spaces)):
        return
    letters = [i for i in range(*match.span()) if match.string[i] != " "]
    boxes = {i: box(i) for i in letters}
    gaps = {(a, b): boxes[b].left - boxes[a].right for a, b in pairwise(letters)}
    height = median(b.height for b in boxes.values())
    widest = _widest_between_letters(sorted(gaps.values()), height)
    for (a, b), gap in gaps.items():
        if b - a == 2 and -0.5 * height < gap <= widest:
            yield a + 1, ""


def _widest_between_letters(gaps: list[float], height: float) -> float:
    """The upper end of the narrow gaps: below the largest step, or of all when there is none."""
    step, narrow = max((b - a, a) for a, b in pairwise(gaps))
    if step < 0.15 * height:
        narrow = gaps[-1]
    return narrow if narrow <= _LETTER_GAP * height else 0.0


def _turned(match: re.Match[str], box: Callable[[int], _Box]) -> Iterator[tuple[int, str]]:
    """The characters of one glyph in their order; pdfium turns them round with the line."""
    for _, glyph in groupby(range(*match.span()), key=box):
        places = list(glyph)
        chars = [match.string[i] for i in places]
        # Glyphs that are coded as a ligature are taken apart by pdfium in the right order.
        if len(places) > 1 and "".join(chars) not in _LAM_ALEF:
            yield from zip(places, reversed(chars), strict=True)


def _joint(before: _Box, after: _Box) -> str | None:
    """What stands between neighbours on a line at different heights; None on different lines."""
    height = min(before.height, after.height)
    gap = after.left - before.right
    overlap = min(before.top, after.top) - max(before.bottom, after.bottom)
    if not (0 < height and overlap > 0.15 * height and -0.2 * height < gap < 0.5 * height):
        return None
    return " " if gap > _WORD_GAP * height else ""


def _is_raised(base: _Box, digit: _Box) -> bool:
    smaller = 0 < digit.height < 0.9 * base.height
    return smaller and digit.bottom > base.bottom + 0.1 * base.height and digit.left > base.left
