"""A stretch of text in spans, by the splitter that fits its kind."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from allma_server.documents.grammars import GRAMMARS, grammar
from allma_server.types import Section

if TYPE_CHECKING:
    from semantic_text_splitter import CodeSplitter, MarkdownSplitter, TextSplitter

Span = tuple[int, int]

_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)*")
_BOUNDARY = re.compile(r"[.!?:;…。！？；؟।|][\"'”’»)\]*_`]*\s*$|\n\s*$")


def split(
    text: str, window: Span, section: Section, natural: int, size: int, overlap: int
) -> list[Span]:
    """`window` in spans of `natural` to `size` characters, which overlap where words are torn."""
    base = window[0]
    text = text[slice(*window)]
    splitter = _splitter(section.kind, section.language, natural, size)
    spans = [(at, at + len(part)) for at, part in splitter.chunk_indices(text)]
    if section.kind == "code":
        spans = [(_indented(text, start, end, size), end) for start, end in spans]
    elif overlap:
        spans = _overlapping(text, spans, size, min(overlap, size // 3))
    return [(base + start, base + end) for start, end in spans]


def _overlapping(text: str, spans: list[Span], size: int, overlap: int) -> list[Span]:
    runs: list[list[Span]] = []
    for span in spans:
        if runs and not _BOUNDARY.search(text, max(0, span[0] - 20), span[0]):
            runs[-1].append(span)
        else:
            runs.append([span])
    result: list[Span] = []
    splitter = _splitter("text", None, size, size, overlap)
    for run in runs:
        if len(run) == 1:
            result += run
            continue
        base = run[0][0]
        parts = splitter.chunk_indices(text[base : run[-1][1]])
        result += [(base + at, base + at + len(part)) for at, part in parts]
    return result


def _indented(text: str, start: int, end: int, size: int) -> int:
    """The start of a line whose indentation the splitter trimmed."""
    line = text.rfind("\n", max(0, start - size), start) + 1
    return line if line and end - line <= size and text[line:start].isspace() else start


@lru_cache(maxsize=256)
def _splitter(
    kind: str, language: str | None, natural: int, size: int, overlap: int = 0
) -> "CodeSplitter | MarkdownSplitter | TextSplitter":
    # The settings are also imported where nothing is ever cut.
    from semantic_text_splitter import CodeSplitter, MarkdownSplitter, TextSplitter

    if kind == "markdown":
        return MarkdownSplitter((natural, size), overlap)
    if kind == "code" and language in GRAMMARS:
        return CodeSplitter(grammar(language), (natural, size), overlap)
    return TextSplitter((natural, size), overlap)


def trimmed(text: str, start: int, end: int) -> Span:
    """Without blank lines before and white space behind; the first line keeps its indentation."""
    match = _BLANK_LINES.match(text, start, end)
    start = match.end() if match else start
    return start, start + len(text[start:end].rstrip())
