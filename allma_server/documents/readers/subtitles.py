"""Subtitles (SubRip, WebVTT): what is said, with the time as its place."""

import re
from itertools import accumulate
from pathlib import PurePath

from allma_server.documents.builder import DocumentBuilder
from allma_server.documents.readers.line_sections import file_text
from allma_server.documents.readers.text import extract_plain_text
from allma_server.types import Extract, Section

_TIME = r"((?:\d{1,3}:)?\d{1,2}:\d{2})[.,]\d{1,3}"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>|<[\d:.]{4,16}>|\{\\[^{}]{0,100}\}")
_NOTE = re.compile(r"(?:NOTE|STYLE|REGION)\b")


def read(data: bytes, path: PurePath) -> Extract:
    """Read the cues in order; a line that is repeated from the cue before is left out."""
    text = file_text(data)
    rows, numbers, places = list[str](), list[int](), list[tuple[str, str]]()
    place: tuple[str, str] | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        if times := _TIMES.match(line):
            place = f"{_short(times[1])}–", _short(times[2])
        elif not line.strip() or _NOTE.match(line):
            place = None
        elif place is not None:
            said = " ".join(_TAG.sub("", line).split())
            if said and said not in rows[-1:]:
                rows.append(said)
                numbers.append(number)
                places.append(place)
    if not rows:
        return extract_plain_text(text)
    breaks = tuple(accumulate((len(row) + 1 for row in rows[:-1]), initial=0))
    document = DocumentBuilder()
    like = Section(0, 0, "records", breaks=breaks, places=tuple(places))
    document.add_section("\n".join(rows), like, numbers)
    return document.build("It has no text.")


def _short(time: str) -> str:
    """Return a time without the hour if that is zero."""
    return re.sub(r"^0+:(?=\d{1,2}:)", "", time)
