"""Join addresses, identifiers and keys that a PDF breaks over lines.

A broken token is found by no search, and a broken secret is not recognized. A line break is inside
a token when both sides look like parts of one, and the next part had no room on the line.
"""

import re
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

JOIN_MARK = "\ufdd0"
"""Marks where a token continues on the next line; a code point that no text contains."""

Edge = Callable[[int], float]

_BREAK = re.compile(r"(?<=\S)\r\n(?=\S)")
_MAX_TOKEN = 400
"""Characters of a token on one line that are examined."""

_ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9+.-]{1,20}://|\bwww\.|[\w.+-]{1,64}@(?=[\w-]{1,64}\.))[^\s<>\"]*$",
    re.IGNORECASE,
)
_BEGINS_ADDRESS = re.compile(r"[\"'(<]?(?:[a-z][a-z0-9+.-]{1,20}://|www\.)", re.IGNORECASE)
_PART_OF_ADDRESS = re.compile(r"[A-Za-z0-9][/=&?#%_~.-]+[A-Za-z0-9%]|[A-Za-z]\d|\d[A-Za-z]|[%=&?_]")
_NUMBER = re.compile(r"[\d.,:/-]+")
_MARKS = ".,;:!?)]}>\"'"
"""Punctuation that ends a sentence and is no part of the token before it."""

_KEY = re.compile(r"[\w+/=.~-]+")
_KEY_LENGTH = 12
_CHANGE = re.compile(r"(?<=[a-z])(?=[A-Z\d])|(?<=[A-Z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_KEY_CHANGES = 3
"""The minimum of changes between upper case, lower case and digits in a part of a key."""

_FIRST_PART = re.compile(r"[^/?&=#-]*[/?&=#-]?")
"""The smallest part that moves to the next line: addresses are broken after a separator."""

_NEARBY_LINES = 12
"""Lines on either side that are compared to find the width of the column."""

_MIN_PROSE_WORDS = 4
"""Words of a line of prose, at least; lines of lists and tables end anywhere."""


def join_tokens(text: str) -> str:
    """Move the rest of each broken token to the line where the token begins."""
    if JOIN_MARK not in text:
        return text
    return re.sub(
        rf"{JOIN_MARK}(\S+)[ \n]?", lambda match: match[1].replace(JOIN_MARK, "") + "\n", text
    )


def is_address(token: str) -> bool:
    """Return whether `token` is or begins a URL, a mail address, a path or an identifier."""
    return _ADDRESS.search(token) is not None or "_" in token or token.count("/") > 1


def breaks_in_tokens(text: str, left: Edge, right: Edge) -> Iterator[int]:
    r"""Yield the offset of each `\r\n` inside a token; `left`, `right`: edges of a character."""
    starts: list[int] = []
    for match in _BREAK.finditer(text):
        at, after = match.span()
        token = text[max(0, at - _MAX_TOKEN) : at].split()[-1]
        rest = text[after : after + _MAX_TOKEN].split()[0]
        if _is_broken_address(token, rest):
            first = _FIRST_PART.match(rest)
            part = first.end() if first else 1
        elif _is_broken_key(token, rest):
            part = 1
        else:
            continue
        starts = starts or [0, *(found.end() for found in re.finditer("\r\n", text))]
        needed = right(after + part - 1) - left(after)
        if right(at - 1) + needed > _margin(text, starts, at, left, right):
            yield at


def _is_broken_key(token: str, rest: str) -> bool:
    rest = rest.rstrip(_MARKS)
    if len(token) < _KEY_LENGTH or not _KEY.fullmatch(rest) or len(rest) == len(token):
        return False  # keys of equal length are items of a list
    changes = len(_CHANGE.findall(token)), len(_CHANGE.findall(rest))
    return changes[0] >= _KEY_CHANGES and (changes[1] > 0 or (rest.isdigit() and len(rest) > 1))


def _is_broken_address(token: str, rest: str) -> bool:
    if _BEGINS_ADDRESS.match(rest) or not is_address(token):
        return False
    rest = rest.rstrip(_MARKS)
    if token.endswith("_"):
        return token[-2:-1].isalnum() and rest[:1].isalnum()  # else it is a blank of a form
    if token[-1] in _MARKS and not (token[-1] == "." and rest[:1].islower()):
        return False
    return _PART_OF_ADDRESS.search(rest) is not None and _NUMBER.fullmatch(rest) is None


def _margin(text: str, starts: Sequence[int], at: int, left: Edge, right: Edge) -> float:
    """Return the right edge of the lines of prose around `at`, or of its own line."""
    line = bisect(starts, at) - 1
    end = right(at - 1)
    widest = end
    near = starts[max(0, line - _NEARBY_LINES) : line + _NEARBY_LINES]
    for first, following in pairwise(near):
        words = text[first : following - 2].rstrip()
        is_prose = len(words.split(maxsplit=_MIN_PROSE_WORDS)) >= _MIN_PROSE_WORDS
        if is_prose and left(first) < end:  # otherwise the line is in another column
            widest = max(widest, right(first + len(words) - 1))
    return widest
