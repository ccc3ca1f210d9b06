r"""JSON and JSON Lines: the lines of the file, with a break at each record.

The text is scanned instead of parsed: nesting of any depth, numbers of any size and duplicate keys
are no problem then, and line numbers stay right. Only escapes in strings are decoded, so that
"Gr\u00fc\u00dfe" is found as "Grüße".
"""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePath

from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.text import extract_plain_text
from allma_server.types import Extract, Section

_LONG_VALUE = 800
"""Values longer than this, in characters, get breaks between their items."""

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]|[^\s\[\]{},":][^\s\[\]{},"]*', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([dD][89abAB]..)\\u([dD][c-fC-F]..)|u(....)|(.))", re.DOTALL)
_CLOSING = {"[": "]", "{": "}"}


def read(data: bytes, path: PurePath) -> Extract:
    """Read one value, or one per line; if brackets do not match, read the file as plain text."""
    extract = extract_plain_text(_ESCAPE.sub(_unescape, decode(data)))
    records = _scan(extract.text)
    if records is None:
        return extract
    return Extract(extract.text, tuple(_sections(extract.text, records)))


def _unescape(match: re.Match[str]) -> str:
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
    # Quotes and backslashes stay escaped, so that the end of a string remains visible.
    return match[0] if char in '"\\' else char if char >= " " else " "


@dataclass(slots=True)
class _Records:
    """Offsets of records: `breaks` of all, `members` (with keys) of a top-level object."""

    breaks: list[int] = field(default_factory=list[int])
    members: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])


@dataclass(slots=True)
class _OpenContainer:
    """An array or object that is not closed yet; the document itself has no `bracket`."""

    bracket: str
    start: int
    items: list[int] = field(default_factory=list[int])


def _scan(text: str) -> _Records | None:
    """Return the records of `text`; None when its brackets do not match."""
    records = _Records()
    stack = [_OpenContainer("", 0)]
    new_item = True
    for match in _TOKEN.finditer(text):
        token, at = match[0], match.start()
        if token == ",":
            new_item = True
            continue
        if token in ("]", "}"):
            closed = stack.pop()
            if _CLOSING.get(closed.bracket) != token:
                return None
            if at - closed.start > _LONG_VALUE:
                records.breaks.extend(closed.items)
            new_item = False
            continue
        if new_item or len(stack) == 1:
            stack[-1].items.append(at)
            if len(stack) == 2 and stack[-1].bracket == "{":
                records.members.append((at, token.strip('"')))
        if new_item := token in _CLOSING:
            stack.append(_OpenContainer(token, at))
    if len(stack) > 1:
        return None
    records.breaks.extend(stack[0].items)
    records.breaks = sorted({_line_start(text, at) for at in records.breaks})
    if len(stack[0].items) > 1:
        records.members.clear()
    return records


def _line_start(text: str, at: int) -> int:
    """Return the start of the line at `at` when only indentation precedes it, else `at`."""
    start = text.rfind("\n", max(0, at - 200), at) + 1
    return start if start and not text[start:at].strip() else at


def _sections(text: str, records: _Records) -> list[Section]:
    """Return one section, or more: long members of a top-level object have a section each."""
    starts = [(_line_start(text, at), key) for at, key in records.members]
    bounds: list[tuple[int, str]] = [(0, "")]
    for (start, key), (end, _) in pairwise([*starts, (len(text), "")]):
        if end - start > _LONG_VALUE:
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
