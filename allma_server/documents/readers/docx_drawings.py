"""Text of drawings in Word documents: descriptions of pictures, symbols."""

import re
from typing import Any

from allma_server.documents.readers.elements import attribute

# lxml has no type annotations.
_Element = Any

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
