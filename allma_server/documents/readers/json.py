r"""JSON and JSON Lines: the file's own lines, with a break at each record.

The text is scanned, not parsed. Nesting of any depth, numbers of any size and duplicate keys do
no harm then, and lines stay true. Only escapes in strings are replaced by what they stand for,
so that "Gr\u00fc\u00dfe" is found as "Grüße".
"""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePath

from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.text import whole
from allma_server.types import Extract, Section

_LONG = 800
"""Values longer than this, in characters, offer breaks between their items."""

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]|[^\s\[\]{},":][^\s\[\]{},"]*', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([dD][89abAB]..)\\u([dD][c-fC-F]..)|u(....)|(.))", re.DOTALL)
_CLOSED_BY = {"[": "]", "{": "}"}


def read(data: bytes, path: PurePath) -> Extract:
    """Read one value, or one per line; text whose brackets do not match is read as plain text."""
    extract = whole(_ESCAPE.sub(_unescaped, decode(data)))
    records = _scan(extract.text)
    if records is None:
        return extract
    return Extract(extract.text, tuple(_sections(extract.text, records)))


def _unescaped(match: re.Match[str]) -> str:
    high, low, unit, short = match.groups()
    try:
        if high:
            char = chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
        elif unit:
            char = chr(int(unit, 16))
        else:
            char = {"n": " ", "t": " ", "r": " ", "b": " ", "f": " ", "/": "/"}.get(short, "\\")
    except ValueError:
        return match[0]
    # Quotes and backslashes stay escaped: the end of a string must remain visible.
    return match[0] if char in '"\\' else char if char >= " " else " "


@dataclass(slots=True)
class _Records:
    """Where records begin: `breaks` anywhere, `members` those of an object at the top."""

    breaks: list[int] = field(default_factory=list[int])
    members: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])


@dataclass(slots=True)
class _Open:
    """An array or object whose end was not seen yet; the document itself has no `bracket`."""

    bracket: str
    start: int
    items: list[int] = field(default_factory=list[int])


def _scan(text: str) -> _Records | None:
    """The records of `text`; None when its brackets don't match, so that it isn't JSON."""
    records = _Records()
    stack = [_Open("", 0)]
    new_item = True
    for match in _TOKEN.finditer(text):
        token, at = match[0], match.start()
        if token == ",":
            new_item = True
            continue
        if token in ("]", "}"):
            closed = stack.pop()
            if _CLOSED_BY.get(closed.bracket) != token:
                return None
            if at - closed.start > _LONG:
                records.breaks.extend(closed.items)
            new_item = False
            continue
        if new_item or len(stack) == 1:
            stack[-1].items.append(at)
            if len(stack) == 2 and stack[-1].bracket == "{":
                records.members.append((at, token.strip('"')))
        if new_item := token in _CLOSED_BY:
            stack.append(_Open(token, at))
    if len(stack) > 1:
        return None
    records.breaks.extend(stack[0].items)
    records.breaks = sorted({_line_start(text, at) for at in records.breaks})
    if len(stack[0].items) > 1:
        records.members.clear()
    return records


def _line_start(text: str, at: int) -> int:
    """`at`, or the beginning of its line when only indentation stands before it."""
    start = text.rfind("\n", max(0, at - 200), at) + 1
    return start if start and not text[start:at].strip() else at


def _sections(text: str, records: _Records) -> list[Section]:
    """One section, but for the long members of an object at the top: those have their key above."""
    starts = [(_line_start(text, at), key) for at, key in records.members]
    bounds: list[tuple[int, str]] = [(0, "")]
    for (start, key), (end, _) in pairwise([*starts, (len(text), "")]):
        if end - start > _LONG:
            bounds.append((start, key))
        elif bounds[-1][1]:
            bounds.append((start, ""))
    sections: list[Section] = []
    breaks = iter(records.breaks)
    at = next(breaks, None)
    for (start, key), (end, _) in pairwise([*bounds, (len(text), "")]):
        own: list[int] = []
        while at is not None and at < end:
            own.append(at)
            at = next(breaks, None)
        if start < end:
            heading = (key,) if key else ()
            sections.append(Section(start, end, "records", heading, breaks=tuple(own)))
    return sections
