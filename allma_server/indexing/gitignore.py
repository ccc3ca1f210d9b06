"""Match the rules of one ignore file exactly as git does.

`pathspec`, which `storage/sqlite/globs.py` uses for search filters, does not fit here: it compares
text instead of bytes, differs from git in corner cases, and its expressions may backtrack, so that
a hostile rule is slow.

Each segment of a pattern is a regular expression that never backtracks. Rules are indexed by the
last segment of their pattern: most are a name or an ending, which need no expression.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

Segment = bytes | re.Pattern[bytes] | None
"""A literal name, an expression for a name, or None for `**`, any number of folders."""

_CLASSES = {
    b"alnum": rb"0-9A-Za-z", b"alpha": rb"A-Za-z", b"blank": rb" \t", b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9", b"graph": rb"!-~", b"lower": rb"a-z", b"print": rb" -~",
    b"punct": rb"!-/:-@\[-`{-~", b"space": rb" \t\n\r\f\v", b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}  # fmt: skip
_STAR_ENDING = re.compile(rb"\*([^*?\[\\]+)")
_STARS_AFTER_NAME = re.compile(rb"([^*?\[\\]*[^/*?\[\\])\*\*+(?=/|$)")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_WILD = re.compile(rb"[*?\[\\]")


class _NeverMatches(ValueError):
    """A pattern that git treats as malformed, and that matches nothing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of an ignore file; the matching rule with the highest `number` decides.

    `anywhere`: the pattern is a name that matches at any depth.
    """

    number: int
    ignores: bool
    folders_only: bool
    anywhere: bool
    segments: tuple[Segment, ...]
    ending: bytes | None = None
    """The part after the star in a last segment such as `*.log`."""

    def matches(self, path: Sequence[bytes], is_folder: bool) -> bool:
        """Whether the rule applies to a path, given in segments."""
        if self.folders_only and not is_folder:
            return False
        return _matches(self.segments, path[-1:] if self.anywhere else path)


class Rules:
    """The rules of one file."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules

    @classmethod
    def parse(cls, text: bytes) -> "Rules":
        """Parse the content of an ignore file."""
        return cls(list(_parse(text.removeprefix(b"\xef\xbb\xbf"))))

    def __bool__(self) -> bool:
        return bool(self._rules)

    def ignores(self, path: Sequence[bytes], is_folder: bool) -> bool | None:
        """Whether a path below the file's folder is ignored; None if no rule matches it."""
        name = path[-1]
        found: Rule | None = None
        for rule in self._by_name.get(name, ()):
            if rule.matches(path, is_folder):
                found = rule
                break
        for rules, possible in (
            (self._by_ending, not self._endings or name.endswith(self._endings)),
            (self._others, True),
        ):
            for rule in rules if possible else ():
                if found is not None and rule.number < found.number:
                    break
                if rule.matches(path, is_folder):
                    found = rule
                    break
        return None if found is None else found.ignores

    # Each index is ordered from the last line to the first.

    @cached_property
    def _by_name(self) -> dict[bytes, list[Rule]]:
        found: dict[bytes, list[Rule]] = {}
        for rule in reversed(self._rules):
            if isinstance(last := rule.segments[-1], bytes):
                found.setdefault(last, []).append(rule)
        return found

    @cached_property
    def _by_ending(self) -> list[Rule]:
        return [rule for rule in reversed(self._rules) if rule.ending is not None]

    @cached_property
    def _endings(self) -> tuple[bytes, ...]:
        return tuple({rule.ending for rule in self._rules if rule.ending is not None})

    @cached_property
    def _others(self) -> list[Rule]:
        return [
            rule
            for rule in reversed(self._rules)
            if rule.ending is None and not isinstance(rule.segments[-1], bytes)
        ]


def _parse(text: bytes) -> Iterator[Rule]:
    for number, line in enumerate(text.split(b"\n")):
        line = _without_trailing_spaces(line.removesuffix(b"\r"))
        if not line or line.startswith(b"#"):
            continue
        ignores = not line.startswith(b"!")
        pattern = line if ignores else line[1:]
        folders_only = pattern.endswith(b"/")
        pattern = _ESCAPE.sub(_unescape_slash, pattern.removesuffix(b"/"))
        anywhere = b"/" not in pattern
        for variant in [pattern] if anywhere else _expand_stars(pattern):
            if (rule := _rule(number, variant, ignores, folders_only, anywhere)) is not None:
                yield rule


def _rule(
    number: int, pattern: bytes, ignores: bool, folders_only: bool, anywhere: bool
) -> Rule | None:
    try:
        segments = tuple(_parse_segments(pattern.removeprefix(b"/")))
    except _NeverMatches:
        return None
    if not segments:
        return None
    last = _STAR_ENDING.fullmatch(pattern.rpartition(b"/")[2])
    ending = last[1] if last and not isinstance(segments[-1], bytes) else None
    return Rule(number, ignores, folders_only, anywhere, segments, ending)


def _unescape_slash(escape: re.Match[bytes]) -> bytes:
    """An escaped slash still separates; other characters stay escaped."""
    return b"/" if escape[1] == b"/" else escape[0]


