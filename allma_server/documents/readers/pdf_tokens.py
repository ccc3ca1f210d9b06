"""Addresses, identifiers and keys that a PDF breaks over lines, put together again.

Broken, they are found by no search, and a secret is not known for one. A line break is inside of a
token when both sides look like parts of one, and what follows had no room on the line.
"""

import re
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

JOINT = "\ufdd0"
"""Stands where a token goes on in the next line, until `joined`; it is no character of any text."""

Edge = Callable[[int], float]

_BREAK = re.compile(r"(?<=\S)\r\n(?=\S)")
_LONGEST = 400
"""Characters of a token on one line that are looked at."""

_ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9+.-]{1,20}://|\bwww\.|[\w.+-]{1,64}@(?=[\w-]{1,64}\.))[^\s<>\"]*$",
    re.IGNORECASE,
)
_BEGINS_ADDRESS = re.compile(r"[\"'(<]?(?:[a-z][a-z0-9+.-]{1,20}://|www\.)", re.IGNORECASE)
_PART_OF_ADDRESS = re.compile(r"[A-Za-z0-9][/=&?#%_~.-]+[A-Za-z0-9%]|[A-Za-z]\d|\d[A-Za-z]|[%=&?_]")
_NUMBER = re.compile(r"[\d.,:/-]+")
_MARKS = ".,;:!?)]}>\"'"
"""What ends a sentence, and is no part of a token before it."""

_KEY = re.compile(r"[\w+/=.~-]+")
_KEY_LENGTH = 12
_CHANGE = re.compile(r"(?<=[a-z])(?=[A-Z\d])|(?<=[A-Z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_KEY_CHANGES = 3
"""Changes between capitals, small letters and digits, at least, in a piece of a key."""

_FIRST_PART = re.compile(r"[^/?&=#-]*[/?&=#-]?")
"""What has to have room on a line: addresses are broken behind the signs between their parts."""

_NEAR = 12
"""Lines on either side that show how wide the column is."""

_PROSE = 4
"""Words in a line that shows it; those of lists and tables end anywhere."""


def joined(text: str) -> str:
    """`text` with its broken tokens on the line that they begin in."""
    if JOINT not in text:
        return text
    return re.sub(rf"{JOINT}(\S+)[ \n]?", lambda match: match[1].replace(JOINT, "") + "\n", text)


def is_address(token: str) -> bool:
    """Whether `token` is or begins an address of the web or of mail, a path or an identifier."""
    return _ADDRESS.search(token) is not None or "_" in token or token.count("/") > 1


def breaks_in_tokens(text: str, left: Edge, right: Edge) -> Iterator[int]:
    r"""Where each `\r\n` inside of a token begins; `left` and `right` tell edges of characters."""
    starts: list[int] = []
    for match in _BREAK.finditer(text):
        at, after = match.span()
        token = text[max(0, at - _LONGEST) : at].split()[-1]
        rest = text[after : after + _LONGEST].split()[0]
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
        return False  # of one length are the keys in a list
    changes = len(_CHANGE.findall(token)), len(_CHANGE.findall(rest))
    return changes[0] >= _KEY_CHANGES and (changes[1] > 0 or (rest.isdigit() and len(rest) > 1))


def _is_broken_address(token: str, rest: str) -> bool:
    if _BEGINS_ADDRESS.match(rest) or not is_address(token):
        return False
    rest = rest.rstrip(_MARKS)
    if token.endswith("_"):
        return token[-2:-1].isalnum() and rest[:1].isalnum()  # else it is a blank in a form
    if token[-1] in _MARKS and not (token[-1] == "." and rest[:1].islower()):
        return False
    return _PART_OF_ADDRESS.search(rest) is not None and _NUMBER.fullmatch(rest) is None


def _margin(text: str, starts: Sequence[int], at: int, left: Edge, right: Edge) -> float:
    """The right edge of the lines of prose around `at`; of its own line where there are none."""
    line = bisect(starts, at) - 1
    end = right(at - 1)
    widest = end
    near = starts[max(0, line - _NEAR) : line + _NEAR]
    for first, following in pairwise(near):
        words = text[first : following - 2].rstrip()
        is_prose = len(words.split(maxsplit=_PROSE)) >= _PROSE
        if is_prose and left(first) < end:  # else it is in another column
            widest = max(widest, right(first + len(words) - 1))
    return widest
