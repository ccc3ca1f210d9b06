"""Match paths with globs, as people and models write them; they mean what `.gitignore` says."""

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from allma_server._internal.path_patterns import MalformedPattern, PathPattern, parse_pattern
from allma_server.errors import InvalidArgument

MAX_ALTERNATIVES = 100
"""Patterns that the braces of one glob may expand to."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_NEXT_EXCLUDES = re.compile(r",\s*(?=!)")
_RANGE = re.compile(r"\[[!^]?(\w)-(\w)\]")
_BRACKET = re.compile(r"(?<!\\)\[")


@dataclass(frozen=True, slots=True)
class Glob:
    """A glob, parsed. `texts` are its alternatives; `excludes` says that it begins with `!`."""

    texts: tuple[str, ...]
    excludes: bool
    _patterns: tuple[PathPattern, ...]
    _folders: dict[str, bool] = field(default_factory=dict[str, bool])
    """Whether what is below a folder matches."""

    def matches(self, *paths: str) -> bool:
        """Return whether one of a file's paths matches or, for an excluding glob, none does."""
        return any(map(self._fits, paths)) != self.excludes

    def _fits(self, path: str) -> bool:
        segments = _segments(path)
        return self._fits_below(segments[:-1]) or self._fits_itself(segments, is_folder=False)

    def _fits_below(self, folder: Sequence[str]) -> bool:
        if not folder:
            return False
        name = "/".join(folder)
        known = self._folders.get(name)
        if known is None:
            known = any(
                self._fits_itself(folder[:end], is_folder=True) for end in range(1, len(folder) + 1)
            )
            self._folders[name] = known
        return known

    def _fits_itself(self, path: Sequence[str], *, is_folder: bool) -> bool:
        return any(pattern.matches(path, is_folder) for pattern in self._patterns)


def parse_glob(glob: str) -> Glob:
    """Parse a glob.

    A leading `!` excludes, braces and commas separate alternatives (`*.{md,html}`, `*.md, *.txt`),
    a leading `./` is the folder itself, and a backslash separates folders like a slash. Brackets
    stand for one character of a set and for themselves, as in `[id]/page.tsx`.

    Raises:
        ValueError: its braces expand to too many patterns, or a range runs backwards.
    """
    text = glob.strip()
    excluded = text.startswith("!")
    text = re.sub(r"\\(?![][!#{}\\])", "/", text.removeprefix("!"))
    alternatives = _expand(text)
    # A comma outside braces may also be part of a file name.
    listed = [part for each in alternatives if "," in each for part in re.split(r",\s*", each)]
    texts = [_without_dots(each) for each in (*alternatives, *listed) if each.strip()]
    distinct = tuple(dict.fromkeys(texts)) or ("**",)
    return Glob(distinct, excluded, tuple(_patterns(distinct)))


class PathGlobs:
    """Globs as one condition: a path matches one of those that include, if any, and no other.

    Raises:
        InvalidArgument: one of the globs is not a pattern.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        globs: list[Glob] = []
        for text in filter(None, map(str.strip, texts)):
            try:
                globs += [parse_glob(part) for part in _separate(text)]
            except ValueError as exc:
                raise InvalidArgument(f"The pattern {text!r} is not valid: {exc}.") from exc
        self._including = [glob for glob in globs if not glob.excludes]
        self._excluding = [glob for glob in globs if glob.excludes]

    def __bool__(self) -> bool:
        return bool(self._including or self._excluding)

    @property
    def included(self) -> list[str]:
        """The patterns that include; empty for all paths."""
        return [text for glob in self._including for text in glob.texts]

    @property
    def excluded(self) -> list[str]:
        """The patterns that exclude."""
        return [text for glob in self._excluding for text in glob.texts]

    def matches(self, *paths: str) -> bool:
        """Return whether a file matches; `paths` are its relative paths, any of which counts."""
        including = self._including
        return (not including or any(glob.matches(*paths) for glob in including)) and all(
            glob.matches(*paths) for glob in self._excluding
        )


def _separate(text: str) -> Iterator[str]:
    """Yield the parts of a list that include and exclude: `src/**, !src/old/**`, `!a/, *.md`."""
    for part in _NEXT_EXCLUDES.split(text):
        yield from (_at_first_comma(part) if part.startswith("!") else [part])


def _at_first_comma(text: str) -> list[str]:
    """Split a text at its first comma that is in no braces."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "{") - (sign == "}")
        if sign == "," and depth <= 0:
            return [part for part in (text[:place], text[place + 1 :].strip()) if part]
    return [text]


def _expand(text: str) -> list[str]:
    """Return the patterns that a text with braces expands to, innermost braces first."""
    found = [text]
    while any(_BRACES.search(each) for each in found):
        found = list(itertools.chain.from_iterable(map(_expand_once, found)))
        if len(found) > MAX_ALTERNATIVES:
            raise ValueError(f"its braces expand to more than {MAX_ALTERNATIVES} patterns")
    return found


def _expand_once(text: str) -> list[str]:
    braces = _BRACES.search(text)
    if braces is None:
        return [text]
    before, after = text[: braces.start()], text[braces.end() :]
    return [f"{before}{part.strip()}{after}" for part in braces[1].split(",")]


def _without_dots(text: str) -> str:
    text = text.strip()
    while text.startswith("./"):
        text = text[2:]
    return text if text not in ("", ".") else "**"


def _patterns(texts: Iterable[str]) -> Iterator[PathPattern]:
    for text in texts:
        for first, last in _RANGE.findall(text):
            if first > last:
                raise ValueError(f"nothing is between {first} and {last}")
        literal = _BRACKET.sub(r"\[", text)
        for variant in dict.fromkeys((text, literal)):
            try:
                yield from parse_pattern(variant)
            except MalformedPattern:
                continue  # a bracket that is never closed is one of a name


def _segments(path: str) -> list[str]:
    return path.replace(os.sep, "/").strip("/").split("/")
