"""The outputs of notebook cells as text.

An output often comes in several forms (MIME types). The plain one is used, unless it only names
an object (`<IPython.core.display.HTML object>`) that another form shows.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import cast

from allma_server.documents.readers import html
from allma_server.documents.readers.text import clean, is_blank
from allma_server.errors import UnreadableDocument

MAX_OUTPUT = 2000
"""Characters of a cell's outputs that are indexed."""

_MAX_TRACEBACK = 1200
_MAX_HTML = 200_000
"""Characters of an HTML output that are read; interactive charts have megabytes."""

_PLACEHOLDER = re.compile(
    r"\s*(?:<[\w.]+(?: \w+)* object(?: at 0x\w+)?>|<Figure size [^<>\n]*>)\s*"
)
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)")

# Notebook format 3 has short names.
_OLD_NAMES = {
    "text": "text/plain",
    "html": "text/html",
    "latex": "text/latex",
    "json": "application/json",
    "svg": "image/svg+xml",
    "markdown": "text/markdown",
}


def output_text(output: dict[str, object]) -> str:
    """Return the text of an output; empty for pictures without a description, widgets and so on."""
    if "ename" in output:
        return _traceback(output)
    forms = as_object(output.get("data")) | {
        kind: output[old] for old, kind in _OLD_NAMES.items() if old in output
    }
    plain = terminal_text(join_lines(forms.get("text/plain")))
    if not is_blank(plain) and not _PLACEHOLDER.fullmatch(plain):
        return plain
    return next(
        filter(None, _other_forms(forms, output.get("metadata"))), _object_name(plain, forms)
    )


def terminal_text(text: str) -> str:
    r"""Return what a terminal shows in the end: no colours, no text overwritten after `\r`."""
    if "\r" in text:
        lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
        text = "\n".join(lines)
    return clean(text)


def join_lines(value: object) -> str:
    """Return a multi-line string, which notebooks may store as a list of lines."""
    if isinstance(value, list):
        return "".join(map(join_lines, cast(list[object], value)))
    return value if isinstance(value, str) else ""


def as_object(value: object) -> dict[str, object]:
    """Return `value` if it is an object, else an empty one."""
    return cast(dict[str, object], value) if isinstance(value, dict) else {}


def _object_name(plain: str, forms: dict[str, object]) -> str:
    """Return the plain form, an object's name, unless the object is a picture."""
    return "" if any(kind.startswith("image/") for kind in forms) else plain


def _other_forms(forms: dict[str, object], metadata: object) -> Iterator[str]:
    for kind, read in _TEXT_OF_FORM.items():
        if kind in forms:
            yield read(forms[kind])
    for about in as_object(metadata).values():
        alt = join_lines(as_object(about).get("alt"))
        yield f"[Image: {alt}]" if alt else ""


def _html(value: object) -> str:
    try:
        source = join_lines(value)[:_MAX_HTML]
        return html.read(source.encode("utf-8", "replace"), PurePath("output.html")).text
    except UnreadableDocument:
        return ""  # it has no visible text


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=1)
    return "" if text in ("{}", "[]", "null", '""') else text


def _latex(value: object) -> str:
    return join_lines(value).strip().strip("$").strip()


_TEXT_OF_FORM: dict[str, Callable[[object], str]] = {
    "text/markdown": join_lines,
    "text/html": _html,
    "text/latex": _latex,
    "application/json": _json,
    "image/svg+xml": _html,
}


def _traceback(output: dict[str, object]) -> str:
    """Return the error and the end of its traceback."""
    error = f"{join_lines(output.get('ename'))}: {join_lines(output.get('evalue'))}"
    lines = output.get("traceback")
    frames = map(join_lines, cast(list[object], lines)) if isinstance(lines, list) else ()
    trace = terminal_text("\n".join(frames))
    if len(trace) > _MAX_TRACEBACK:
        trace = "…\n" + trace[-_MAX_TRACEBACK:].partition("\n")[2]
    return f"{error}\n{trace}" if error not in trace else trace
