"""HTML: the visible text of a page, in sections that follow its headings.

In a page saved from the web, menus, advertisements and teasers have the same elements as the text,
so trafilatura decides which blocks are content. Of any other page, such as documentation, all text
is read except what its markup declares as navigation or hidden.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from pathlib import PurePath
from typing import Any

from allma_server.documents.builder import Outline
from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.html_blocks import LINE, PARSER_LINES, Block, visible_blocks
from allma_server.documents.readers.html_content import is_invisible, is_saved_from_web, main_blocks
from allma_server.documents.readers.text import elide_base64, is_blank
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract

_DECLARED = re.compile(
    rb"""<(?:meta[^>]{0,200}?charset|\?xml[^>]{0,100}?encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.I
)
# The parser's time grows with the square of the number of attributes in a tag.
_HUGE_TAG = re.compile(r"<([A-Za-z][\w:-]*)\s[^<>]{30000,}>")
_START_TAG = re.compile(r"<([A-Za-z][\w:-]*)([^<>]*)>")
_TAG = re.compile(r"<(/?)([A-Za-z][\w:-]*)[^<>]*>")
# XHTML allows any element to be self-closed; a parser of HTML would leave it open.
_SELF_CLOSED = re.compile(
    r"<(script|style|title|textarea|iframe|div|span|a|p|td|th|li|i|b|em|object|video|audio)"
    r"((?:\s[^<>]*)?)/>",
    re.I,
)
# Elements without child elements.
_WITHOUT_ELEMENTS = frozenset(
    "script style template textarea title br hr img input meta link".split()
)
_MAX_DEPTH = 400
_XML = re.compile(r"\s*(?:<\?xml\b|<!DOCTYPE[^<>]{0,200}XHTML)", re.I)
_LINE_MARK = re.compile(rf" {LINE}=\d+")

# lxml has no type annotations.
_Element = Any


def read(data: bytes, path: PurePath) -> Extract:
    """Read a web page; nothing it links to is fetched, and no script in it runs."""
    declared = _DECLARED.search(data[:4096])
    text = decode(data, declared[1].decode("ascii") if declared else None)
    if is_blank(text):
        raise NothingToIndex("The file is empty.")
    page = parse_page(text)
    blocks = _content_blocks(page)
    title = _LINE_MARK.sub("", page.xpath("string(//head/title)"))
    outline = Outline()
    write_blocks(blocks, outline)
    return outline.build("The page has no text.", title=title)


def parse_page(text: str) -> _Element:
    """Return the root element of a page.

    Raises:
        UnreadableDocument: `text` has no elements.
    """
    etree = import_module("lxml.etree")
    source = _HUGE_TAG.sub(_shorten_tag, elide_base64(text)).replace("\0", "\ufffd")
    if _XML.match(source):
        source = _SELF_CLOSED.sub(r"<\1\2></\1>", source)
    source = _with_line_marks(source)
    try:
        page, errors = _parse(source)
        # The parser stops where elements are nested too deeply; the rest would be lost.
        if any(error.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for error in errors):
            page, _ = _parse(_flatten(source))
    except (etree.LxmlError, ValueError) as exc:
        raise UnreadableDocument(f"The page cannot be parsed: {exc}.") from exc
    return page


def _parse(source: str) -> tuple[_Element, Any]:
    html = import_module("lxml.html")
    parser = html.HTMLParser(encoding="utf-8", remove_pis=True, huge_tree=True, no_network=True)
    page = html.document_fromstring(source.encode("utf-8"), parser=parser)
    return page, parser.error_log


def page_blocks(text: str) -> list[Block]:
    """Return the visible blocks of a page or of a fragment.

    Raises:
        UnreadableDocument: `text` has no elements.
    """
    return _all_blocks(parse_page(text))


def write_blocks(
    blocks: Iterable[Block], outline: Outline, *, below: int = 0, before: int = 0
) -> None:
    """Append `blocks` to `outline`.

    `below` is added to the levels of headings, `before` to line numbers.
    """
    kind = ""
    for block in blocks:
        text = _LINE_MARK.sub("", block.text)
        lines = [before + line for line in block.lines] if before else block.lines
        if block.kind == "heading":
            outline.add_heading(below + block.level, text, lines[0])
        elif block.kind == "table":
            outline.add_table(block.rows, lines)
        else:
            tight = block.kind == "definition" and kind == "term"
            outline.add_paragraph(block.mark + text, lines, tight=tight)
        kind = block.kind


def _content_blocks(page: _Element) -> list[Block]:
    blocks = _all_blocks(page)
    return main_blocks(page, blocks) if is_saved_from_web(page) else blocks


def _all_blocks(page: _Element) -> list[Block]:
    body = page.find("body")
    body = page if body is None else body
    # A page that consists of navigation, such as the index of a manual, is content.
    return visible_blocks(body, is_invisible) or visible_blocks(
        body, partial(is_invisible, navigation=True)
    )


def _shorten_tag(match: re.Match[str]) -> str:
    return f"<{match[1]}" + "\n" * match[0].count("\n") + ">"


def _with_line_marks(source: str) -> str:
    """Mark each tag with its line number, in files with more lines than the parser can count."""
    starts = [match.end() for match in re.finditer("\n", source)]
    if len(starts) < PARSER_LINES:
        return source

    def marked(match: re.Match[str]) -> str:
        line = bisect_right(starts, match.end() - 1) + 1
        return f"<{match[1]} {LINE}={line}{match[2]}>"

    return _START_TAG.sub(marked, source)


def _flatten(source: str) -> str:
    """Remove the tags of elements that are nested too deeply; keep the lines."""
    depth = 0

    def shallow(match: re.Match[str]) -> str:
        nonlocal depth
        closing, name = match[1], match[2].lower()
        if name in _WITHOUT_ELEMENTS:
            return match[0]
        depth = max(0, depth - 1) if closing else depth + 1
        return match[0] if depth < _MAX_DEPTH else " " + "\n" * match[0].count("\n")

    return _TAG.sub(shallow, source)
