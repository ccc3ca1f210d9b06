"""Word documents: everything a reader of the document sees, in sections that follow its headings.

python-docx opens the package and resolves its parts; the text is walked here, because its own
paragraphs lack footnotes, text boxes, content controls and tracked insertions. Tracked changes
count as accepted. Comments, headers and footers come last, under headings of their own.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from importlib import import_module
from io import BytesIO
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from allma_server.documents.builder import Outline
from allma_server.documents.readers.docx_drawings import chart_rows, description, symbol
from allma_server.documents.readers.docx_math import linear
from allma_server.documents.readers.docx_parts import (
    PASSED_OVER,
    ListLabels,
    Style,
    attribute,
    child,
    chosen,
    name,
    paragraph_styles,
    rows_of,
    shown,
    value,
)
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract

if TYPE_CHECKING:
    from docx.opc.part import Part
    from docx.opc.rel import Relationships
    from docx.package import Package

_UNPACKED_LIMIT = 256 << 20
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")

_SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_EXPONENT = re.compile(r"[-+\u2212\u2013]?(?:[\d.,]+|[ijkmnptxyN](?:[-+\u2212]\d+)?)")
_HEADING_LEVELS = frozenset("012345678")  # of nine; the tenth, "9", is ordinary text

# lxml has no types of its own.
_Element = Any


def read(data: bytes, path: PurePath) -> Extract:
    """Read an Office Open XML text document or template; macros are ignored."""
    # Heavy, and the registry is loaded where nothing is parsed.
    from docx.exceptions import PythonDocxError
    from docx.opc.exceptions import OpcError
    from docx.package import Package

    etree: Any = import_module("lxml.etree")
    if path.name.startswith("~$"):
        raise NothingToIndex("Word keeps it while a document is open.")
    _check(data)
    try:
        package = Package.open(BytesIO(data))
    except (PythonDocxError, OpcError, etree.LxmlError, zipfile.BadZipFile, zlib.error) as exc:
        raise UnreadableDocument(f"The document is damaged: {exc}.") from exc
    except (LookupError, ValueError, TypeError, AttributeError, EOFError, RuntimeError) as exc:
        # What the libraries stumble over when the parts of a package don't fit together.
        raise UnreadableDocument("It is not a Word document, or badly damaged.") from exc
    try:
        return _Document(package).read()
    except etree.LxmlError as exc:
        raise UnreadableDocument(f"A part of the document is damaged: {exc}.") from exc


def _check(data: bytes) -> None:
    if not data:
        raise NothingToIndex("The file is empty.")
    if data.startswith(_OLE):
        if _ENCRYPTED in data:
            raise UnreadableDocument("A password is needed to open the document.")
        raise UnreadableDocument(
            "It is in Word's old binary format.", "Save it as .docx to have it indexed."
        )
    if not data.startswith(b"PK"):
        raise UnreadableDocument("It is not a Word document, although its name says so.")
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as exc:
        raise UnreadableDocument(f"The document is damaged: {exc}.") from exc
    if unpacked > _UNPACKED_LIMIT:
        raise UnreadableDocument(f"It unpacks to {unpacked >> 20} MB, which is not plausible.")


class _Document:
    """One walk over a package."""

    def __init__(self, package: "Package") -> None:
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
        self._noted: list[tuple[int, _Element]] = []
        self._note_count = 0
        self._boxes: list[_Element] = []
        self._charts: list[str] = []
        self._described = ""
        self._fields: list[bool] = []
        self._carried = ""
        self._title = ""

    def read(self) -> Extract:
        self._blocks(child(_root_of(self._main), "body"))
        self._outline.add_paragraph(self._carried)
        self._margins()
        self._comments()
        core = _related(self._package.rels, "core-properties")
        known: Any = getattr(core[0], "core_properties", None) if core else None
        author = known.author if known else ""
        return self._outline.build(
            "The document has no text.",
            title=(known.title if known else "") or self._title,
            metadata={"author": author},
        )

    # --- blocks -----------------------------------------------------------------------------

    def _blocks(self, container: _Element) -> None:
        for block, kind in shown(container):
            if kind == "p":
                self._paragraph(block)
            elif kind == "tbl":
                self._table(block)
            self._set_aside()

    def _paragraph(self, paragraph: _Element) -> None:
        properties = child(paragraph, "pPr")
        style = self._styles.get(value(properties, "pStyle"), Style())
        text = self._carried + self._labelled(paragraph, style)
        self._carried = ""
        if attribute(child(properties, "framePr"), "dropCap"):
            self._carried = text  # the first letter of the next paragraph
        elif child(child(properties, "rPr"), "del") is not None:
            self._carried = text + " "  # its end was deleted, so the next follows on
        elif not text.strip():
            return
        elif (level := value(properties, "outlineLvl") or style.level) in _HEADING_LEVELS:
            self._outline.add_heading(int(level) + 1, text)
        else:
            if style.is_title:
                self._title = self._title or text
            self._outline.add_paragraph(text)

    def _labelled(self, paragraph: _Element, style: "Style") -> str:
        """The text of a paragraph after its number or bullet, indented like it."""
        text = self._inline(paragraph)
        listed = child(child(paragraph, "pPr"), "numPr")
        number = value(listed, "numId") or style.list
        if not number or not text.strip():
            return text
        at = value(listed, "ilvl") or style.list_level
        depth = int(at) if at in _HEADING_LEVELS else 0
        label = self._labels.next(number, depth)
        return f"{'  ' * depth}{label} {text}" if label else text

    def _table(self, table: _Element) -> None:
        rows = [[cell for cell, kind in shown(row) if kind == "tc"] for row in rows_of(table)]
        if max(map(len, rows), default=0) > 1:
            self._outline.add_table([self._flat(cell) for cell in row] for row in rows)
            return
        # One column is a frame around ordinary text.
        for row in rows:
            for cell in row:
                self._blocks(cell)

    def _set_aside(self) -> None:
        """Writes the charts, notes and text boxes that the block before referred to."""
        charts, self._charts = self._charts, []
        for chart in charts:
            if (root := self._target(chart)) is not None:
                self._outline.add_table(chart_rows(root))
        while self._boxes or self._noted:
            boxes, self._boxes = self._boxes, []
            noted, self._noted = self._noted, []
            for number, note in noted:
                self._outline.add_paragraph(f"[{number}] {self._flat(note)}")
            for box in boxes:
                self._blocks(box)

    def _flat(self, container: _Element) -> str:
        """All text in a cell or note, paragraphs and nested tables on lines of their own."""
        lines: list[str] = []
        for block, kind in shown(container):
            if kind == "p":
                style = self._styles.get(value(child(block, "pPr"), "pStyle"), Style())
                lines.append(self._labelled(block, style))
            elif kind == "tbl":
                for row in rows_of(block):
                    cells = [self._flat(cell) for cell, kind in shown(row) if kind == "tc"]
                    lines.append(" | ".join(cells))
        return "\n".join(line for line in lines if line.strip())

    def _margins(self) -> None:
        """Headers and footers, each text once; page numbers alone say nothing."""
        texts: dict[str, None] = {}
        for kind in ("header", "footer"):
            for part in _related(self._main.rels, kind):
                text = self._flat(_root_of(part))
                if any(map(str.isalpha, text)):
                    texts[text] = None
        if texts:
            self._outline.add_heading(0, "Headers and footers")
        for text in texts:
            self._outline.add_paragraph(text)
        self._set_aside()

    def _comments(self) -> None:
        comments = [(attribute(c, "author"), self._flat(c)) for c in self._part("comments", True)]
        if any(text for _, text in comments):
            self._outline.add_heading(0, "Comments")
        for author, text in comments:
            self._outline.add_paragraph(f"{author}: {text}" if author and text else text)

    # --- what stands in a paragraph ---------------------------------------------------------

    def _inline(self, paragraph: _Element) -> str:
        # A field may span paragraphs, but one that is never closed must not hide the rest.
        self._fields.clear()
        return "".join(self._pieces(paragraph)).strip(" ")

    def _pieces(self, element: _Element) -> Iterator[str]:
        for part in chosen(element):
            kind = name(part)
            if kind == "t":
                if not any(self._fields):
                    yield part.text or ""
            elif kind in _SIGNS:
                yield _SIGNS[kind]
            elif kind == "sym":
                yield symbol(part)
            elif kind == "r":
                yield from self._run(part)
            elif kind == "oMath":
                yield linear(part)
            elif kind == "oMathPara":
                yield "\n".join(linear(formula) for formula in part if name(formula) == "oMath")
            elif kind == "fldChar":
                self._field(attribute(part, "fldCharType"))
            elif kind in ("footnoteReference", "endnoteReference"):
                yield from self._note(kind.removesuffix("Reference"), attribute(part, "id"))
            elif kind == "txbxContent":
                self._boxes.append(part)
            elif kind == "relIds":
                yield from self._diagram(attribute(part, "dm"))
            elif kind == "chart":
                self._charts.append(attribute(part, "id"))
            elif kind not in PASSED_OVER:
                yield from self._drawn(part)
                yield from self._pieces(part)

    def _run(self, run: _Element) -> Iterator[str]:
        text = "".join(self._pieces(run))
        raised = value(child(run, "rPr"), "vertAlign") == "superscript"
        yield f"^{text}" if raised and _EXPONENT.fullmatch(text) else text

    def _drawn(self, part: _Element) -> Iterator[str]:
        """What stands in the attributes of a drawing, once: pictures repeat that of their frame."""
        kind = name(part)
        if kind == "textpath":
            yield attribute(part, "string") + "\n"
        elif kind in ("docPr", "cNvPr", "shape"):
            text = description(part)
            if text and text != self._described:
                yield f" [Image: {text}] "
            self._described = text

    def _field(self, step: str) -> None:
        """Between `begin` and `separate` stands a field's instruction, after it the result."""
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
            self._noted.append((self._note_count, note))
            yield f"[{self._note_count}]"

    def _diagram(self, relation: str) -> Iterator[str]:
        root = self._target(relation)
        for paragraph in root.iter("{*}p") if root is not None else ():
            yield "".join(self._pieces(paragraph)) + "\n"

    def _target(self, relation: str) -> _Element:
        """The content of the part that the main one names so, or None."""
        target = self._main.rels.get(relation)
        return None if target is None or target.is_external else _root_of(target.target_part)

    def _part(self, kind: str, empty: bool = False) -> _Element:
        parts = _related(self._main.rels, kind)
        return _root_of(parts[0]) if parts else [] if empty else None


# --- the package --------------------------------------------------------------------------------


def _related(relations: "Relationships", kind: str) -> "list[Part]":
    """The parts that relationships of this kind (its last word) lead to, within the package."""
    found = (r for r in relations.values() if r.reltype.rpartition("/")[2] == kind)
    return [relation.target_part for relation in found if not relation.is_external]


def _root_of(part: "Part") -> _Element:
    """The parsed content of a part; python-docx leaves unparsed what it has no use for."""
    from docx.oxml.parser import parse_xml

    known = getattr(part, "element", None)
    return parse_xml(part.blob) if known is None else known
