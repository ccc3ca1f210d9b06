"""Split a span of text with the library splitter for its kind."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from allma_server.documents.grammars import GRAMMARS, load_grammar
from allma_server.types import Section

if TYPE_CHECKING:
    from semantic_text_splitter import CodeSplitter, MarkdownSplitter, TextSplitter

Span = tuple[int, int]

_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)*")
_SENTENCE_END = re.compile(r"[.!?:;…。！？；؟।|][\"'”’»)\]*_`]*\s*$|\n\s*$")


def split_text(
    text: str, window: Span, section: Section, target_size: int, size: int, overlap: int
) -> list[Span]:
    """Split `window` into spans of `target_size` to `size` characters.

    Spans overlap by `overlap` characters only where a sentence had to be split.
    """
    base = window[0]
    text = text[slice(*window)]
    splitter = _splitter(section.kind, section.language, target_size, size)
    spans = [(at, at + len(part)) for at, part in splitter.chunk_indices(text)]
    if section.kind == "code":
        spans = [(_with_indentation(text, start, end, size), end) for start, end in spans]
    elif overlap:
        spans = _with_overlap(text, spans, size, min(overlap, size // 3))
    return [(base + start, base + end) for start, end in spans]


def _with_overlap(text: str, spans: list[Span], size: int, overlap: int) -> list[Span]:
    runs: list[list[Span]] = []  # spans that divide one sentence are in one run
    for span in spans:
        if runs and not _SENTENCE_END.search(text, max(0, span[0] - 20), span[0]):
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


def _with_indentation(text: str, start: int, end: int, size: int) -> int:
    """Return the start of the line at `start`, whose indentation the splitter trimmed."""
    line = text.rfind("\n", max(0, start - size), start) + 1
    return line if line and end - line <= size and text[line:start].isspace() else start


@lru_cache(maxsize=256)
def _splitter(
    kind: str, language: str | None, target_size: int, size: int, overlap: int = 0
) -> "CodeSplitter | MarkdownSplitter | TextSplitter":
    # The daemon imports ChunkSettings, and splits nothing itself.
    from semantic_text_splitter import CodeSplitter, MarkdownSplitter, TextSplitter

    if kind == "markdown":
        return MarkdownSplitter((target_size, size), overlap)
    if kind == "code" and language in GRAMMARS:
        return CodeSplitter(load_grammar(language), (target_size, size), overlap)
    return TextSplitter((target_size, size), overlap)


def trim(text: str, start: int, end: int) -> Span:
    """Exclude leading blank lines and trailing white space; keep the first line's indentation."""
    match = _BLANK_LINES.match(text, start, end)
    start = match.end() if match else start
    return start, start + len(text[start:end].rstrip())
