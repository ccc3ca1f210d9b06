"""Match paths with the patterns of `.gitignore` files, exactly as git does.

Each segment of a pattern is a regular expression that never backtracks, so no pattern is slow.
Paths are given in segments. What a character is, the caller decides: git compares bytes, one
character each (`bytes.decode("latin-1")`); people mean letters.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Segment = str | re.Pattern[str] | None
"""A literal name, an expression for a name, or None for `**`, any number of folders."""

_CLASSES = {
    "alnum": r"0-9A-Za-z", "alpha": r"A-Za-z", "blank": r" \t", "cntrl": r"\x00-\x1f\x7f",
    "digit": r"0-9", "graph": r"!-~", "lower": r"a-z", "print": r" -~",
    "punct": r"!-/:-@\[-`{-~", "space": r" \t\n\r\f\v", "upper": r"A-Z",
    "xdigit": r"0-9A-Fa-f",
}  # fmt: skip
_STARS_AFTER_NAME = re.compile(r"([^*?\[\\]*[^/*?\[\\])\*\*+(?=/|$)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_WILD = re.compile(r"[*?\[\\]")


class MalformedPattern(ValueError):
    """A pattern that matches nothing: it ends inside a bracket or after a backslash."""


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A pattern; with `anywhere`, it is a name that matches at any depth."""

    folders_only: bool
    anywhere: bool
    segments: tuple[Segment, ...]

    def matches(self, path: Sequence[str], is_folder: bool) -> bool:
        """Return whether a path itself matches, rather than a folder around it."""
        if self.folders_only and not is_folder:
            return False
        return _matches(self.segments, path[-1:] if self.anywhere else path)


def parse_pattern(text: str) -> list[PathPattern]:
    """Return what a pattern stands for: usually one, none for `/`.

    Raises:
        MalformedPattern: it can match nothing.
    """
    folders_only = text.endswith("/")
    text = _ESCAPE.sub(_unescape_slash, text.removesuffix("/"))
    anywhere = "/" not in text
    variants = [text] if anywhere else _expand_stars(text)
    parsed = (tuple(_parse_segments(each.removeprefix("/"))) for each in variants)
    return [PathPattern(folders_only, anywhere, segments) for segments in parsed if segments]


def _unescape_slash(escape: re.Match[str]) -> str:
    """Remove the backslash before a slash, which still separates; keep the other escapes."""
    return "/" if escape[1] == "/" else escape[0]


def _expand_stars(pattern: str) -> list[str]:
    """Return the patterns that `name**` at the start of a pattern stands for.

    git compares the part before the first wildcard separately. In `a**/b`, the stars are then at
    the beginning of the rest, and mean any number of folders.
    """
    found = _STARS_AFTER_NAME.match(pattern)
    if found is None:
        return [pattern]
    name, rest = found[1], pattern[found.end() :]
    return [name + (rest[1:] or "*"), name + "*/**" + rest]


def _parse_segments(pattern: str) -> Iterator[Segment]:
    """Split a pattern at its slashes, except those in brackets."""
    while pattern:
        expression, length, wild = _parse_segment(pattern)
        raw, pattern = pattern[:length], pattern[length + 1 :]
        if len(raw) > 1 and not raw.strip("*"):
            yield None
        elif not wild:
            yield raw
        else:
            yield re.compile(expression, re.DOTALL)


def _parse_segment(pattern: str) -> tuple[str, int, bool]:
    """Return the first segment as an expression, its length, and whether it has wildcards."""
    parts: list[str] = [""]  # the parts between the stars
    at, wild = 0, False
    while at < len(pattern) and pattern[at : at + 1] != "/":
        char = pattern[at : at + 1]
        wild = wild or _WILD.match(char) is not None
        at += 1
        if char == "*":
            parts.append("")
        elif char == "?":
            parts[-1] += "."
        elif char == "[":
            bracket, at = _parse_bracket(pattern, at)
            parts[-1] += bracket
        elif char == "\\":
            if at == len(pattern):
                raise MalformedPattern
            parts[-1] += re.escape(pattern[at : at + 1])
            at += 1
        else:
            parts[-1] += re.escape(char)
    first, *between = parts
    if not between:
        return first, at, wild
    # The first match of the part after a star is always sufficient: no backtracking.
    inner = "".join("(?>.*?" + part + ")" for part in between[:-1] if part)
    return first + inner + ".*" + between[-1], at, wild


def _parse_bracket(pattern: str, at: int) -> tuple[str, int]:
    """Return a set of characters as an expression, and the offset after it."""
    negated = pattern[at : at + 1] in ("!", "^")
    at += negated
    members: list[str] = []
    before: str | None = None  # the character that a range may begin with
    first = True
    while first or pattern[at : at + 1] != "]":
        first = False
        char = pattern[at : at + 1]
        if not char:
            raise MalformedPattern
        if char == "[" and pattern[at + 1 : at + 2] == ":":
            name, end = _class_name(pattern, at + 2)
            if name is not None:
                members.append(_CLASSES[name])
                at, before = end, None
                continue
        is_range = char == "-" and before is not None and pattern[at + 1 : at + 2] not in "]"
        if is_range:
            at += 1
            char = pattern[at : at + 1]
        if char == "\\":
            at += 1
            char = pattern[at : at + 1]
            if not char:
                raise MalformedPattern
        at += 1
        if is_range and before is not None:
            if before <= char:
                members.append(f"{re.escape(before)}-{re.escape(char)}")
            before = None
        else:
            members.append(re.escape(char))
            before = char
    if not members:  # all ranges are in descending order
        return "." if negated else "(?!)", at + 1
    return ("[^" if negated else "[") + "".join(members) + "]", at + 1


def _class_name(pattern: str, at: int) -> tuple[str | None, int]:
    """Return the name in `[:name:]` and the offset after it; None if it is no character class."""
    end = pattern.find("]", at)
    if end < 0:
        raise MalformedPattern
    if end == at or pattern[end - 1 : end] != ":":
        return None, at
    name = pattern[at : end - 1]
    if name not in _CLASSES:
        raise MalformedPattern
    return name, end + 1


def _matches(segments: Sequence[Segment], path: Sequence[str]) -> bool:
    """Return whether the segments of a pattern match those of a path."""
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


def _segment_matches(segment: Segment, name: str) -> bool:
    if isinstance(segment, str):
        return segment == name
    return segment is not None and segment.fullmatch(name) is not None
