"""The operators of a PDF page that matter to its text, read several times faster than pypdf does.

pypdf builds an object for every number of every line and curve, which is most of the time it
needs for a page. Syntax: ISO 32000-2, 7.2 to 7.3 (tokens), 8.9.7 (inline images), 9.4 (text).
"""

import re
from collections.abc import Callable
from typing import Any

Operation = tuple[list[Any], bytes]
"""Operands (float, bytes for strings, str for names, arrays) and the operator."""

_TEXT = frozenset(
    b"BT ET q Q cm Do Tc Td TD Tf Tj TJ TL Tm Tr Ts Tw Tz T* ' \"".split()
)  # fmt: skip

_INSIDE = rb"[^()\\]++|\\."
_STRING = rb"\((?:%b|\((?:%b|\((?:%b)*+\))*+\))*+\)" % (_INSIDE, _INSIDE, _INSIDE)
_TOKEN = re.compile(
    rb"(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?![^\s/\[\]()<>%%]))"
    rb"|(?P<operator>[A-Za-z'\"][A-Za-z0-9*'\"]*+)"
    rb"|(?P<string>%b)"
    rb"|(?P<hex><[0-9A-Fa-f\s]*+>)"
    rb"|(?P<name>/[^\s/\[\]()<>{}%%]*+)"
    rb"|(?P<open>\[)|(?P<close>\])"
    rb"|(?P<dictionary><<|>>)"
    rb"|%%[^\r\n]*+"
    rb"|(?P<odd>\S)" % _STRING,
    re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|(\r\n|.))", re.DOTALL)
_MEANING = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"} | {
    b"\n": b"", b"\r": b"", b"\r\n": b"",  # an escaped line break is none
}  # fmt: skip
_NAME_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")


def text_operations(content: bytes, array: Callable[[list[Any]], Any]) -> list[Operation] | None:
    """The operations of a content stream that can affect its text, in order.

    `array` makes the arrays. None when the stream holds what is not understood here, such as
    inline images or damage; it is better left to a full parser then.
    """
    operations: list[Operation] = []
    operands: list[tuple[str, bytes]] = []
    for match in _TOKEN.finditer(content):
        kind = match.lastgroup
        if kind == "operator":
            operator = match[0]
            if operator in _TEXT:
                operations.append((_values(operands, array), operator))
            elif operator == b"BI":
                return None
            operands.clear()
        elif kind == "odd":
            return None
        elif kind is not None:
            operands.append((kind, match[0]))
    return operations


def _values(operands: list[tuple[str, bytes]], array: Callable[[list[Any]], Any]) -> list[Any]:
    values: list[Any] = []
    outer: list[Any] | None = None
    for kind, token in operands:
        if kind == "number":
            values.append(float(token))
        elif kind == "string":
            values.append(_unescaped(token[1:-1]))
        elif kind == "hex":
            digits = bytes(c for c in token[1:-1] if c > 32)
            values.append(bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii")))
        elif kind == "name":
            plain = _NAME_ESCAPE.sub(lambda m: bytes.fromhex(m[1].decode("ascii")), token)
            values.append(plain.decode("utf-8", "surrogateescape"))
        elif kind == "open" and outer is None:
            outer, values = values, []
        elif kind == "close" and outer is not None:
            outer.append(array(values))
            outer, values = None, outer
    return values if outer is None else [*outer, array(values)]


def _unescaped(string: bytes) -> bytes:
    if b"\\" not in string:
        return string

    def meant(match: re.Match[bytes]) -> bytes:
        octal, char = match.groups()
        if octal:
            return bytes((int(octal, 8) & 0xFF,))
        return _MEANING.get(char, char)

    return _ESCAPE.sub(meant, string)
