"""CSV and TSV: the lines of the file, with a break at each row and the header row as `repeat`."""

import csv
import sys
from collections.abc import Iterator
from io import StringIO
from itertools import accumulate
from pathlib import PurePath

from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.sheet_rows import is_header
from allma_server.documents.readers.text import extract_plain_text
from allma_server.types import Extract, Section

_MAX_REPEAT = 400
_LONG_ROW = 2000


def read(data: bytes, path: PurePath) -> Extract:
    """Read rows separated by commas, semicolons, tabs or bars; quoted cells may span lines."""
    extract = extract_plain_text(decode(data))
    text = extract.text
    lines = list(StringIO(text, newline="\n"))
    starts = [0, *accumulate(map(len, lines))]
    rows = list(_rows(lines, _delimiter(lines, path)))
    breaks: list[int] = []
    for first, last, _ in rows:
        breaks.append(starts[first])
        if starts[last] - starts[first] > _LONG_ROW:
            # A long quoted cell, or a quote that is never closed: break at its lines.
            breaks.extend(starts[first + 1 : last])
    repeat = ""
    if len(rows) > 1 and is_header(rows[0][2]) and starts[rows[0][1]] <= _MAX_REPEAT:
        repeat = text[: starts[rows[0][1]]].rstrip("\n")
    section = Section(0, len(text), "records", repeat=repeat, breaks=tuple(breaks))
    return Extract(text, (section,), metadata={"rows": str(len(rows))})


def _delimiter(lines: list[str], path: PurePath) -> str:
    sample = "".join(lines[:20])[:4000]
    try:
        return csv.Sniffer().sniff(sample, delimiters=",;\t|").delimiter
    except csv.Error:
        return "," if path.suffix.lower() == ".csv" else "\t"


def _rows(lines: list[str], delimiter: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield each row as (first line, line after its last, cells); lines count from 0."""
    csv.field_size_limit(sys.maxsize if sys.maxsize < 1 << 31 else (1 << 31) - 1)
    reader = csv.reader(lines, delimiter=delimiter)
    first = 0
    for cells in reader:
        yield first, reader.line_num, cells
        first = reader.line_num
