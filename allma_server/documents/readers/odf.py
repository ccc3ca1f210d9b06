"""OpenDocument: texts, spreadsheets, presentations and drawings, as packages or as one XML file.

Cells of tables have the text that the program displayed. Deleted text is not read; comments,
footnotes and descriptions of pictures are.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

from allma_server.documents.builder import DocumentBuilder, Outline
from allma_server.documents.readers.docx_drawings import described
from allma_server.documents.readers.elements import attribute, child, children, name
from allma_server.documents.readers.odf_numbering import HeadingNumbers, numbered_levels
from allma_server.documents.readers.odf_text import (
    block_text,
    formula_source,
    paragraph_text,
    repeated,
    sheet_rows,
    table_rows,
)
from allma_server.documents.readers.sheet_rows import add_sheet
from allma_server.documents.readers.zip_package import PASSWORD, ZipPackage, parse_part, resolve
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract

_SKIPPED = frozenset(
    "tracked-changes sequence-decls forms user-field-decls variable-decls settings "
    "table-of-content-source alphabetical-index-source calculation-settings".split()
)
_SHAPES = ("frame", "custom-shape", "text-box")
_FIELD = re.compile(r"<[a-z/]{1,20}>")
"""A field on the master of slides, such as `<number>`."""

_EMPTY = "The document has no text."
_MAX_HEADING = 9

# lxml has no type annotations.
_Element = Any


def read(data: bytes, path: PurePath) -> Extract:
    """Read a document of any OpenDocument program; macros are ignored."""
    if path.name.startswith(".~lock."):
        raise NothingToIndex("LibreOffice keeps it while a document is open.")
    if not data.strip():
        raise NothingToIndex("The file is empty.")
    package = None if data.lstrip()[:1] == b"<" else ZipPackage(data, "an OpenDocument", ".odt")
    content, styles, properties = _parts(data, package)
    body = child(content, "body")
    main = next((part for part in (body if body is not None else ()) if name(part)), None)
    if main is None:
        raise UnreadableDocument("It is not an OpenDocument file, or its body is missing.")
    language = properties["language"] or _usual_language(styles)
    metadata = {"author": properties["creator"], "language": language}
    if name(main) == "spreadsheet":
        document = DocumentBuilder()
        tables = [part for part in main if name(part) == "table"]
        for table in tables:
            add_sheet(document, attribute(table, "name"), sheet_rows(table))
        metadata["sheets"] = str(len(tables))
        return document.build(
            "The workbook has no values.", title=properties["title"], metadata=metadata
        )
    writer = _Writer(numbered_levels(content, styles), HeadingNumbers(styles), package)
    pages = [part for part in main if name(part) == "page"]
    for number, page in enumerate(pages, start=1):
        writer.add_page(number, page)
    if pages:
        metadata["slides" if name(main) == "presentation" else "pages"] = str(len(pages))
        writer.outline.begin_page(None)
        writer.add_page_edges([*_declared_edges(main), *_master_shapes(styles)])
    else:
        writer.add_blocks(main)
        writer.add_page_edges(_page_edges(styles))
    return writer.outline.build(
        _EMPTY, title=properties["title"] or writer.title, metadata=metadata
    )


def _parts(data: bytes, package: ZipPackage | None) -> tuple[_Element, _Element, dict[str, str]]:
    """Return the content, the styles, and the title, creator and language of the document."""
    if package is None:
        content = styles = meta = parse_part(data)
    else:
        manifest = package.root("META-INF/manifest.xml")
        if manifest is not None and next(manifest.iter("{*}encryption-data"), None) is not None:
            raise UnreadableDocument(PASSWORD)
        content, meta = package.root("content.xml"), package.root("meta.xml")
        styles = package.root("styles.xml")
    properties = {"title": "", "creator": "", "language": ""}
    declared = child(meta, "meta")
    for each in declared if declared is not None else ():
        if name(each) in properties:
            properties[name(each)] = each.text or ""
    return content, styles, properties


def _usual_language(styles: _Element) -> str:
    """Return the language of the default style; empty if it has none."""
    for style in styles.iter("{*}default-style") if styles is not None else ():
        for properties in style.iter("{*}text-properties"):
            language, country = (attribute(properties, each) for each in ("language", "country"))
            if language not in ("", "none", "zxx"):
                return f"{language}-{country}" if country not in ("", "none") else language
    return ""


def _page_edges(styles: _Element) -> Iterator[_Element]:
    """Yield the headers and footers of a text."""
    for page in children(styles, "master-styles"):
        if name(page) == "master-page":
            yield from (part for part in page if name(part).startswith(("header", "footer")))


def _declared_edges(main: _Element) -> Iterator[_Element]:
    """Yield the headers and footers of slides."""
    return (part for part in main if name(part) in ("header-decl", "footer-decl"))


def _master_shapes(styles: _Element) -> Iterator[_Element]:
    """Yield what is on the masters of slides besides the places for their own text."""
    for page in children(styles, "master-styles"):
        if name(page) == "master-page":
            shapes = (part for part in page if name(part) in _SHAPES)
            yield from (each for each in shapes if attribute(each, "placeholder") != "true")


class _Writer:
    """Collects the text of a document or of slides; `package` has the objects embedded in it."""

    def __init__(
        self,
        numbered: frozenset[tuple[str, int]],
        numbers: HeadingNumbers,
        package: ZipPackage | None,
    ) -> None:
        self.outline = Outline()
        self.title = ""
        self._numbered = numbered
        self._numbers = numbers
        self._package = package
        self._objects = {"content.xml"}

    def add_page(self, number: int, page: _Element) -> None:
        self.outline.begin_page(number)
        titles = [part for part in page if attribute(part, "class") in ("title", "heading")]
        for part in titles:
            title = " ".join(block_text(part).split())
            self.outline.add_heading(1, title)
            self.title = self.title or (title if number == 1 else "")
        notes = ""
        for part in page:
            if name(part) == "notes":
                notes = "\n".join(block_text(each) for each in part if name(each) == "frame")
            elif part not in titles:
                self._add_block(part)
        self.outline.add_paragraph(f"Notes: {notes.strip()}" if notes.strip() else "")

    def add_blocks(self, container: _Element) -> None:
        for block in container:
            self._add_block(block)

    def add_page_edges(self, edges: Iterable[_Element]) -> None:
        """Add headers and footers, each text once; skip those without letters (page numbers)."""
        texts = dict.fromkeys(_FIELD.sub("", block_text(edge)).strip() for edge in edges)
        if texts := [text for text in texts if any(map(str.isalpha, text))]:
            self.outline.add_heading(0, "Headers and footers")
        for text in texts:
            self.outline.add_paragraph(text)

    def _add_block(self, block: _Element) -> None:
        kind = name(block)
        if kind == "h":
            text = paragraph_text(block)
            depth = min(repeated(block, "outline-level"), _MAX_HEADING)
            number = self._numbers.next(block, depth) if text.text.strip() else ""
            self.outline.add_heading(depth, f"{number} {text.text}")
            self._add_deferred(text.deferred)
        elif kind == "p":
            text = paragraph_text(block)
            if not self.title and attribute(block, "style-name") == "Title":
                self.title = text.text
            self.outline.add_paragraph(text.text)
            self._add_deferred(text.deferred)
        elif kind == "table":
            self._add_table(block)
        elif kind == "list":
            self._add_list(block, attribute(block, "style-name"), 0)
        elif kind in _SHAPES:
            self._add_frame(block)
        elif kind == "object":
            self._add_object(block)
        elif kind == "math":
            self.outline.add_paragraph(formula_source(block))
        elif kind and kind not in _SKIPPED:
            self.add_blocks(block)

    def _add_table(self, table: _Element) -> None:
        rows = list(table_rows(table))
        if max(map(len, rows), default=0) > 1:
            self.outline.add_table([block_text(cell) for cell in row] for row in rows)
            return
        # A table of one column is a frame around ordinary text.
        for row in rows:
            for cell in row:
                self.add_blocks(cell)

    def _add_list(self, items: _Element, style: str, depth: int) -> None:
        style = attribute(items, "style-name") or style
        is_numbered = (style, depth + 1) in self._numbered
        count = 0
        for item in items:
            count += name(item) == "list-item"
            mark = f"{count}. " if is_numbered else "- "
            for part in item:
                if name(part) == "list":
                    self._add_list(part, style, depth + 1)
                elif name(part) == "p":
                    text = paragraph_text(part)
                    if text.text.strip():
                        self.outline.add_paragraph(f"{'  ' * depth}{mark}{text.text}")
                        mark = "  "
                    self._add_deferred(text.deferred)
                else:
                    self._add_block(part)

    def _add_frame(self, frame: _Element) -> None:
        texts = (child(frame, kind) for kind in ("title", "desc"))
        shown = dict.fromkeys(text.text or "" for text in texts if text is not None)
        alternative = described(" ".join(shown))
        if alternative:
            self.outline.add_paragraph(f"[Image: {alternative}]")
        for part in frame:
            if name(part) not in ("title", "desc"):
                self._add_block(part)

    def _add_object(self, element: _Element) -> None:
        """Add an embedded sheet, chart, formula or text; each of them once."""
        self.add_blocks(element)
        part = resolve("", f"{attribute(element, 'href')}/content.xml")
        if self._package is None or part in self._objects:
            return
        self._objects.add(part)
        root = self._package.root(part)
        body = child(root, "body")
        if root is not None:
            self._add_block(root if body is None else body)

    def _add_deferred(self, blocks: list[_Element]) -> None:
        """Add frames, notes and comments after the paragraph that they are anchored in."""
        for block in blocks:
            if name(block) == "note":
                citation = block_text(child(block, "note-citation"))
                text = block_text(child(block, "note-body"))
                self.outline.add_paragraph(f"[{citation}] {text}" if text else "")
            elif name(block) == "annotation":
                text = block_text(block)
                self.outline.add_paragraph(f"Comment: {text}" if text else "")
            else:
                self._add_block(block)
