"""PowerPoint presentations: a page for each slide, below its title, followed by its notes.

Slides come in the order of the show, the shapes of a slide in the order of the file, which is that
of the screen readers.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from allma_server.documents.builder import Outline
from allma_server.documents.readers.charts import chart_rows
from allma_server.documents.readers.docx_drawings import description
from allma_server.documents.readers.docx_math import formula_text
from allma_server.documents.readers.elements import (
    attribute,
    child,
    children,
    name,
    without_alternatives,
)
from allma_server.documents.readers.zip_package import ZipPackage
from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.types import Extract

_TITLES = frozenset({"title", "ctrTitle"})
_EDGES = ("ftr", "hdr")
_NOT_TEXT = frozenset({"sldNum", "dt", "sldImg", *_EDGES})
_PROPERTIES = frozenset("rPr pPr endParaRPr bodyPr lstStyle spPr style tblPr tcPr".split())
_MAX_LEVEL = 8
_NUMBERED = re.compile(r"(?:slide|folie|diapositive)\s*\d+", re.I)

# lxml has no type annotations.
_Element = Any


def read(data: bytes, path: PurePath) -> Extract:
    """Read an Office Open XML presentation, slide show or template; macros are ignored."""
    if path.name.startswith("~$"):
        raise NothingToIndex("PowerPoint keeps it while a presentation is open.")
    package = ZipPackage(data, "a PowerPoint", ".pptx")
    main = next(iter(package.related("", "officeDocument")), "")
    root = package.root(main)
    if root is None or name(root) != "presentation":
        raise UnreadableDocument("It is not a PowerPoint document: its main part is missing.")
    presentation = _Presentation(package)
    slides = [package.target(main, _relation(each)) for each in children(root, "sldIdLst")]
    for number, slide in enumerate(slides, start=1):
        presentation.add_slide(number, slide)
    presentation.add_page_edges()
    properties = package.properties()
    return presentation.outline.build(
        "The presentation has no text.",
        title=properties.get("title") or presentation.title,
        metadata={
            "slides": str(len(slides)),
            "author": properties.get("creator", ""),
            "language": properties.get("language") or presentation.language(),
        },
    )


class _Presentation:
    """Collects the text of the slides."""

    def __init__(self, package: ZipPackage) -> None:
        self.outline = Outline()
        self.title = ""
        self._package = package
        self._part = ""
        self._masters: dict[str, None] = {}
        self._footers: dict[str, None] = {}
        self._languages = Counter[str]()

    def language(self) -> str:
        """Return the language that most pieces of text are in; empty if none says so."""
        return next((language for language, _ in self._languages.most_common(1)), "")

    def add_slide(self, number: int, part: str) -> None:
        root = self._package.root(part)
        if root is None:
            return
        self._part = part
        languages = (attribute(each, "lang") for each in root.iter("{*}rPr"))
        self._languages.update(filter(None, languages))
        self.outline.begin_page(number)
        shapes = list(_shapes(child(child(root, "cSld"), "spTree")))
        titles = [shape for shape in shapes if _placeholder(shape) in _TITLES]
        title = " ".join(" ".join(_paragraphs(shape)) for shape in titles)
        self.outline.add_heading(1, title)
        self.title = self.title or (" ".join(title.split()) if number == 1 else "")
        for shape in shapes:
            if _placeholder(shape) in _EDGES:
                self._footers["\n".join(_paragraphs(shape))] = None
            elif shape not in titles:
                self._add_shape(shape)
        for layout in self._package.related(part, "slideLayout"):
            masters = self._package.related(layout, "slideMaster")
            self._masters |= dict.fromkeys([*masters, layout])
        for notes in self._package.related(part, "notesSlide"):
            self._add_notes(self._package.root(notes))
        self._add_comments(part)

    def add_page_edges(self) -> None:
        """Add footers, and what the masters of the slides show, each text once."""
        for part in self._masters:
            root = self._package.root(part)
            for shape in _shapes(child(child(root, "cSld"), "spTree")):
                # The other placeholders have a hint for authors, as "Click to edit".
                if _place(shape) is None or _placeholder(shape) in _EDGES:
                    self._footers["\n".join(_paragraphs(shape))] = None
        if texts := [text for text in self._footers if any(map(str.isalpha, text))]:
            self.outline.begin_page(None)
            self.outline.add_heading(0, "Headers and footers")
        for text in texts:
            self.outline.add_paragraph(text)

    def _add_shape(self, shape: _Element) -> None:
        kind = name(shape)
        alternative = description(_own_properties(shape))
        if alternative and not _NUMBERED.fullmatch(alternative):
            self.outline.add_paragraph(f"[Image: {alternative}]" if kind == "pic" else alternative)
        if kind == "graphicFrame":
            self._add_graphic(shape)
        elif _placeholder(shape) not in _NOT_TEXT:
            self.outline.add_paragraph("\n".join(_paragraphs(shape)))

    def _add_graphic(self, frame: _Element) -> None:
        for table in frame.iter("{*}tbl"):
            rows = [
                [" ".join(_paragraphs(cell)) for cell in row if name(cell) == "tc"]
                for row in table
                if name(row) == "tr"
            ]
            self.outline.add_table(rows)
        for chart in frame.iter("{*}chart"):
            root = self._package.root(self._package.target(self._part, attribute(chart, "id")))
            if root is not None:
                self.outline.add_table(chart_rows(root))
        for diagram in frame.iter("{*}relIds"):
            root = self._package.root(self._package.target(self._part, attribute(diagram, "dm")))
            if root is not None:
                self.outline.add_paragraph("\n".join(_paragraphs(root)))

    def _add_notes(self, root: _Element) -> None:
        texts = [
            "\n".join(_paragraphs(shape))
            for shape in _shapes(child(child(root, "cSld"), "spTree"))
            if _placeholder(shape) not in _NOT_TEXT
        ]
        if text := "\n".join(text for text in texts if text.strip()):
            self.outline.add_paragraph(f"Notes: {text}")

    def _add_comments(self, part: str) -> None:
        for comments in self._package.related(part, "comments"):
            root = self._package.root(comments)
            for comment in root if root is not None else ():
                plain = child(comment, "text")
                texts = [*_paragraphs(comment), (plain.text or "") if plain is not None else ""]
                if text := " ".join(texts).strip():
                    self.outline.add_paragraph(f"Comment: {text}")


def _shapes(tree: _Element) -> Iterator[_Element]:
    """Yield the shapes of a slide, also those in groups."""
    pending = [iter(without_alternatives(tree if tree is not None else ()))]
    while pending:
        shape = next(pending[-1], None)
        if shape is None:
            pending.pop()
        elif name(shape) == "grpSp":
            pending.append(iter(without_alternatives(shape)))
        else:
            yield shape


def _own_properties(shape: _Element) -> _Element:
    """Return the element with the name and the alternative text of a shape."""
    return next((child(part, "cNvPr") for part in shape if name(part).startswith("nv")), None)


def _place(shape: _Element) -> _Element:
    """Return the element that makes a shape a placeholder, or None."""
    parts = (child(part, "nvPr") for part in shape if name(part).startswith("nv"))
    return child(next(parts, None), "ph")


def _placeholder(shape: _Element) -> str:
    """Return the type of a placeholder such as `title`; empty for other shapes."""
    return attribute(_place(shape), "type")


def _paragraphs(container: _Element) -> Iterator[str]:
    """Yield the paragraphs in an element that are not empty, items of lists with their marks."""
    numbers: dict[int, int] = {}
    for paragraph in container.iter("{*}p"):
        text = "".join(_pieces(paragraph)).strip()
        properties = child(paragraph, "pPr")
        level = attribute(properties, "lvl")
        depth = min(int(level), _MAX_LEVEL) if level.isascii() and level.isdigit() else 0
        if not text:
            continue
        mark = "- " if child(properties, "buChar") is not None or depth else ""
        if child(properties, "buAutoNum") is not None:
            numbers[depth] = numbers.get(depth, 0) + 1
            mark = f"{numbers[depth]}. "
        yield "  " * depth + mark + text


def _pieces(element: _Element) -> Iterator[str]:
    for part in without_alternatives(element):
        kind = name(part)
        if kind == "t":
            yield part.text or ""
        elif kind == "br":
            yield "\n"
        elif kind == "oMath":
            yield formula_text(part)
        elif kind == "fld" and attribute(part, "type") == "slidenum":
            continue
        elif kind not in _PROPERTIES:
            yield from _pieces(part)


def _relation(element: _Element) -> str:
    """Return the relationship id; `id` without a namespace is another attribute."""
    found = (value for key, value in element.attrib.items() if key.endswith("}id"))
    return next(found, "")
