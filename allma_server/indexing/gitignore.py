"""The rules of one ignore file, matched exactly as git matches them.

Names are compared as bytes, as git does. Each segment of a pattern is a regular expression that
never backtracks, so that no rule can make matching slow. Rules are found by the last segment of
their pattern: most are a name or an ending, which need no expression at all.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

Segment = bytes | re.Pattern[bytes] | None
"""A literal name, an expression for one, or None for `**`: any number of folders."""

_CLASSES = {
    b"alnum": rb"0-9A-Za-z", b"alpha": rb"A-Za-z", b"blank": rb" \t", b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9", b"graph": rb"!-~", b"lower": rb"a-z", b"print": rb" -~",
    b"punct": rb"!-/:-@\[-`{-~", b"space": rb" \t\n\r\f\v", b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}  # fmt: skip
_ENDING = re.compile(rb"\*([^*?\[\\]+)")
_STARS_BEHIND_NAME = re.compile(rb"([^*?\[\\]*[^/*?\[\\])\*\*+(?=/|$)")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_WILD = re.compile(rb"[*?\[\\]")


class _NeverMatches(ValueError):
    """A pattern that git takes for malformed."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: later ones (a higher `number`) win. `anywhere`: a name, at whatever depth."""

    number: int
    ignores: bool
    folders_only: bool
    anywhere: bool
    segments: tuple[Segment, ...]
    ending: bytes | None = None
    """What follows the star in a last segment such as `*.log`."""

    def matches(self, path: Sequence[bytes], is_folder: bool) -> bool:
        """Whether it says something about the path, given in segments."""
        if self.folders_only and not is_folder:
            return False
        return _matches(self.segments, path[-1:] if self.anywhere else path)


class Rules:
    """The rules of one file."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules

    @classmethod
    def parsed(cls, text: bytes) -> "Rules":
        """The rules of an ignore file's content."""
        return cls(list(_parsed(text.removeprefix(b"\xef\xbb\xbf"))))

    def __bool__(self) -> bool:
        return bool(self._rules)

    def ignores(self, path: Sequence[bytes], is_folder: bool) -> bool | None:
        """Whether a path below the file's folder, in segments, is ignored; None: no rule says."""
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

    # Each from the last line to the first.

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


def _parsed(text: bytes) -> Iterator[Rule]:
    for number, line in enumerate(text.split(b"\n")):
        line = _without_trailing_spaces(line.removesuffix(b"\r"))
        if not line or line.startswith(b"#"):
            continue
        ignores = not line.startswith(b"!")
        pattern = line if ignores else line[1:]
        folders_only = pattern.endswith(b"/")
        pattern = _ESCAPE.sub(_slash, pattern.removesuffix(b"/"))
        anywhere = b"/" not in pattern
        for variant in [pattern] if anywhere else _variants(pattern):
            if (rule := _rule(number, variant, ignores, folders_only, anywhere)) is not None:
                yield rule


def _rule(
    number: int, pattern: bytes, ignores: bool, folders_only: bool, anywhere: bool
) -> Rule | None:
    try:
        segments = tuple(_segments(pattern.removeprefix(b"/")))
    except _NeverMatches:
        return None
    if not segments:
        return None
    last = _ENDING.fullmatch(pattern.rpartition(b"/")[2])
    ending = last[1] if last and not isinstance(segments[-1], bytes) else None
    return Rule(number, ignores, folders_only, anywhere, segments, ending)


def _slash(escape: re.Match[bytes]) -> bytes:
    """A slash behind a backslash separates all the same; other signs stay escaped."""
    return b"/" if escape[1] == b"/" else escape[0]


def _variants(pattern: bytes) -> list[bytes]:
    """A pattern as git takes it, which compares what stands before the first wildcard by itself.

    So in `a**/b` the stars stand at the beginning of what is left, and mean any number of folders.
    """
    found = _STARS_BEHIND_NAME.match(pattern)
    if found is None:
        return [pattern]
    name, rest = found[1], pattern[found.end() :]
    return [name + (rest[1:] or b"*"), name + b"*/**" + rest]


def _without_trailing_spaces(line: bytes) -> bytes:
    """Spaces at the end go, but for one behind a backslash and what is before it."""
    stripped = line.rstrip(b" ")
    backslashes = len(stripped) - len(stripped.rstrip(b"\\"))
    return line[: len(stripped) + 1] if backslashes % 2 else stripped


def _segments(pattern: bytes) -> Iterator[Segment]:
    """The pattern between its slashes; one in brackets separates nothing."""
    while pattern:
        expression, length, wild = _segment(pattern)
        raw, pattern = pattern[:length], pattern[length + 1 :]
        if len(raw) > 1 and not raw.strip(b"*"):
            yield None
        elif not wild:
            yield raw
        else:
            yield re.compile(expression, re.DOTALL)


def _segment(pattern: bytes) -> tuple[bytes, int, bool]:
    """The first segment as an expression, its length, and whether it is more than a name."""
    parts: list[bytes] = [b""]  # what stands between the stars
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
            bracket, at = _bracket(pattern, at)
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
    # The nearest place of what follows a star is as good as any: nothing is tried twice.
    inner = b"".join(b"(?>.*?" + part + b")" for part in between[:-1] if part)
    return first + inner + b".*" + between[-1], at, wild


def _bracket(pattern: bytes, at: int) -> tuple[bytes, int]:
    """A set of characters as an expression, and where the pattern goes on behind it."""
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    members: list[bytes] = []
    before: int | None = None  # what a range may begin with
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
    if not members:  # only ranges from a later character to an earlier one
        return b"." if negated else b"(?!)", at + 1
    return (b"[^" if negated else b"[") + b"".join(members) + b"]", at + 1


def _class_name(pattern: bytes, at: int) -> tuple[bytes | None, int]:
    """The name in `[:name:]` and where it ends; None when it only looks like one."""
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
    """Whether the segments of a pattern are those of a path."""
    at = begun = 0  # of the pattern; of the path
    retry: tuple[int, int] | None = None
    while begun < len(path):
        if at < len(segments) and segments[at] is None:
            if at == len(segments) - 1:
                return True  # `a/**` matches all inside, which there is
            retry = at + 1, begun
            at += 1
        elif at < len(segments) and _is(segments[at], path[begun]):
            at, begun = at + 1, begun + 1
        elif retry is not None:
            at, begun = retry[0], retry[1] + 1
            retry = at, begun
        else:
            return False
    return at == len(segments)


def _is(segment: Segment, name: bytes) -> bool:
    if isinstance(segment, bytes):
        return segment == name
    return segment is not None and segment.fullmatch(name) is not None
