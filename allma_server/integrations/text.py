"""What the formats share: edits of a text, and the manner in which it is written."""

from collections.abc import Iterable
from typing import NamedTuple


class Unreadable(ValueError):
    """A file that cannot be parsed, or not be changed safely; the message says what is wrong."""


class Edit(NamedTuple):
    """`new` in place of the characters from `start` to `end`."""

    start: int
    end: int
    new: str


def apply(text: str, edits: Iterable[Edit]) -> str:
    """The text after edits that do not overlap."""
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.new + text[edit.end :]
    return text


def ending(text: str) -> str:
    """How the text ends its lines."""
    return "\r\n" if "\r\n" in text else "\n"


def indentation(text: str, at: int) -> str:
    """The white space before the line that `at` stands on."""
    line = text[text.rfind("\n", 0, at) + 1 :]
    return line[: len(line) - len(line.lstrip(" \t"))]
