"""Interpret the XML of a Word document: element names, styles, and list labels.

Names are compared as in `elements.py`.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from allma_server.documents.readers.elements import attribute, child, name, without_alternatives
from allma_server.documents.readers.numerals import numeral

# lxml has no type annotations.
_Element = Any

IGNORED_ELEMENTS = frozenset(
    "del moveFrom instrText delText rPr pPr rt tblPr trPr tcPr sectPr".split()
)
"""Elements without text, or with text that is not visible (deleted, moved away, instructions)."""

_HEADING = re.compile(r"heading (\d)$", re.IGNORECASE)
_NUMERALS = {"lowerLetter": "a", "upperLetter": "A", "lowerRoman": "i", "upperRoman": "I"}
_LEVEL_REFERENCE = re.compile(r"%(\d)")
_MAX_LEVELS = 9


def property_value(element: _Element, wanted: str) -> str:
    """Return the `val` attribute of the child of that name."""
    return attribute(child(element, wanted), "val")


def visible_blocks(container: _Element) -> Iterator[tuple[_Element, str]]:
    """Yield paragraphs, tables and cells in `container`, also those inside content controls."""
    for part in without_alternatives(container if container is not None else ()):
        kind = name(part)
        if kind in ("p", "tbl", "tc"):
            yield part, kind
        elif kind not in IGNORED_ELEMENTS:
            yield from visible_blocks(part)


def rows_of(table: _Element) -> Iterator[_Element]:
    """Yield the rows of `table` that are not deleted."""
    for part in without_alternatives(table):
        kind = name(part)
        if kind == "tr" and child(child(part, "trPr"), "del") is None:
            yield part
        elif kind in ("sdt", "sdtContent", "customXml", "ins"):
            yield from rows_of(part)


# --- styles ---


@dataclass(frozen=True, slots=True)
class Style:
    """The structural properties of a paragraph style; values as in the file, empty if unset."""

    level: str = ""
    list: str = ""
    list_level: str = ""
    is_title: bool = False


def paragraph_styles(root: _Element) -> dict[str, Style]:
    """Return styles by id, with inherited properties."""
    elements = {
        attribute(e, "styleId"): e for e in (root if root is not None else ()) if name(e) == "style"
    }
    found: dict[str, Style] = {}

    def resolved(identity: str) -> Style:
        if identity in found or identity not in elements:
            return found.get(identity, Style())
        found[identity] = Style()  # ends the recursion of a style that is based on itself
        element = elements[identity]
        properties = child(element, "pPr")
        listed = child(properties, "numPr")
        called = property_value(element, "name").lower()
        heading = _HEADING.match(called)
        parent = resolved(property_value(element, "basedOn"))
        found[identity] = Style(
            property_value(properties, "outlineLvl")
            or (str(int(heading[1]) - 1) if heading else parent.level),
            property_value(listed, "numId") or parent.list,
            property_value(listed, "ilvl") or parent.list_level,
            called == "title" or parent.is_title,
        )
        return found[identity]

    return {identity: resolved(identity) for identity in elements}


# --- list labels ---


@dataclass(frozen=True, slots=True)
class _Level:
    format: str
    text: str
    start: int


class ListLabels:
    """Counts list items as Word does, by the `numbering` part of a document."""

    def __init__(self, numbering: _Element) -> None:
        self._levels: dict[str, dict[int, _Level]] = {}
        self._lists: dict[str, str] = {}
        self._counts: dict[str, dict[int, int]] = defaultdict(dict)
        if numbering is None:
            return
        abstract = {attribute(e, "abstractNumId"): e for e in numbering if name(e) == "abstractNum"}
        for num in numbering:
            if name(num) != "num":
                continue
            number, shared = attribute(num, "numId"), property_value(num, "abstractNumId")
            levels = _levels(abstract.get(shared))
            restarts = False
            for override in num:
                if name(override) == "lvlOverride":
                    restarts = True
                    levels |= _levels(override)
                    at = _integer(attribute(override, "ilvl"), 0)
                    start = _integer(property_value(override, "startOverride"), 1)
                    known = levels.get(at, _Level("decimal", f"%{at + 1}.", 1))
                    levels[at] = _Level(known.format, known.text, start)
            self._levels[number] = levels
            # Lists that share an abstract definition continue each other's numbers.
            self._lists[number] = number if restarts else f"shared {shared}"

    def next(self, number: str, at: int) -> str:
        """Return the label of the next item of list `number` at level `at`, counted from 0."""
        levels = self._levels.get(number)
        if not levels or (level := levels.get(at)) is None:
            return ""
        if level.format in ("bullet", "none"):
            return "-" if level.format == "bullet" else ""
        counts = self._counts[self._lists[number]]
        counts[at] = counts.get(at, level.start - 1) + 1
        for deeper in range(at + 1, _MAX_LEVELS):
            counts.pop(deeper, None)

        def number_of(match: re.Match[str]) -> str:
            depth = int(match[1]) - 1
            referenced = levels.get(depth, level)
            count = counts.get(depth, referenced.start)
            return numeral(count, _NUMERALS.get(referenced.format, "1"))

        return _LEVEL_REFERENCE.sub(number_of, level.text)


def _levels(definition: _Element) -> dict[int, _Level]:
    return {
        _integer(attribute(e, "ilvl"), 0): _Level(
            property_value(e, "numFmt") or "decimal",
            property_value(e, "lvlText"),
            _integer(property_value(e, "start"), 1),
        )
        for e in (definition if definition is not None else ())
        if name(e) == "lvl"
    }


def _integer(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else default
