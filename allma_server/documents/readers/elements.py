"""Look into elements of XML.

Names of elements and attributes are compared without their namespace, because "strict" documents of
Office use another one.
"""

from collections.abc import Iterator
from typing import Any

# lxml has no type annotations.
_Element = Any


def name(element: _Element) -> str:
    """Return an element's name without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def child(element: _Element, wanted: str) -> _Element:
    """Return the first child of that name, or None."""
    return next((c for c in element if name(c) == wanted), None) if element is not None else None


def children(element: _Element, wanted: str) -> Iterator[_Element]:
    """Yield the elements in the first child of that name."""
    inside = child(element, wanted)
    yield from inside if inside is not None else ()


def attribute(element: _Element, wanted: str) -> str:
    """Return the value of an attribute in any namespace; empty when there is none."""
    if element is None:
        return ""
    return next((v for k, v in element.attrib.items() if k.rpartition("}")[2] == wanted), "")


def without_alternatives(element: _Element) -> Iterator[_Element]:
    """Yield the children of `element`; of alternatives for old and new programs only the first."""
    for part in element:
        if name(part) == "AlternateContent":
            yield from next(iter(part), ())
        else:
            yield part
