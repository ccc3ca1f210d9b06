"""HTML: what a person sees of a page, in sections that follow its headings.

A page that was saved from the web carries menus, adverts and teasers in elements like those of
its text, so trafilatura says which blocks are content. Any other page, such as documentation, is
kept whole, without what its markup says is navigation or hidden.
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
from allma_server.documents.readers.html_blocks import LINE, PARSER_LINES, Block, blocks_of
from allma_server.documents.readers.html_content import is_saved_from_web, main_blocks, unseen
from allma_server.documents.readers.text import elide_base64, is_blank
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract

_DECLARED = re.compile(
    rb"""<(?:meta[^>]{0,200}?charset|\?xml[^>]{0,100}?encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.I
)
# The parser compares each attribute of a tag with all others.
_HUGE_TAG = re.compile(r"<([A-Za-z][\w:-]*)\s[^<>]{30000,}>")
_START_TAG = re.compile(r"<([A-Za-z][\w:-]*)([^<>]*)>")
_TAG = re.compile(r"<(/?)([A-Za-z][\w:-]*)[^<>]*>")
# XHTML may close any element at once; to a parser of HTML it would go on.
_CLOSED_AT_ONCE = re.compile(
    r"<(script|style|title|textarea|iframe|div|span|a|p|td|th|li|i|b|em|object|video|audio)"
    r"((?:\s[^<>]*)?)/>",
    re.I,
)
# Their content is no text, or they have none.
_KEPT_WHOLE = frozenset("script style template textarea title br hr img input meta link".split())
_DEEPEST = 400
_XML = re.compile(r"\s*(?:<\?xml\b|<!DOCTYPE[^<>]{0,200}XHTML)", re.I)
_LINE_MARK = re.compile(rf" {LINE}=\d+")

# lxml has no types of its own. It is loaded late, for the registry is needed without it.
_Element = Any


def read(data: bytes, path: PurePath) -> Extract:
    """Read a web page; nothing it links to is fetched, and no script in it runs."""
    declared = _DECLARED.search(data[:4096])
    text = decode(data, declared[1].decode("ascii") if declared else None)
    if is_blank(text):
        raise NothingToIndex("The file is empty.")
    page = parsed(text)
    blocks = _blocks(page)
    title = _LINE_MARK.sub("", page.xpath("string(//head/title)"))
    outline = Outline()
    write(blocks, outline)
    return outline.build("The page has no text.", title=title)


def parsed(text: str) -> _Element:
    """The root element of a page. Raises UnreadableDocument when there is no page in it."""
    etree = import_module("lxml.etree")
    source = _HUGE_TAG.sub(_short_tag, elide_base64(text)).replace("\0", "\ufffd")
    if _XML.match(source):
        source = _CLOSED_AT_ONCE.sub(r"<\1\2></\1>", source)
    source = _with_lines(source)
    try:
        page, errors = _parsed(source)
        # The parser stops where elements are nested too deeply, and would lose what follows.
        if any(error.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for error in errors):
            page, _ = _parsed(_flattened(source))
    except (etree.LxmlError, ValueError) as exc:
        raise UnreadableDocument(f"The page cannot be parsed: {exc}.") from exc
    return page


def _parsed(source: str) -> tuple[_Element, Any]:
    html = import_module("lxml.html")
    parser = html.HTMLParser(encoding="utf-8", remove_pis=True, huge_tree=True, no_network=True)
    page = html.document_fromstring(source.encode("utf-8"), parser=parser)
    return page, parser.error_log


def whole_page(text: str) -> list[Block]:
    """All that is seen of a page or a piece of one. Raises UnreadableDocument if it has none."""
    return _whole(parsed(text))


def write(blocks: Iterable[Block], outline: Outline, *, below: int = 0, before: int = 0) -> None:
    """Appends `blocks` to `outline`, headings `below` a level, `before` counts earlier lines."""
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


def _blocks(page: _Element) -> list[Block]:
    blocks = _whole(page)
    return main_blocks(page, blocks) if is_saved_from_web(page) else blocks


def _whole(page: _Element) -> list[Block]:
    body = page.find("body")
    body = page if body is None else body
    # A page of nothing but navigation, such as a manual's index, is made to be read.
    return blocks_of(body, unseen) or blocks_of(body, partial(unseen, navigation=True))


def _short_tag(match: re.Match[str]) -> str:
    return f"<{match[1]}" + "\n" * match[0].count("\n") + ">"


def _with_lines(source: str) -> str:
    """`source`, each tag with its line where the parser cannot count as far."""
    starts = [match.end() for match in re.finditer("\n", source)]
    if len(starts) < PARSER_LINES:
        return source

    def marked(match: re.Match[str]) -> str:
        line = bisect_right(starts, match.end() - 1) + 1
        return f"<{match[1]} {LINE}={line}{match[2]}>"

    return _START_TAG.sub(marked, source)


def _flattened(source: str) -> str:
    """`source` without the tags of elements that are nested too deeply; lines stay."""
    depth = 0

    def shallow(match: re.Match[str]) -> str:
        nonlocal depth
        closing, name = match[1], match[2].lower()
        if name in _KEPT_WHOLE:
            return match[0]
        depth = max(0, depth - 1) if closing else depth + 1
        return match[0] if depth < _DEEPEST else " " + "\n" * match[0].count("\n")

    return _TAG.sub(shallow, source)
