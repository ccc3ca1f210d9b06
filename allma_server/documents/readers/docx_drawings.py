"""Text of drawings in Word documents: charts as tables, descriptions of pictures, symbols."""

import re
from collections.abc import Iterator
from typing import Any

from allma_server.documents.readers.elements import attribute, child, name

# lxml has no type annotations.
_Element = Any

_MAX_POINTS = 1000
"""Points of a series that are indexed."""

_FILE_NAME = re.compile(
    r"\S+\.(?:png|jpe?g|gif|bmp|emf|wmf|tiff?|svg)|(?:Picture|Image) ?\d+", re.I
)
_GENERATED = re.compile(
    r"\s*(?:Description automatically generated(?: with \w+ confidence)?"
    r"|AI-generated content may be incorrect\.)\s*$"
)

_SYMBOLS = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\xa3\xa5\xae\xb0\xb1\xb3\xb4\xb9\xbb",
        "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖαβχδεφγηιϕκλμνοπθρστυϖωξψζ≤∞→°±≥×≠≈",
        strict=True,
    )
)
"""Characters of the font Symbol, and the characters that they look like."""


def symbol(element: _Element) -> str:
    """Return the character of a `sym` element; empty for pictograms of other symbol fonts."""
    try:
        code = int(attribute(element, "char"), 16)
    except ValueError:
        return ""
    if 0xF000 <= code <= 0xF0FF:
        is_symbol = attribute(element, "font").lower() == "symbol"
        return _SYMBOLS.get(chr(code - 0xF000), "") if is_symbol else ""
    return chr(code) if code < 0xD800 or 0xE000 <= code < 0x110000 else ""


def description(element: _Element) -> str:
    """Return the alternative text of a drawing; empty if it is only a generated file name."""
    return described(attribute(element, "descr") or attribute(element, "alt"))


def described(text: str) -> str:
    """Return an alternative text; empty if it is only a generated file name."""
    text = _GENERATED.sub("", " ".join(text.split()))
    return "" if _FILE_NAME.fullmatch(text) else text


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


_LABELS, _VALUES = ("cat", "xVal"), ("val", "yVal")


def _column(series: _Element) -> tuple[str, list[str]]:
    """Return the name of a series and its values."""
    called = child(series, "tx")
    texts = called.iter("{*}v", "{*}t") if called is not None else ()
    return "".join(part.text or "" for part in texts), _points(series, _VALUES)


def _points(series: _Element, kinds: tuple[str, ...]) -> list[str]:
    """Return the values of a series in order; missing ones are empty."""
    source = next((part for part in series if name(part) in kinds), None)
    values: dict[int, str] = {}
    for point in source.iter("{*}pt") if source is not None else ():
        index = attribute(point, "idx")
        text = child(point, "v")
        if index.isascii() and index.isdigit() and len(index) < 7 and text is not None:
            # Multi-level categories have several texts for a point, the innermost first.
            values.setdefault(int(index), text.text or "")
    highest = min(max(values, default=-1), _MAX_POINTS)
    return [values.get(i, "") for i in range(highest + 1)]
