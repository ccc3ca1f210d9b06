"""Globs as people and models write them, as patterns of .gitignore."""

import itertools
import re
from dataclasses import dataclass

MOST_ALTERNATIVES = 100
"""Patterns that the braces of one glob may stand for."""

_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Glob:
    """`patterns`: a path matches if one of them does; with `excluded`, if none of them does."""

    patterns: tuple[str, ...]
    excluded: bool


def understood(glob: str) -> Glob:
    """What a glob means.

    A leading `!` excludes, braces and commas hold alternatives (`*.{md,html}`, `*.md, *.txt`), a
    leading `./` is the folder itself, and a backslash separates folders as a slash does.

    Raises:
        ValueError: its braces stand for too many patterns.
    """
    text = glob.strip()
    excluded = text.startswith("!")
    text = re.sub(r"\\(?![][!#{}\\])", "/", text.removeprefix("!"))
    alternatives = _expanded(text)
    # A comma outside braces may also be part of a name.
    listed = [part for each in alternatives if "," in each for part in re.split(r",\s*", each)]
    patterns = [_pattern(each) for each in (*alternatives, *listed) if each.strip()]
    return Glob(tuple(dict.fromkeys(patterns)) or ("**",), excluded)


def _expanded(text: str) -> list[str]:
    """The patterns that a text with braces stands for; the innermost are replaced first."""
    found = [text]
    while any(_BRACES.search(each) for each in found):
        found = list(itertools.chain.from_iterable(map(_once, found)))
        if len(found) > MOST_ALTERNATIVES:
            raise ValueError(f"its braces stand for more than {MOST_ALTERNATIVES} patterns")
    return found


def _once(text: str) -> list[str]:
    braces = _BRACES.search(text)
    if braces is None:
        return [text]
    before, after = text[: braces.start()], text[braces.end() :]
    return [f"{before}{part.strip()}{after}" for part in braces[1].split(",")]


def _pattern(text: str) -> str:
    text = text.strip()
    while text.startswith("./"):
        text = text[2:]
    # A leading `!` or `#` would be an instruction to .gitignore, not a name.
    return re.sub(r"^[!#]", r"\\\g<0>", text) if text not in ("", ".") else "**"
