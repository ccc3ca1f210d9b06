"""What stands beside the cells of an .xlsx sheet: comments, text boxes, pictures and charts."""

from collections.abc import Iterator
from typing import Any

from allma_server.documents.readers.charts import chart_rows
from allma_server.documents.readers.docx_drawings import description
from allma_server.documents.readers.elements import attribute, child, children
from allma_server.documents.readers.zip_package import ZipPackage

_PLACEHOLDER = "[Threaded comment]"
"""How the copy of a comment begins that older versions of Excel show."""

_CHART_SHEET = "chartsheets/"

# lxml has no type annotations.
_Element = Any


def sheet_notes(package: ZipPackage, part: str) -> Iterator[str]:
    """Yield a line for each comment, with its cell, and the texts of drawings."""
    for comments in package.related(part, "comments"):
        for comment in children(package.root(comments), "commentList"):
            text = _text(child(comment, "text"))
            if not text.startswith(_PLACEHOLDER):
                yield f"{attribute(comment, 'ref')}: {text}"
    for comments in package.related(part, "threadedComment"):
        root = package.root(comments)
        for comment in root if root is not None else ():
            yield f"{attribute(comment, 'ref')}: {_text(child(comment, 'text'))}"
    for drawing in package.related(part, "drawing"):
        root = package.root(drawing)
        for each in root.iter("{*}cNvPr", "{*}txBody") if root is not None else ():
            alternative = description(each)
            if text := f"[Image: {alternative}]" if alternative else _text(each):
                yield text
        for chart in package.related(drawing, "chart"):
            rows = chart_rows(package.root(chart))
            # The values of a chart are those of cells, except on a sheet that is only a chart.
            yield from (" | ".join(row) for row in rows if len(row) == 1 or _CHART_SHEET in part)


def _text(element: _Element) -> str:
    if element is None:
        return ""
    return " ".join(" ".join(element.itertext("{*}t", "{*}text")).split())
