"""Secrets in the cells of tables whose column or row is named so.

The tables are those of Markdown, CSV and of what readers make of HTML and Word files.
"""

import re
from collections.abc import Iterable, Iterator

from allma_server.secrets.assignments import speaks_of_secret
from allma_server.secrets.labels import Label
from allma_server.secrets.passphrases import is_passphrase
from allma_server.secrets.rules import MarkedText
from allma_server.secrets.spans import Span
from allma_server.secrets.values import is_random, is_written, is_written_word

_LONGEST_ROW = 4_000
_CELLS = {
    "|": re.compile(r"(?:\\\||[^|\n])*"),
    "\t": re.compile(r"\"(?:[^\"\n]|\"\")*\"|[^\t\n]*"),
    ";": re.compile(r"\"(?:[^\"\n]|\"\")*\"|[^;\n]*"),
    ",": re.compile(r"\"(?:[^\"\n]|\"\")*\"|[^,\n]*"),
}
_RULE = re.compile(r"[|+:=\s-]+")
_AROUND = " \t\r\"'`*_\\"
_NAME = re.compile(r"[^\W\d_][\w '’()-]{0,40}")
_HEADER = re.compile(r"[\w .,;\"/-]+\r?")
_BLANK_HEADER = re.compile(r"[^\W\d_]+(?:[^\S\n]+[^\W\d_]+){1,5}[^\S\n]*")
_WORD = re.compile(r"\S+")
_LOGIN = re.compile(
    r"\b(?:user(?:[ _]?name)?s?|login|account|e-?mail|benutzer\w*|utilisateur|usuario|utente|host|"
    r"server|url|website|ssid|wlan|wi-?fi|site|service)\b"
)

Cell = tuple[int, int]


def in_tables(marked: MarkedText, labels: Iterable[Label]) -> Iterator[Span]:
    """What stands below or beside a cell that names a password, a token or a PIN."""
    text, lowered = marked.text, marked.lowered
    seen = 0  # the end of the last table without separators
    for label in labels:
        start, end = _line(text, label.start)
        if end - start > _LONGEST_ROW:
            continue
        separator = next((each for each in _CELLS if each in text[start:end]), None)
        if separator is None:
            is_header = start >= seen and _BLANK_HEADER.fullmatch(text, start, end)
            if is_header and _LOGIN.search(lowered, start, end):
                cells, seen = _below_blanks(text, start, end, label)
                yield from _secrets(text, cells, label.kind, weak=False)
            continue
        row = _cells(text, start, end, separator)
        if sum(begin < stop for begin, stop in row) < 2 and separator != "|":
            continue
        column = next((n for n, cell in enumerate(row) if cell[0] <= label.start < cell[1]), None)
        if column is None or not _names(lowered, row[column], label):
            continue
        if separator in ",;" and not _is_data(text, start, end, row):
            continue  # of code or a sentence
        if column == next((n for n, cell in enumerate(row) if cell[0] < cell[1]), 0):
            yield from _secrets(text, row[column + 1 :], label.kind, weak=False)
        is_first = start == 0 or not _is_row(text, *_line(text, start - 1), separator)
        if is_first:
            below = list(_below(text, end, separator, len(row), column))
            weak = _LOGIN.search(lowered, start, end) is not None
            yield from _secrets(text, below, label.kind, weak=weak)


def _below_blanks(text: str, start: int, end: int, label: Label) -> tuple[list[Cell], int]:
    """The words below a name in a table whose columns only blanks separate, as in a PDF.

    Returns them and the end of the table.
    """
    column, size = len(text[start : label.start].split()), len(text[start:end].split())
    cells: list[Cell] = []
    while end < len(text):
        start, last = end + 1, text.find("\n", end + 1)
        last = len(text) if last < 0 else last
        words = list(_WORD.finditer(text, start, min(last, start + _LONGEST_ROW)))
        if len(words) != size:
            break
        cells.append(words[column].span())
        end = last
    return cells, end


def _is_data(text: str, start: int, end: int, row: list[Cell]) -> bool:
    """Whether a line is a row, not code or a sentence: plain cells, or a name and one value."""
    pair = len(row) == 2 and not re.search(r"\s", text[slice(*row[1])])
    return pair or _HEADER.fullmatch(text, start, end) is not None


def _line(text: str, at: int) -> Cell:
    start = text.rfind("\n", 0, max(at, 0)) + 1
    end = text.find("\n", at)
    return start, len(text) if end < 0 else end


def _is_row(text: str, start: int, end: int, separator: str) -> bool:
    return separator in text[start:end] and not _RULE.fullmatch(text, start, end)


def _cells(text: str, start: int, end: int, separator: str) -> list[Cell]:
    """Where the cells of a row begin and end, without quotes and blanks around them."""
    cells: list[Cell] = []
    at = start
    while at <= end:
        found = _CELLS[separator].match(text, at, end)
        assert found is not None
        content = found[0]
        left = at + len(content) - len(content.lstrip(_AROUND))
        cells.append((left, max(left, at + len(content.rstrip(_AROUND)))))
        at = found.end() + 1
    return cells


def _names(lowered: str, cell: Cell, label: Label) -> bool:
    """Whether a cell says no more than the name of a secret."""
    name = lowered[slice(*cell)]
    rest = lowered[label.end : cell[1]].strip()
    if label.end > cell[1] or len(name.split()) > 4 or not _NAME.fullmatch(name):
        return False
    return not rest.startswith(("_", "-")) and not speaks_of_secret(rest)


def _below(text: str, end: int, separator: str, size: int, column: int) -> Iterator[Cell]:
    """The cells of a column below its name; they end with the table."""
    while end < len(text):
        start, end = end + 1, text.find("\n", end + 1)
        end = len(text) if end < 0 else end
        if end - start > _LONGEST_ROW or separator not in text[start:end]:
            if _RULE.fullmatch(text, start, end) and start < end:
                continue
            return
        if _RULE.fullmatch(text, start, end):
            continue
        cells = _cells(text, start, end, separator)
        if separator != "|" and len(cells) != size:
            return
        if column < len(cells):
            yield cells[column]


def _secrets(text: str, cells: Iterable[Cell], kind: str, *, weak: bool) -> Iterator[Span]:
    """Those of some cells that hold a secret; with `weak`, plain words are passwords, too."""
    for start, end in cells:
        value = text[start:end]
        if kind == "pin":
            is_secret = value.isdecimal() and 3 <= len(value) <= 8
        elif kind == "token":
            is_secret = is_random(value)
        else:
            word = weak and (is_written_word(value) or is_passphrase(value))
            is_secret = is_written(value) or word
        if is_secret:
            yield Span(start, end, kind)
