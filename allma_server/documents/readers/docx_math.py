"""Formulas of Word documents (OMML, ECMA-376 part 1, 22.1) as text on one line.

The notation is what people type: `x^2`, `a_i`, `(a+b)/c`, `√(x+1)`, `∑_(i=1)^n x_i`. Brackets are
added only where the line would be ambiguous without them.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from allma_server.documents.readers.docx_parts import IGNORED_ELEMENTS
from allma_server.documents.readers.elements import attribute, child, name

# lxml has no type annotations.
_Element = Any

_ATOM = re.compile(r"\w|[\d.,]*\d|[^\W\d_]{3,}|[^\w\s]|\S[\u0300-\u036f]")
_BASE = re.compile("[\\w.,\u2032'\u0300-\u036f]*")
_NUMERATOR = re.compile(r"[^\s+\-\u2212\u00b1=<>,;/|&]+")
_SIGNED = re.compile(r"[-+\u2212\u2013](?:[\d.,]*\d|\w)|\w|[\d.,]*\d|[^\w\s]")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_ROOTS = {"": "√", "2": "√", "3": "∛", "4": "∜"}
_COMBINING_CIRCUMFLEX, _COMBINING_OVERLINE = "\u0302", "\u0305"


def formula_text(formula: _Element) -> str:
    """Return the text of an `oMath` element, or of an element in one."""
    return "".join(_pieces(formula)).strip()


def _pieces(element: _Element) -> Iterator[str]:
    for part in element:
        kind = name(part)
        if kind == "t":
            yield part.text or ""
        elif kind in _TEXT_OF_ELEMENT:
            yield _TEXT_OF_ELEMENT[kind](part)
        elif not kind.endswith("Pr") and kind not in IGNORED_ELEMENTS:
            yield from _pieces(part)


def _inside(element: _Element, wanted: str) -> str:
    part = child(element, wanted)
    return formula_text(part) if part is not None else ""


def _property(element: _Element, wanted: str, default: str = "") -> str:
    """Return a property of an element, `default` if it is missing (not if it is empty)."""
    properties = next((c for c in element if name(c).endswith("Pr")), None)
    found = child(properties, wanted)
    return attribute(found, "val") if found is not None else default


# --- brackets -----------------------------------------------------------------------------------


def _in_brackets(text: str, plain: re.Pattern[str] = _ATOM) -> str:
    """Return `text` in brackets, unless it is unambiguous without them."""
    return text if not text or plain.fullmatch(text) or _is_bracketed(text) else f"({text})"


def _is_bracketed(text: str) -> bool:
    closing = _CLOSING.get(text[0])
    if closing is None or text[-1] != closing:
        return False
    depth = 0
    for at, char in enumerate(text):
        depth += (char == text[0]) - (char == closing)
        if depth == 0:
            return at == len(text) - 1
    return False


def _superscript(text: str) -> str:
    return f"^{_in_brackets(text, _SIGNED)}" if text else ""


def _subscript(text: str) -> str:
    return f"_{_in_brackets(text)}" if text else ""


# --- elements -----------------------------------------------------------------------------------


def _fraction(element: _Element) -> str:
    above, below = _inside(element, "num"), _inside(element, "den")
    if _property(element, "type") == "noBar":
        return f"binom({above}, {below})"
    return f"{_in_brackets(above, _NUMERATOR)}/{_in_brackets(below)}"


def _script(element: _Element) -> str:
    base = _inside(element, "e")
    return (
        _in_brackets(base, _BASE)
        + _subscript(_inside(element, "sub"))
        + _superscript(_inside(element, "sup"))
    )


def _script_before(element: _Element) -> str:
    below, above = _inside(element, "sub"), _inside(element, "sup")
    return _subscript(below) + _superscript(above) + _inside(element, "e")


def _root(element: _Element) -> str:
    hidden = _property(element, "degHide", "0") not in ("0", "off", "false")
    degree = "" if hidden else _inside(element, "deg")
    return _ROOTS.get(degree, f"√[{degree}]") + _in_brackets(_inside(element, "e"))


def _sum(element: _Element) -> str:
    sign = _property(element, "chr", "∫")
    limits = _subscript(_inside(element, "sub")) + _superscript(_inside(element, "sup"))
    return f"{sign}{limits} {_inside(element, 'e')}"


def _in_delimiters(element: _Element) -> str:
    parts = [part for part in element if name(part) == "e"]
    inside = _property(element, "sepChr", "|").join(map(formula_text, parts))
    if len(parts) == 1 and _only_child(parts[0]) == "m":
        inside = inside[1:-1]  # the text of a matrix has brackets already
    return f"{_property(element, 'begChr', '(')}{inside}{_property(element, 'endChr', ')')}"


def _only_child(element: _Element) -> str:
    kinds = [name(part) for part in element if not name(part).endswith("Pr")]
    return kinds[0] if len(kinds) == 1 else ""


def _matrix(element: _Element) -> str:
    rows = [row for row in element if name(row) == "mr"]
    cells = (", ".join(formula_text(cell) for cell in row if name(cell) == "e") for row in rows)
    return f"[{'; '.join(cells)}]"


def _equations(element: _Element) -> str:
    return "; ".join(formula_text(part) for part in element if name(part) == "e").replace("&", "")


def _function(element: _Element) -> str:
    called, argument = _inside(element, "fName"), _inside(element, "e")
    return f"{called}{argument}" if argument[:1] in _CLOSING else f"{called} {argument}"


def _limit_below(element: _Element) -> str:
    return _inside(element, "e") + _subscript(_inside(element, "lim"))


def _limit_above(element: _Element) -> str:
    return _inside(element, "e") + _superscript(_inside(element, "lim"))


def _with_accent(element: _Element) -> str:
    below = _inside(element, "e")
    return below + _property(element, "chr", _COMBINING_CIRCUMFLEX) if len(below) == 1 else below


def _overlined(element: _Element) -> str:
    below = _inside(element, "e")
    return below + _COMBINING_OVERLINE if len(below) == 1 else below


def _phantom(element: _Element) -> str:
    hidden = _property(element, "show", "1") in ("0", "off", "false")
    return "" if hidden else _inside(element, "e")


_TEXT_OF_ELEMENT: dict[str, Callable[[_Element], str]] = {
    "f": _fraction,
    "sSup": _script,
    "sSub": _script,
    "sSubSup": _script,
    "sPre": _script_before,
    "rad": _root,
    "nary": _sum,
    "d": _in_delimiters,
    "m": _matrix,
    "eqArr": _equations,
    "func": _function,
    "limLow": _limit_below,
    "limUpp": _limit_above,
    "acc": _with_accent,
    "bar": _overlined,
    "phant": _phantom,
}
