"""The rules of one ignore file, which say what git says.

Rules are indexed by the last segment of their pattern: most are a name or an ending, which need no
expression.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from allma_server._internal.path_patterns import MalformedPattern, PathPattern, parse_pattern

_STAR_ENDING = re.compile(r"\*([^*?\[\\]+)")


def as_segment(name: str) -> str:
    """Return a file name as rules compare it: one character for each byte."""
    return name if name.isascii() else os.fsencode(name).decode("latin-1")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of an ignore file; the matching rule with the highest `number` decides."""

    number: int
    ignores: bool
    pattern: PathPattern
    ending: str | None = None
    """The part after the star in a last segment such as `*.log`."""


class Rules:
    """The rules of one file."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules

    @classmethod
    def parse(cls, text: bytes) -> "Rules":
        """Parse the content of an ignore file."""
        return cls(list(_parse(text.removeprefix(b"\xef\xbb\xbf").decode("latin-1"))))

    def __bool__(self) -> bool:
        return bool(self._rules)

    def ignores(self, path: Sequence[str], is_folder: bool) -> bool | None:
        """Return whether a path below the file's folder is ignored; None if no rule matches it.

        Args:
            path: its segments, by `as_segment`.
            is_folder: whether it is one.
        """
        name = path[-1]
        found: Rule | None = None
        for rule in self._by_name.get(name, ()):
            if rule.pattern.matches(path, is_folder):
                found = rule
                break
        for rules, possible in (
            (self._by_ending, not self._endings or name.endswith(self._endings)),
            (self._others, True),
        ):
            for rule in rules if possible else ():
                if found is not None and rule.number < found.number:
                    break
                if rule.pattern.matches(path, is_folder):
                    found = rule
                    break
        return None if found is None else found.ignores

    # Each index is ordered from the last line to the first.

    @cached_property
    def _by_name(self) -> dict[str, list[Rule]]:
        found: dict[str, list[Rule]] = {}
        for rule in reversed(self._rules):
            if isinstance(last := rule.pattern.segments[-1], str):
                found.setdefault(last, []).append(rule)
        return found

    @cached_property
    def _by_ending(self) -> list[Rule]:
        return [rule for rule in reversed(self._rules) if rule.ending is not None]

    @cached_property
    def _endings(self) -> tuple[str, ...]:
        return tuple({rule.ending for rule in self._rules if rule.ending is not None})

    @cached_property
    def _others(self) -> list[Rule]:
        return [
            rule
            for rule in reversed(self._rules)
            if rule.ending is None and not isinstance(rule.pattern.segments[-1], str)
        ]


def _parse(text: str) -> Iterator[Rule]:
    for number, line in enumerate(text.split("\n")):
        line = _without_trailing_spaces(line.removesuffix("\r"))
        if not line or line.startswith("#"):
            continue
        ignores = not line.startswith("!")
        text = line if ignores else line[1:]
        last = _STAR_ENDING.fullmatch(text.removesuffix("/").rpartition("/")[2])
        try:
            patterns = parse_pattern(text)
        except MalformedPattern:
            continue
        for pattern in patterns:
            by_ending = last is not None and not isinstance(pattern.segments[-1], str)
            yield Rule(number, ignores, pattern, last[1] if last and by_ending else None)


def _without_trailing_spaces(line: str) -> str:
    """Remove trailing spaces that are not escaped."""
    stripped = line.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return line[: len(stripped) + 1] if backslashes % 2 else stripped
