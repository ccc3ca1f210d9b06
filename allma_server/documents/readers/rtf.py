"""Rich Text Format: the text of the document; paragraphs with an outline level are headings."""

import re
from collections.abc import Iterator
from itertools import groupby
from locale import windows_locale
from pathlib import PurePath
from typing import cast

from striprtf.striprtf import rtf_to_text  # pyright: ignore[reportUnknownVariableType]

from allma_server.documents.builder import Outline
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract

_INFORMATION = re.compile(r"\{\\(title|author)\b((?:[^{}\\]|\\[^{}])*)\}")
_MAX_INFORMATION = 100_000
_CODE_PAGE = re.compile(r"\\ansicpg(\d{1,5})")
_PICTURE = re.compile(r"[0-9a-fA-F\r\n]{256,}")
# The library leaves footnotes out.
_NOTE = re.compile(r"\{\\(?:\*\\)?footnote\b ?")
# The library searches links with a pattern whose time grows with their number times the length.
_LINK = re.compile(r"\bHYPERLINK\b")
_LEVEL = re.compile(r"\\outlinelevel([0-8])(?!\d) ?")
_MARK = "\ue000"
_LEVEL_MARK = r"{\\uc1\\u57344 ?}\1{\\uc1\\u57344 ?}"
_MARKED = re.compile(rf"{_MARK}(\d){_MARK}")
# It leaves out headers, footers, comments and text boxes, too.
_PAGE_EDGE = re.compile(r"\{\\(?:header|footer)[lrf]?\b ?")
_TEXT_BOX = re.compile(r"\{\\shptxt\b ?")
_COMMENT = re.compile(r"\{\\\*\\annotation\b ?")
# It takes the mark of groups that may be ignored for one also where it begins no group.
_STRAY_MARK = re.compile(r"(\\[\\{}]|\{\s*\\\*)|\\\*")
_LAST = {"Headers and footers": _PAGE_EDGE, "Text boxes": _TEXT_BOX, "Comments": _COMMENT}
_BRACE = re.compile(r"\\[\\{}]|[{}]")
_LANGUAGE = re.compile(r"\\deflang(\d{1,5})(?!\d)")
_CELL_END = re.compile(r"(?<!\n)\n+\|")


def read(data: bytes, path: PurePath) -> Extract:
    """Read a document; headers, footers, text boxes and comments come last.

    Pictures and embedded objects are ignored.
    """
    if not data.strip():
        raise NothingToIndex("The file is empty.")
    if not data.lstrip().startswith(b"{\\rtf"):
        raise UnreadableDocument("It is not an RTF document, although its name says so.")
    source = _STRAY_MARK.sub(r"\1", data.decode("latin-1"))
    page = _CODE_PAGE.search(source)
    begin = "{\\rtf1" + (page[0] if page else "")
    found = {
        key: _text(f"{begin} {value}}}").strip()
        for key, value in _INFORMATION.findall(source[:_MAX_INFORMATION])
    }
    outline = Outline()
    source = _NOTE.sub("{ ", _PICTURE.sub("", source))
    text = _text(_LEVEL.sub(_LEVEL_MARK, source))
    # Some programs end the paragraph in a cell before the cell.
    text = _CELL_END.sub("|", text)
    for is_row, lines in groupby(text.split("\n"), lambda line: line.endswith("|")):
        if is_row:
            outline.add_table(line[:-1].split("|") for line in lines)
        else:
            _add_paragraphs(outline, list(lines))
    for heading, pattern in _LAST.items():
        sources = dict.fromkeys(_groups(source, pattern))
        groups = (_text(f"{begin} {group}}}").strip() for group in sources)
        if texts := [text for text in dict.fromkeys(groups) if any(map(str.isalpha, text))]:
            outline.add_heading(0, heading)
            _add_paragraphs(outline, texts)
    language = _LANGUAGE.search(source[:_MAX_INFORMATION])
    metadata = {
        "author": found.get("author", ""),
        "language": windows_locale.get(int(language[1]), "").replace("_", "-") if language else "",
    }
    return outline.build("The document has no text.", title=found.get("title"), metadata=metadata)


def _groups(source: str, pattern: re.Pattern[str]) -> Iterator[str]:
    """Yield what is in the outermost groups that begin with a pattern."""
    match = pattern.search(source)
    while match:
        depth, end = 1, len(source)
        for brace in _BRACE.finditer(source, match.end()):
            depth += {"{": 1, "}": -1}.get(brace[0], 0)
            if not depth:
                end = brace.start()
                yield source[match.end() : end]
                break
        match = pattern.search(source, end)


def _text(source: str) -> str:
    try:
        text = cast("str", rtf_to_text(_LINK.sub("LINK", source), errors="replace"))
    except (ValueError, TypeError, LookupError, OverflowError) as exc:
        raise UnreadableDocument("The document is damaged: a control word is invalid.") from exc
    # Characters beyond the basic plane are written as two halves.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _add_paragraphs(outline: Outline, lines: list[str]) -> None:
    for line in lines:
        level = _MARKED.search(line)
        text = _MARKED.sub("", line)
        if level and text.strip():
            outline.add_heading(int(level[1]) + 1, text)
        else:
            outline.add_paragraph(text)
