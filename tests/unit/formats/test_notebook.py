import json
from pathlib import PurePath
from typing import Any

import pytest

from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.formats.notebook import NotebookReader
from allma_server.model import Extract


def read(notebook: object) -> Extract:
    return NotebookReader().read(json.dumps(notebook).encode(), PurePath("file.ipynb"))


def code(source: str | list[str], *outputs: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": list(outputs)}


def test_cells_are_sections_of_their_kind() -> None:
    extract = read(
        {
            "metadata": {"language_info": {"name": "Python"}, "title": "Study"},
            "cells": [
                {"cell_type": "markdown", "source": ["# Aim\n", "Count words."]},
                code(["import re\n", "re.findall('a', 'aa')"]),
            ],
        }
    )
    first, second = extract.sections
    assert (first.kind, first.heading, second.kind) == ("markdown", ("cell 1",), "code")
    assert second.language == "python"
    assert extract.text == "# Aim\nCount words.\n\nimport re\nre.findall('a', 'aa')"
    assert (extract.title, extract.metadata) == ("Study", {"cells": "2", "language": "python"})


def test_what_a_cell_printed_is_kept_and_its_pictures_are_not() -> None:
    extract = read(
        {
            "cells": [
                code(
                    "show()",
                    {"output_type": "stream", "text": ["line\n", "two"]},
                    {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo" * 99}},
                    {"output_type": "execute_result", "data": {"text/plain": "42"}},
                    {"ename": "KeyError", "evalue": "'x'", "traceback": ["\x1b[31mlong\x1b[0m"]},
                )
            ]
        }
    )
    section = extract.sections[1]
    assert section.heading == ("cell 1", "output")
    assert extract.text[section.start :] == "line\ntwo\n\n42\nKeyError: 'x'"


def test_a_long_output_is_cut() -> None:
    extract = read({"cells": [code("run()", {"text": "number 12345\n" * 5000})]})
    assert len(extract.text) < 2100
    assert extract.text.endswith("number 12345\n…")


def test_old_notebooks_keep_their_cells_in_worksheets() -> None:
    extract = read({"worksheets": [{"cells": [{"cell_type": "code", "input": "old = True"}]}]})
    assert extract.text == "old = True"


@pytest.mark.parametrize("notebook", [{}, [], 7, {"cells": "none"}, {"cells": [None, {}]}])
def test_a_notebook_without_cells_has_nothing_to_index(notebook: object) -> None:
    with pytest.raises(NothingToIndex):
        read(notebook)


@pytest.mark.parametrize("data", [b"{", b"[" * 100_000, b"text"])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableDocument, match="not valid JSON"):
        NotebookReader().read(data, PurePath("file.ipynb"))