def _expand_stars(pattern: bytes) -> list[bytes]:
    """Return the patterns that `name**` at the start of a pattern stands for.

    git compares the part before the first wildcard separately. In `a**/b`, the stars are then at
    the beginning of the rest, and mean any number of folders.
    """
    found = _STARS_AFTER_NAME.match(pattern)
    if found is None:
        return [pattern]
    name, rest = found[1], pattern[found.end() :]
    return [name + (rest[1:] or b"*"), name + b"*/**" + rest]


def _without_trailing_spaces(line: bytes) -> bytes:
    """Remove trailing spaces that are not escaped."""
    stripped = line.rstrip(b" ")
    backslashes = len(stripped) - len(stripped.rstrip(b"\\"))
    return line[: len(stripped) + 1] if backslashes % 2 else stripped


def _parse_segments(pattern: bytes) -> Iterator[Segment]:
    """Split a pattern at its slashes, except those in brackets."""
    while pattern:
        expression, length, wild = _parse_segment(pattern)
        raw, pattern = pattern[:length], pattern[length + 1 :]
        if len(raw) > 1 and not raw.strip(b"*"):
            yield None
        elif not wild:
            yield raw
        else:
            yield re.compile(expression, re.DOTALL)


def _parse_segment(pattern: bytes) -> tuple[bytes, int, bool]:
    """Return the first segment as an expression, its length, and whether it has wildcards."""
    parts: list[bytes] = [b""]  # the parts between the stars
    at, wild = 0, False
    while at < len(pattern) and pattern[at : at + 1] != b"/":
        char = pattern[at : at + 1]
        wild = wild or _WILD.match(char) is not None
        at += 1
        if char == b"*":
            parts.append(b"")
        elif char == b"?":
            parts[-1] += b"."
        elif char == b"[":
            bracket, at = _parse_bracket(pattern, at)
            parts[-1] += bracket
        elif char == b"\\":
            if at == len(pattern):
                raise _NeverMatches
            parts[-1] += re.escape(pattern[at : at + 1])
            at += 1
        else:
            parts[-1] += re.escape(char)
    first, *between = parts
    if not between:
        return first, at, wild
    # The first match of the part after a star is always sufficient: no backtracking.
    inner = b"".join(b"(?>.*?" + part + b")" for part in between[:-1] if part)
    return first + inner + b".*" + between[-1], at, wild


def _parse_bracket(pattern: bytes, at: int) -> tuple[bytes, int]:
    """Return a set of characters as an expression, and the offset after it."""
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    members: list[bytes] = []
    before: int | None = None  # the character that a range may begin with
    first = True
    while first or pattern[at : at + 1] != b"]":
        first = False
        char = pattern[at : at + 1]
        if not char:
            raise _NeverMatches
        if char == b"[" and pattern[at + 1 : at + 2] == b":":
            name, end = _class_name(pattern, at + 2)
            if name is not None:
                members.append(_CLASSES[name])
                at, before = end, None
                continue
        is_range = char == b"-" and before is not None and pattern[at + 1 : at + 2] not in b"]"
        if is_range:
            at += 1
            char = pattern[at : at + 1]
        if char == b"\\":
            at += 1
            char = pattern[at : at + 1]
            if not char:
                raise _NeverMatches
        at += 1
        if is_range and before is not None:
            if before <= char[0]:
                members.append(rb"\x%02x-\x%02x" % (before, char[0]))
            before = None
        else:
            members.append(rb"\x%02x" % char[0])
            before = char[0]
    if not members:  # all ranges are in descending order
        return b"." if negated else b"(?!)", at + 1
    return (b"[^" if negated else b"[") + b"".join(members) + b"]", at + 1


def _class_name(pattern: bytes, at: int) -> tuple[bytes | None, int]:
    """Return the name in `[:name:]` and the offset after it; None if it is no character class."""
    end = pattern.find(b"]", at)
    if end < 0:
        raise _NeverMatches
    if end == at or pattern[end - 1 : end] != b":":
        return None, at
    name = pattern[at : end - 1]
    if name not in _CLASSES:
        raise _NeverMatches
    return name, end + 1


def _matches(segments: Sequence[Segment], path: Sequence[bytes]) -> bool:
    """Whether the segments of a pattern match those of a path."""
    at = start = 0  # positions in the pattern and in the path
    retry: tuple[int, int] | None = None
    while start < len(path):
        if at < len(segments) and segments[at] is None:
            if at == len(segments) - 1:
                return True  # `a/**` matches everything inside `a`, but not `a` itself
            retry = at + 1, start
            at += 1
        elif at < len(segments) and _segment_matches(segments[at], path[start]):
            at, start = at + 1, start + 1
        elif retry is not None:
            at, start = retry[0], retry[1] + 1
            retry = at, start
        else:
            return False
    return at == len(segments)


def _segment_matches(segment: Segment, name: bytes) -> bool:
    if isinstance(segment, bytes):
        return segment == name
    return segment is not None and segment.fullmatch(name) is not None
