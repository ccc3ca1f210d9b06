"""Classify queries (question or topic) and passages (code or prose), for the search weights."""

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import PurePath

from allma_server.search.question_words import asks
from allma_server.types import Passage, format_of

CODE_DENSITY = 0.01
"""Signs of code per character above which a text counts as code.

99 % of the functions in the cosqa benchmark are above it, and at most 1.8 % of any prose set.
"""

_CODE_SIGNS = "{}=_<>(["

_PROSE_FORMATS = frozenset(
    "markdown rst asciidoc org html docx odf rtf epub pptx pdf mail msg".split()
)

_MARKUP = re.compile(
    r"`[^`\n]+`|\]\([^)\n]*\)|\[[^\]\n]*\]|<[^>\n]*>|https?://\S+|(?<!\w)_+|_+(?!\w)"
    r"|^[ \t]*\|.*$|^[=_~-]{3,}$",
    re.MULTILINE,
)
"""What Markdown and its relatives write with signs of code: names, links, tags, tables, rules."""


def is_question(query: str) -> bool:
    """Return whether the query asks for one answer, rather than naming a topic."""
    return asks(query)


def code_share(passages: Sequence[Passage]) -> float:
    """Return the share of the passages that are code, from 0 to 1.

    A file of source code is code. A document is code where it is so without its markup, as in a
    block of code. Where the format says neither (plain text, data), the characters decide.
    """
    if not passages:
        return 0.0
    return sum(_is_code(_suffix(p.path), p.text) for p in passages) / len(passages)


def _suffix(path: str) -> str:
    # A tenth of pathlib's time, for each candidate of each search.
    return os.path.splitext(path)[1].lower()


@lru_cache(maxsize=1024)
def _is_code(suffix: str, text: str) -> bool:
    name = format_of(PurePath(f"_{suffix}"))
    if name == "code":
        return True
    prose = text
    if name in _PROSE_FORMATS:
        prose = _MARKUP.sub("", text)
    # What is mostly links or a table is no code, whatever is left of it.
    return len(prose) > 0.5 * len(text) and _sign_count(prose) > CODE_DENSITY * len(prose)


def _sign_count(text: str) -> int:
    # A bracket after a space is as common in prose.
    return sum(map(text.count, _CODE_SIGNS)) - text.count(" (") - text.count(" [")
