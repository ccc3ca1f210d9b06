"""What the cells of a notebook printed, as text.

An output often comes in several forms (MIME types). The plain one is taken, unless it only names
an object (`<IPython.core.display.HTML object>`) that another form shows.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any, cast

from allma_server.documents.readers import html
from allma_server.documents.readers.text import clean, is_blank
from allma_server.errors import UnreadableDocument

LONGEST_OUTPUT = 2000
"""Characters of a cell's outputs that are kept."""

_LONGEST_TRACEBACK = 1200
_LONGEST_HTML = 200_000
"""Characters of an HTML output that are looked at; interactive charts bring megabytes."""

_PLACEHOLDER = re.compile(
    r"\s*(?:<[\w.]+(?: \w+)* object(?: at 0x\w+)?>|<Figure size [^<>\n]*>)\s*"
)
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)")

# Format 3 had short names.
_OLD_NAMES = {
    "text": "text/plain",
    "html": "text/html",
    "latex": "text/latex",
    "json": "application/json",
    "svg": "image/svg+xml",
    "markdown": "text/markdown",
}


def printed(output: dict[str, Any]) -> str:
    """The text of an output; empty for pictures without a description, widgets and the like."""
    if "ename" in output:
        return _traceback(output)
    forms = as_object(output.get("data")) | {
        kind: output[old] for old, kind in _OLD_NAMES.items() if old in output
    }
    plain = as_seen(joined(forms.get("text/plain")))
    if not is_blank(plain) and not _PLACEHOLDER.fullmatch(plain):
        return plain
    return next(filter(None, _richer(forms, output.get("metadata"))), _named(plain, forms))


def as_seen(text: str) -> str:
    r"""What stays on a terminal: without colours, and without what `\r` wrote over."""
    if "\r" in text:
        lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
        text = "\n".join(lines)
    return clean(text)


def joined(value: object) -> str:
    """A multi-line string, which notebooks may store as a list of lines."""
    if isinstance(value, list):
        return "".join(map(joined, cast(list[object], value)))
    return value if isinstance(value, str) else ""


def as_object(value: object) -> dict[str, Any]:
    """`value`, or an empty object in the place of anything else."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _named(plain: str, forms: dict[str, Any]) -> str:
    """The name of an object that nothing else is known of; a picture shows it better."""
    return "" if any(kind.startswith("image/") for kind in forms) else plain


def _richer(forms: dict[str, Any], metadata: object) -> Iterator[str]:
    for kind, read in _READ.items():
        if kind in forms:
            yield read(forms[kind])
    for about in as_object(metadata).values():
        alt = joined(as_object(about).get("alt"))
        yield f"[Image: {alt}]" if alt else ""


def _html(value: object) -> str:
    try:
        source = joined(value)[:_LONGEST_HTML]
        return html.read(source.encode("utf-8", "replace"), PurePath("output.html")).text
    except UnreadableDocument:
        return ""  # nothing in it can be seen


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=1)
    return "" if text in ("{}", "[]", "null", '""') else text


def _latex(value: object) -> str:
    return joined(value).strip().strip("$").strip()


_READ: dict[str, Callable[[object], str]] = {
    "text/markdown": joined,
    "text/html": _html,
    "text/latex": _latex,
    "application/json": _json,
    "image/svg+xml": _html,
}


def _traceback(output: dict[str, Any]) -> str:
    """The error, and the end of the way to it."""
    error = f"{joined(output.get('ename'))}: {joined(output.get('evalue'))}"
    lines = output.get("traceback")
    frames = map(joined, cast(list[object], lines)) if isinstance(lines, list) else ()
    way = as_seen("\n".join(frames))
    if len(way) > _LONGEST_TRACEBACK:
        way = "…\n" + way[-_LONGEST_TRACEBACK:].partition("\n")[2]
    return f"{error}\n{way}" if error not in way else way
