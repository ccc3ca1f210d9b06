"""Edits of a text that keep its line endings and indentation; shared by the formats."""

from collections.abc import Iterable
from typing import NamedTuple


class Unreadable(ValueError):
    """A file cannot be parsed, or cannot be changed safely; the message says why."""


class Edit(NamedTuple):
    """A replacement of the characters from `start` to `end` by `new`."""

    start: int
    end: int
    new: str


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Return the text after edits that do not overlap."""
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.new + text[edit.end :]
    return text


def line_ending(text: str) -> str:
    """Return the line ending that the text uses."""
    return "\r\n" if "\r\n" in text else "\n"


def indentation(text: str, at: int) -> str:
    """Return the white space at the start of the line that contains offset `at`."""
    line = text[text.rfind("\n", 0, at) + 1 :]
    return line[: len(line) - len(line.lstrip(" \t"))]
