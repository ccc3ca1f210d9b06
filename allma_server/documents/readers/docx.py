"""Word documents: all visible text, in sections that follow the headings.

python-docx opens the package and resolves its parts. The text is collected here, because
python-docx's paragraphs lack footnotes, text boxes, content controls and tracked insertions.
Tracked changes count as accepted. Comments, headers and footers come last, under their own
headings.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from importlib import import_module
from io import BytesIO
from pathlib import PurePath
from typing import Any

from docx.exceptions import PythonDocxError
from docx.opc.exceptions import OpcError
from docx.opc.part import Part
from docx.opc.rel import Relationships
from docx.oxml.parser import parse_xml
from docx.package import Package

from allma_server.documents.builder import Outline
from allma_server.documents.readers.charts import chart_rows
from allma_server.documents.readers.docx_drawings import description, symbol
from allma_server.documents.readers.docx_math import formula_text
from allma_server.documents.readers.docx_parts import (
    IGNORED_ELEMENTS,
    ListLabels,
    Style,
    paragraph_styles,
    property_value,
    rows_of,
    visible_blocks,
)
from allma_server.documents.readers.elements import attribute, child, name, without_alternatives
from allma_server.documents.readers.zip_package import check_package
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract

etree: Any = import_module("lxml.etree")

_CHARACTERS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_EXPONENT = re.compile(r"[-+\u2212\u2013]?(?:[\d.,]+|[ijkmnptxyN](?:[-+\u2212]\d+)?)")
_HEADING_LEVELS = frozenset("012345678")  # of nine; the tenth, "9", is ordinary text

# lxml has no type annotations.
_Element = Any


def read(data: bytes, path: PurePath) -> Extract:
    """Read an Office Open XML text document or template; macros are ignored."""
    if path.name.startswith("~$"):
        raise NothingToIndex("Word keeps it while a document is open.")
    check_package(data, "a Word", ".docx")
    try:
        package = Package.open(BytesIO(data))
    except (PythonDocxError, OpcError, etree.LxmlError, zipfile.BadZipFile, zlib.error) as exc:
        raise UnreadableDocument(f"The document is damaged: {exc}.") from exc
    except (LookupError, ValueError, TypeError, AttributeError, EOFError, RuntimeError) as exc:
        # The libraries raise these for packages with inconsistent parts.
        raise UnreadableDocument("It is not a Word document, or badly damaged.") from exc
    try:
        return _Document(package).read()
    except etree.LxmlError as exc:
        raise UnreadableDocument(f"A part of the document is damaged: {exc}.") from exc


class _Document:
    """Collects the text of one package."""

    def __init__(self, package: Package) -> None:
        main = _related(package.rels, "officeDocument")
        if not main:
            raise UnreadableDocument("It is not a Word document: its main part is missing.")
        self._package, self._main = package, main[0]
        self._outline = Outline()
        self._styles = paragraph_styles(self._part("styles"))
        self._labels = ListLabels(self._part("numbering"))
        self._notes: dict[str, dict[str, _Element]] = {
            kind: {attribute(note, "id"): note for note in self._part(f"{kind}s", empty=True)}
            for kind in ("footnote", "endnote")
        }
        self._pending_notes: list[tuple[int, _Element]] = []
        self._note_count = 0
        self._pending_boxes: list[_Element] = []
        self._pending_charts: list[str] = []
        self._last_description = ""
        self._fields: list[bool] = []
        self._pending_text = ""
        self._title = ""

    def read(self) -> Extract:
        self._add_blocks(child(_root_of(self._main), "body"))
        self._outline.add_paragraph(self._pending_text)
        self._add_headers_and_footers()
        self._add_comments()
        core = _related(self._package.rels, "core-properties")
        properties: Any = getattr(core[0], "core_properties", None) if core else None
        author, language = (properties.author, properties.language) if properties else ("", "")
        styles = self._part("styles")
        usual = next(styles.iter("{*}lang"), None) if styles is not None else None
        return self._outline.build(
            "The document has no text.",
            title=(properties.title if properties else "") or self._title,
            metadata={"author": author, "language": language or attribute(usual, "val")},
        )

    # --- blocks -----------------------------------------------------------------------------

    def _add_blocks(self, container: _Element) -> None:
        for block, kind in visible_blocks(container):
            if kind == "p":
                self._add_paragraph(block)
            elif kind == "tbl":
                self._add_table(block)
            self._add_deferred()

    def _add_paragraph(self, paragraph: _Element) -> None:
        properties = child(paragraph, "pPr")
        style = self._styles.get(property_value(properties, "pStyle"), Style())
        text = self._pending_text + self._text_with_label(paragraph, style)
        self._pending_text = ""
        if attribute(child(properties, "framePr"), "dropCap"):
            self._pending_text = text  # it is the first letter of the next paragraph
        elif child(child(properties, "rPr"), "del") is not None:
            self._pending_text = (
                text + " "
            )  # its end is deleted, so the next paragraph continues it
        elif not text.strip():
            return
        elif (level := property_value(properties, "outlineLvl") or style.level) in _HEADING_LEVELS:
            self._outline.add_heading(int(level) + 1, text)
        else:
            if style.is_title:
                self._title = self._title or text
            self._outline.add_paragraph(text)

    def _text_with_label(self, paragraph: _Element, style: "Style") -> str:
        """Return the text of a paragraph with its number or bullet, indented by its level."""
        text = self._paragraph_text(paragraph)
        listed = child(child(paragraph, "pPr"), "numPr")
        number = property_value(listed, "numId") or style.list
        if not number or not text.strip():
            return text
        at = property_value(listed, "ilvl") or style.list_level
        depth = int(at) if at in _HEADING_LEVELS else 0
        label = self._labels.next(number, depth)
        return f"{'  ' * depth}{label} {text}" if label else text

    def _add_table(self, table: _Element) -> None:
        rows = [
            [cell for cell, kind in visible_blocks(row) if kind == "tc"] for row in rows_of(table)
        ]
        if max(map(len, rows), default=0) > 1:
            self._outline.add_table([self._plain_text(cell) for cell in row] for row in rows)
            return
        # A table of one column is a frame around ordinary text.
        for row in rows:
            for cell in row:
                self._add_blocks(cell)

    def _add_deferred(self) -> None:
        """Add the charts, notes and text boxes that the previous block refers to."""
        charts, self._pending_charts = self._pending_charts, []
        for chart in charts:
            if (root := self._target(chart)) is not None:
                self._outline.add_table(chart_rows(root))
        while self._pending_boxes or self._pending_notes:
            boxes, self._pending_boxes = self._pending_boxes, []
            noted, self._pending_notes = self._pending_notes, []
            for number, note in noted:
                self._outline.add_paragraph(f"[{number}] {self._plain_text(note)}")
            for box in boxes:
                self._add_blocks(box)

    def _plain_text(self, container: _Element) -> str:
        """Return all text of a cell or note, one line for each paragraph and nested row."""
        lines: list[str] = []
        for block, kind in visible_blocks(container):
            if kind == "p":
                style = self._styles.get(property_value(child(block, "pPr"), "pStyle"), Style())
                lines.append(self._text_with_label(block, style))
            elif kind == "tbl":
                for row in rows_of(block):
                    cells = [
                        self._plain_text(cell) for cell, kind in visible_blocks(row) if kind == "tc"
                    ]
                    lines.append(" | ".join(cells))
        return "\n".join(line for line in lines if line.strip())

    def _add_headers_and_footers(self) -> None:
        """Add headers and footers, each text once; skip those without letters (page numbers)."""
        texts: dict[str, None] = {}
        for kind in ("header", "footer"):
            for part in _related(self._main.rels, kind):
                text = self._plain_text(_root_of(part))
                if any(map(str.isalpha, text)):
                    texts[text] = None
        if texts:
            self._outline.add_heading(0, "Headers and footers")
        for text in texts:
            self._outline.add_paragraph(text)
        self._add_deferred()

    def _add_comments(self) -> None:
        comments = [
            (attribute(c, "author"), self._plain_text(c)) for c in self._part("comments", True)
        ]
        if any(text for _, text in comments):
            self._outline.add_heading(0, "Comments")
        for author, text in comments:
            self._outline.add_paragraph(f"{author}: {text}" if author and text else text)

    # --- paragraphs -------------------------------------------------------------------------

    def _paragraph_text(self, paragraph: _Element) -> str:
        # A field may span paragraphs, but a field that is never closed must not hide the rest.
        self._fields.clear()
        return "".join(self._pieces(paragraph)).strip(" ")

    def _pieces(self, element: _Element) -> Iterator[str]:
        for part in without_alternatives(element):
            kind = name(part)
            if kind == "t":
                if not any(self._fields):
                    yield part.text or ""
            elif kind in _CHARACTERS:
                yield _CHARACTERS[kind]
            elif kind == "sym":
                yield symbol(part)
            elif kind == "r":
                yield from self._run_text(part)
            elif kind == "oMath":
                yield formula_text(part)
            elif kind == "oMathPara":
                yield "\n".join(
                    formula_text(formula) for formula in part if name(formula) == "oMath"
                )
            elif kind == "fldChar":
                self._field(attribute(part, "fldCharType"))
            elif kind in ("footnoteReference", "endnoteReference"):
                yield from self._note(kind.removesuffix("Reference"), attribute(part, "id"))
            elif kind == "txbxContent":
                self._pending_boxes.append(part)
            elif kind == "relIds":
                yield from self._diagram_text(attribute(part, "dm"))
            elif kind == "chart":
                self._pending_charts.append(attribute(part, "id"))
            elif kind not in IGNORED_ELEMENTS:
                yield from self._drawing_text(part)
                yield from self._pieces(part)

    def _run_text(self, run: _Element) -> Iterator[str]:
        text = "".join(self._pieces(run))
        raised = property_value(child(run, "rPr"), "vertAlign") == "superscript"
        yield f"^{text}" if raised and _EXPONENT.fullmatch(text) else text

    def _drawing_text(self, part: _Element) -> Iterator[str]:
        """Yield the text in the attributes of a drawing; skip repetitions in picture and frame."""
        kind = name(part)
        if kind == "textpath":
            yield attribute(part, "string") + "\n"
        elif kind in ("docPr", "cNvPr", "shape"):
            text = description(part)
            if text and text != self._last_description:
                yield f" [Image: {text}] "
            self._last_description = text

    def _field(self, step: str) -> None:
        """Track fields: the instruction is between `begin` and `separate`, then the result."""
        if step == "begin":
            self._fields.append(True)
        elif self._fields and step == "separate":
            self._fields[-1] = False
        elif self._fields:
            self._fields.pop()

    def _note(self, kind: str, identity: str) -> Iterator[str]:
        note = self._notes[kind].pop(identity, None)
        if note is not None:
            self._note_count += 1
            self._pending_notes.append((self._note_count, note))
            yield f"[{self._note_count}]"

    def _diagram_text(self, relation: str) -> Iterator[str]:
        root = self._target(relation)
        for paragraph in root.iter("{*}p") if root is not None else ():
            yield "".join(self._pieces(paragraph)) + "\n"

    def _target(self, relation: str) -> _Element:
        """Return the root of the part with this relationship id, or None."""
        target = self._main.rels.get(relation)
        return None if target is None or target.is_external else _root_of(target.target_part)

    def _part(self, kind: str, empty: bool = False) -> _Element:
        parts = _related(self._main.rels, kind)
        return _root_of(parts[0]) if parts else [] if empty else None


# --- package ------------------------------------------------------------------------------------


def _related(relations: Relationships, kind: str) -> list[Part]:
    """Return the parts of the package that have a relationship of this kind (its last word)."""
    found = (r for r in relations.values() if r.reltype.rpartition("/")[2] == kind)
    return [relation.target_part for relation in found if not relation.is_external]


def _root_of(part: Part) -> _Element:
    """Return the parsed content of a part; python-docx parses only the parts that it needs."""
    known = getattr(part, "element", None)
    return parse_xml(part.blob) if known is None else known
