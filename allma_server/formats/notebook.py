"""Jupyter notebooks: cells as sections, with what they printed."""

import json
from pathlib import PurePath
from typing import Any, cast

from allma_server.errors import UnreadableDocument
from allma_server.formats.draft import Draft
from allma_server.formats.text import decode
from allma_server.model import Extract, Section

_LONGEST_OUTPUT = 2000

# A notebook is a stranger's JSON: nothing about its shape can be relied on.
_Json = dict[str, Any]


class NotebookReader:
    """Markdown and code cells under the heading `cell N`, each followed by its text outputs."""

    name = "notebook"
    suffixes = frozenset({".ipynb"})

    def read(self, data: bytes, path: PurePath) -> Extract:
        try:
            notebook = json.loads(decode(data) or "{}")
        except (ValueError, RecursionError) as exc:
            raise UnreadableDocument(f"The notebook is not valid JSON: {exc}.") from exc
        root = _object(notebook)
        language = _language(root)
        # Format 3 kept cells in worksheets.
        cells = _objects(root.get("cells")) or [
            cell
            for sheet in _objects(root.get("worksheets"))
            for cell in _objects(sheet.get("cells"))
        ]
        draft = Draft()
        for number, cell in enumerate(cells, start=1):
            heading = (f"cell {number}",)
            source = _text(cell.get("source", cell.get("input")))
            if cell.get("cell_type") == "code":
                draft.add(source, Section(0, 0, "code", heading, language=language))
            else:
                draft.add(source, Section(0, 0, "markdown", heading))
            printed = "\n".join(map(_printed, _objects(cell.get("outputs"))))
            if len(printed) > _LONGEST_OUTPUT:
                printed = printed[:_LONGEST_OUTPUT].rsplit("\n", 1)[0] + "\n…"
            draft.add(printed, Section(0, 0, "text", (*heading, "output")))
        return draft.extract(
            "The notebook has no text.",
            title=_text(_object(root.get("metadata")).get("title")),
            metadata={"cells": str(len(cells)), "language": language or ""},
        )


def _printed(output: _Json) -> str:
    """The text of an output; pictures, widgets and HTML that repeats the text are left out."""
    if "ename" in output:
        return f"{_text(output['ename'])}: {_text(output.get('evalue'))}"
    shown = _object(output.get("data")) or output
    return _text(shown.get("text") or shown.get("text/plain") or shown.get("text/markdown"))


def _language(root: _Json) -> str | None:
    metadata = _object(root.get("metadata"))
    for key in ("language_info", "kernelspec"):
        known = _object(metadata.get(key))
        if name := _text(known.get("name" if key == "language_info" else "language")):
            return name.lower()
    return None


def _object(value: object) -> _Json:
    return cast(_Json, value) if isinstance(value, dict) else {}


def _objects(value: object) -> list[_Json]:
    return [_object(item) for item in cast(list[object], value)] if isinstance(value, list) else []


def _text(value: object) -> str:
    """A multi-line string, which notebooks may store as a list of lines."""
    if isinstance(value, list):
        return "".join(map(_text, cast(list[object], value)))
    return value if isinstance(value, str) else ""
