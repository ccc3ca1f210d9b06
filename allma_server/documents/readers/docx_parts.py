"""What the XML of a Word document means: plain names, styles, and list labels.

Names of elements and attributes are compared without their namespace, because "strict" documents
have another one.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# lxml has no types of its own.
_Element = Any

PASSED_OVER = frozenset("del moveFrom instrText delText rPr pPr rt tblPr trPr tcPr sectPr".split())
"""Elements without text of their own, or with text that is not (or no longer) shown."""

_HEADING = re.compile(r"heading (\d)$", re.IGNORECASE)
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l")) + (
    (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_PLACE = re.compile(r"%(\d)")
_DEEPEST = 9


def name(element: _Element) -> str:
    """An element's name without its namespace, which "strict" documents choose differently."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def child(element: _Element, wanted: str) -> _Element:
    """The first child of that name, or None."""
    return next((c for c in element if name(c) == wanted), None) if element is not None else None


def attribute(element: _Element, wanted: str) -> str:
    """The value of an attribute, whatever its namespace; empty when there is none."""
    if element is None:
        return ""
    return next((v for k, v in element.attrib.items() if k.rpartition("}")[2] == wanted), "")


def value(element: _Element, wanted: str) -> str:
    """What a property element says: the `val` of the child of that name."""
    return attribute(child(element, wanted), "val")


def chosen(element: _Element) -> Iterator[_Element]:
    """The children of `element`; of alternatives for old and new programs only the first."""
    for part in element:
        if name(part) == "AlternateContent":
            yield from next(iter(part), ())
        else:
            yield part


def shown(container: _Element) -> Iterator[tuple[_Element, str]]:
    """Paragraphs, tables and cells in `container`, also those inside of content controls."""
    for part in chosen(container if container is not None else ()):
        kind = name(part)
        if kind in ("p", "tbl", "tc"):
            yield part, kind
        elif kind not in PASSED_OVER:
            yield from shown(part)


def rows_of(table: _Element) -> Iterator[_Element]:
    """The rows of `table` that were not deleted."""
    for part in chosen(table):
        kind = name(part)
        if kind == "tr" and child(child(part, "trPr"), "del") is None:
            yield part
        elif kind in ("sdt", "sdtContent", "customXml", "ins"):
            yield from rows_of(part)


# --- styles ---


@dataclass(frozen=True, slots=True)
class Style:
    """What a paragraph style says about structure; numbers as in the file, empty if unsaid."""

    level: str = ""
    list: str = ""
    list_level: str = ""
    is_title: bool = False


def paragraph_styles(root: _Element) -> dict[str, Style]:
    """Styles by their id, with what they inherit."""
    elements = {
        attribute(e, "styleId"): e for e in (root if root is not None else ()) if name(e) == "style"
    }
    found: dict[str, Style] = {}

    def resolved(identity: str) -> Style:
        if identity in found or identity not in elements:
            return found.get(identity, Style())
        found[identity] = Style()  # what a style that is based on itself inherits
        element = elements[identity]
        properties = child(element, "pPr")
        listed = child(properties, "numPr")
        called = value(element, "name").lower()
        heading = _HEADING.match(called)
        parent = resolved(value(element, "basedOn"))
        found[identity] = Style(
            value(properties, "outlineLvl")
            or (str(int(heading[1]) - 1) if heading else parent.level),
            value(listed, "numId") or parent.list,
            value(listed, "ilvl") or parent.list_level,
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
    """Counts list items as Word does, from the `numbering` part of a document."""

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
            number, shared = attribute(num, "numId"), value(num, "abstractNumId")
            levels = _levels(abstract.get(shared))
            restarts = False
            for override in num:
                if name(override) == "lvlOverride":
                    restarts = True
                    levels |= _levels(override)
                    at = _integer(attribute(override, "ilvl"), 0)
                    start = _integer(value(override, "startOverride"), 1)
                    known = levels.get(at, _Level("decimal", f"%{at + 1}.", 1))
                    levels[at] = _Level(known.format, known.text, start)
            self._levels[number] = levels
            # Lists of one abstract definition go on counting where the other stopped.
            self._lists[number] = number if restarts else f"shared {shared}"

    def next(self, number: str, at: int) -> str:
        """The label of the next item of the list `number` at level `at`, counted from 0."""
        levels = self._levels.get(number)
        if not levels or (level := levels.get(at)) is None:
            return ""
        if level.format in ("bullet", "none"):
            return "-" if level.format == "bullet" else ""
        counts = self._counts[self._lists[number]]
        counts[at] = counts.get(at, level.start - 1) + 1
        for deeper in range(at + 1, _DEEPEST):
            counts.pop(deeper, None)

        def counted(match: re.Match[str]) -> str:
            place = int(match[1]) - 1
            shown = levels.get(place, level)
            return _numeral(counts.get(place, shown.start), shown.format)

        return _PLACE.sub(counted, level.text)


def _levels(definition: _Element) -> dict[int, _Level]:
    return {
        _integer(attribute(e, "ilvl"), 0): _Level(
            value(e, "numFmt") or "decimal", value(e, "lvlText"), _integer(value(e, "start"), 1)
        )
        for e in (definition if definition is not None else ())
        if name(e) == "lvl"
    }


def _integer(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else default


def _numeral(count: int, format: str) -> str:
    if format in ("lowerLetter", "upperLetter") and count > 0:
        letter = chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 % 10 + 1)
        return letter.upper() if format == "upperLetter" else letter
    if format in ("lowerRoman", "upperRoman") and 0 < count < 4000:
        roman = ""
        for worth, sign in _ROMAN:
            roman += sign * (count // worth)
            count %= worth
        return roman.upper() if format == "upperRoman" else roman
    return str(count)
