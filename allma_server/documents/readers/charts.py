"""Charts of Office documents as tables: titles, categories, and a column for each series."""

from collections.abc import Iterator
from typing import Any

from allma_server.documents.readers.elements import attribute, child, name
from allma_server.documents.readers.number_format import number_format

_MAX_POINTS = 1000
"""Points of a series that are indexed."""

_LABELS, _VALUES = ("cat", "xVal"), ("val", "yVal")

# lxml has no type annotations.
_Element = Any


def chart_rows(chart: _Element) -> Iterator[list[str]]:
    """Yield titles, each as a row, then the categories with one column for each series."""
    for title in chart.iter("{*}title"):
        if text := "".join(part.text or "" for part in title.iter("{*}t", "{*}v")):
            yield [text]
    series = list(chart.iter("{*}ser", "{*}series"))
    columns = [_column(one) for one in series]
    if not columns:
        return
    labels = max((_points(one, _LABELS) for one in series), key=len)
    if any(name for name, _ in columns):
        yield ["", *(name for name, _ in columns)]
    for row in range(min(_MAX_POINTS, max(len(values) for _, values in columns))):
        cells = [values[row] if row < len(values) else "" for _, values in columns]
        yield [labels[row] if row < len(labels) else "", *cells]


def _column(series: _Element) -> tuple[str, list[str]]:
    """Return the name of a series and its values."""
    called = child(series, "tx")
    texts = called.iter("{*}v", "{*}t") if called is not None else ()
    return "".join(part.text or "" for part in texts), _points(series, _VALUES)


def _points(series: _Element, kinds: tuple[str, ...]) -> list[str]:
    """Return the texts of a series in order; missing ones are empty.

    Categories of several levels are joined, the outermost first, which holds until the next one.
    """
    source = next((part for part in series if name(part) in kinds), None)
    if source is None:
        return []
    levels = [_level(each) for each in source.iter("{*}lvl")] or [_level(source)]
    count = 1 + min(max((max(level, default=-1) for level in levels), default=-1), _MAX_POINTS)
    texts = [levels[0].get(at, "") for at in range(count)]
    for level in levels[1:]:
        outer = ""
        for at in range(count):
            outer = level.get(at, outer)
            texts[at] = f"{outer} {texts[at]}".strip()
    return texts


def _level(source: _Element) -> dict[int, str]:
    """Return the texts below an element by their index."""
    code = next((each.text for each in source.iter("{*}formatCode")), None)
    found: dict[int, str] = {}
    for point in source.iter("{*}pt"):
        index, text = attribute(point, "idx"), child(point, "v")
        if index.isascii() and index.isdigit() and len(index) < 7 and text is not None:
            found.setdefault(int(index), _shown(text.text or "", code))
    return found


def _shown(text: str, code: str | None) -> str:
    """Return a number as its format shows it; without one, it is text."""
    if code is None:
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    shown_as = number_format(code)
    return shown_as.shown(value) if shown_as and abs(value) < 1e15 else f"{value:.15g}"
