"""Jupyter notebooks: cells as sections, followed by their text outputs."""

import json
from dataclasses import replace
from pathlib import PurePath
from typing import cast

from allma_server.documents.builder import DocumentBuilder
from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.notebook_outputs import (
    MAX_OUTPUT,
    as_object,
    join_lines,
    output_text,
)
from allma_server.documents.readers.text import extract_plain_text
from allma_server.types import Extract, Section

# Untrusted JSON: any value may have any type.
_Json = dict[str, object]


def read(data: bytes, path: PurePath) -> Extract:
    """Read Markdown and code cells under the heading `cell N`, each followed by its text outputs.

    A file that is not JSON, such as one with merge conflict markers, is read as text, and its
    metadata says so.
    """
    text = decode(data)
    try:
        root = as_object(json.loads(text or "{}"))
    except (ValueError, RecursionError) as exc:
        notice = f"Read as plain text: it is not valid JSON ({exc})."
        return replace(extract_plain_text(text), metadata={"notice": notice})
    language = _language(root)
    # Notebook format 3 has cells in worksheets.
    cells = _objects(root.get("cells")) or [
        cell for sheet in _objects(root.get("worksheets")) for cell in _objects(sheet.get("cells"))
    ]
    document = DocumentBuilder()
    for number, cell in enumerate(cells, start=1):
        heading = (f"cell {number}",)
        source = join_lines(cell.get("source", cell.get("input")))
        if cell.get("cell_type") == "code":
            document.add_section(source, Section(0, 0, "code", heading, language=language))
        else:
            document.add_section(source, Section(0, 0, "markdown", heading))
        output = "\n".join(filter(None, map(output_text, _objects(cell.get("outputs")))))
        if len(output) > MAX_OUTPUT:
            output = output[:MAX_OUTPUT].rsplit("\n", 1)[0] + "\n…"
        document.add_section(output, Section(0, 0, "text", (*heading, "output")))
    return document.build(
        "The notebook has no text.",
        title=join_lines(as_object(root.get("metadata")).get("title")),
        metadata={"cells": str(len(cells)), "language": language or ""},
    )


def _language(root: _Json) -> str | None:
    metadata = as_object(root.get("metadata"))
    for key in ("language_info", "kernelspec"):
        known = as_object(metadata.get(key))
        if name := join_lines(known.get("name" if key == "language_info" else "language")):
            return name.lower()
    return None


def _objects(value: object) -> list[_Json]:
    return (
        [as_object(item) for item in cast(list[object], value)] if isinstance(value, list) else []
    )
