"""Translate globs, as people and models write them, to .gitignore patterns."""

import itertools
import re
from dataclasses import dataclass

MAX_ALTERNATIVES = 100
"""Patterns that the braces of one glob may expand to."""

_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Glob:
    """A path matches if one of `patterns` does; with `excluded`, if none does."""

    patterns: tuple[str, ...]
    excluded: bool


def parse_glob(glob: str) -> Glob:
    """Parse a glob.

    A leading `!` excludes, braces and commas separate alternatives (`*.{md,html}`, `*.md, *.txt`),
    a leading `./` is the folder itself, and a backslash separates folders like a slash.

    Raises:
        ValueError: its braces expand to too many patterns.
    """
    text = glob.strip()
    excluded = text.startswith("!")
    text = re.sub(r"\\(?![][!#{}\\])", "/", text.removeprefix("!"))
    alternatives = _expand(text)
    # A comma outside braces may also be part of a file name.
    listed = [part for each in alternatives if "," in each for part in re.split(r",\s*", each)]
    patterns = [_pattern(each) for each in (*alternatives, *listed) if each.strip()]
    return Glob(tuple(dict.fromkeys(patterns)) or ("**",), excluded)


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


def _pattern(text: str) -> str:
    text = text.strip()
    while text.startswith("./"):
        text = text[2:]
    # A leading `!` or `#` has a meaning in .gitignore; here it is part of a name.
    return re.sub(r"^[!#]", r"\\\g<0>", text) if text not in ("", ".") else "**"
