"""HTML: the main content without menus and adverts, in sections that follow its headings."""

import logging
import re
from collections.abc import Iterable
from importlib import import_module
from pathlib import PurePath
from typing import Any

from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.formats.draft import Outline
from allma_server.formats.text import decode, is_blank, without_blobs
from allma_server.model import Extract

_DECLARED = re.compile(
    rb"""<(?:meta[^>]{0,200}?charset|\?xml[^>]{0,100}?encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.I
)
# The parser compares each attribute of a tag with all others.
_HUGE_TAG = re.compile(r"<([A-Za-z][\w:-]*)\s[^<>]{30000,}>")
_UNSEEN = (
    "script style template noscript svg math canvas iframe object embed audio video map select "
    "datalist button"
).split()
_CONTENT = (
    ".//text()[not(ancestor::nav or ancestor::aside or ancestor::footer or ancestor::header"
    " or ancestor::form)]"
)
_HIDDEN = "//*[@hidden or contains(translate(@style, ' ', ''), 'display:none')]"

# Both HTML's names and those of the extractor's output (head, list, item, quote, row, cell).
_BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details div dl dt fieldset "
    "figcaption figure footer form header hr item legend li list main nav ol p quote section "
    "summary ul".split()
)
_ITEMS = frozenset({"li", "item", "dd"})
_ROWS = frozenset({"tr", "row"})
_CELLS = frozenset({"td", "th", "cell"})
_BREAKS = frozenset({"br", "lb"})
_LEVEL = re.compile(r"h([1-6])$")
_SPACES = re.compile(r"\s+")

_SMALL_SHARE = 0.2
_SHORT_PAGE = 500

# lxml has no types of its own. It is loaded late, for the registry is needed without it.
_Element = Any


def _lxml(module: str) -> Any:
    return import_module(f"lxml.{module}")


class HtmlReader:
    """Web pages as saved; nothing they link to is ever fetched."""

    name = "html"
    suffixes = frozenset({".html", ".htm", ".xhtml", ".shtml"})

    def read(self, data: bytes, path: PurePath) -> Extract:
        etree, html = _lxml("etree"), _lxml("html")
        declared = _DECLARED.search(data[:4096])
        text = decode(data, declared[1].decode("ascii") if declared else None)
        if is_blank(text):
            raise NothingToIndex("The file is empty.")
        try:
            parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
            source = _HUGE_TAG.sub(r"<\1>", without_blobs(text))
            page = html.document_fromstring(source.encode("utf-8"), parser=parser)
            title = page.xpath("string(//title)")
            walk = _Walk()
            walk.write(_main_content(page))
        except (etree.LxmlError, ValueError) as exc:
            raise UnreadableDocument(f"The page cannot be parsed: {exc}.") from exc
        return walk.outline.draft().extract("The page has no text.", title=title)


def _main_content(page: _Element) -> _Element:
    """The element that holds what the page is about; the whole page when that is hard to say."""
    import trafilatura  # heavy, like lxml

    etree = _lxml("etree")
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    found = trafilatura.bare_extraction(page, fast=True, include_comments=False)
    body = getattr(found, "body", None)

    etree.strip_elements(page, *_UNSEEN, with_tail=False)
    for hidden in page.xpath(_HIDDEN):
        if hidden.getparent() is not None:
            hidden.drop_tree()
    whole = page.find("body")
    whole = page if whole is None else whole
    if body is None:
        return whole
    visible = _length(whole.xpath(_CONTENT))
    little = visible < _SHORT_PAGE or _length(body.itertext()) < visible * _SMALL_SHARE
    return whole if little else body


def _length(texts: Iterable[str]) -> int:
    return sum(len(text.strip()) for text in texts)


class _Walk:
    """Writes a tree of elements into an outline, block by block, without recursion."""

    def __init__(self) -> None:
        self.outline = Outline()
        self._text: list[str] = []
        self._rows: list[list[str]] = []
        self._table: _Element = None
        self._verbatim: _Element = None

    def write(self, root: _Element) -> None:
        """Appends what stands in `root`, its own tail left out."""
        for event, element in _lxml("etree").iterwalk(root, events=("start", "end")):
            if event == "start":
                self._start(element)
                self._text.append(element.text or "")
            else:
                self._end(element)
                self._text.append((element.tail if element is not root else "") or "")
        self._flush()

    def _start(self, element: _Element) -> None:
        tag = element.tag
        if self._verbatim is not None:
            return
        if self._table is not None:
            if tag in _ROWS:
                self._flush()
                self._rows.append([])
            elif tag in _CELLS:
                self._text.clear()
            elif tag in _BLOCKS or tag in _BREAKS:
                self._text.append(" ")
        elif tag in _BREAKS:
            self._text.append("\n")
        elif _is_preformatted(element):
            self._flush()
            self._verbatim = element
        elif tag in _BLOCKS or tag in _ROWS or tag in _CELLS or _level(element):
            self._flush()
            if tag in _ITEMS:
                self._text.append("- ")
        elif tag == "table":
            self._flush()
            if _is_grid(element):
                self._table = element

    def _end(self, element: _Element) -> None:
        tag = element.tag
        if self._verbatim is not None:
            if element is self._verbatim:
                self.outline.paragraph("".join(self._text).strip("\n"))
                self._text.clear()
                self._verbatim = None
        elif self._table is not None:
            if element is self._table:
                self.outline.table(self._rows)
                self._rows, self._table = [], None
                self._text.clear()
            elif tag in _CELLS and self._rows:
                self._rows[-1].append(self._taken())
            elif tag in _BLOCKS:
                self._text.append(" ")
        elif level := _level(element):
            self.outline.heading(level, self._taken())
        elif tag in _BLOCKS or tag in _ROWS or tag in _CELLS:
            self._flush()

    def _flush(self) -> None:
        if (text := self._taken()) == "-":
            self._text.append("- ")  # the item's text is in a block of its own
        else:
            self.outline.paragraph(text)

    def _taken(self) -> str:
        text = "".join(self._text)
        self._text.clear()
        return _SPACES.sub(lambda run: "\n" if "\n" in run[0] else " ", text).strip()


def _level(element: _Element) -> int:
    """The level of a heading, 0 for anything else."""
    name = element.get("rend") if element.tag == "head" else element.tag
    found = _LEVEL.match(name or "")
    return int(found[1]) if found else 0


def _is_preformatted(element: _Element) -> bool:
    return element.tag == "pre" or (element.tag == "code" and "\n" in "".join(element.itertext()))


def _is_grid(table: _Element) -> bool:
    """Whether a table holds data; old pages use tables to lay out whole articles."""
    if any(_level(part) or part.tag == "table" for part in table.iterdescendants()):
        return False
    return any(sum(cell.tag in _CELLS for cell in row) > 1 for row in table.iterdescendants(*_ROWS))
