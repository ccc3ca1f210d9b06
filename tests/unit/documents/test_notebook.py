import json
from pathlib import PurePath
from typing import Any

import pytest

from allma_server.documents.readers import notebook as notebook_reader
from allma_server.errors import NothingToIndex
from allma_server.types import Extract


def read(notebook: object) -> Extract:
    return notebook_reader.read(json.dumps(notebook).encode(), PurePath("file.ipynb"))


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


def test_printed_output_is_kept_without_pictures() -> None:
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
    assert extract.text[section.start :] == "line\ntwo\n42\nKeyError: 'x'\nlong"


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


CONFLICT = """{
 "cells": [
<<<<<<< HEAD
  {"cell_type": "code", "source": ["ours = 1\\n"]}
=======
  {"cell_type": "code", "source": ["theirs = 2\\n"]}
>>>>>>> branch
 ]
}
"""


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (CONFLICT.encode(), "theirs = 2"),
        (b'{"cells": [{"source": "half a note', "half a note"),
        (b"not a notebook at all", "not a notebook"),
        (b"[" * 100_000, "[["),
    ],
)
def test_invalid_json_is_read_as_text_with_a_notice(data: bytes, kept: str) -> None:
    extract = notebook_reader.read(data, PurePath("file.ipynb"))
    assert kept in extract.text
    assert "not valid JSON" in extract.metadata["notice"]


HTML_OBJECT = {"text/plain": ["<IPython.core.display.HTML object>"]}
FIGURE = {"text/plain": "<Figure size 640x480 with 1 Axes>", "image/png": "iVBORw0KGgo="}


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ({"data": {"text/html": "<b>48 ferries</b><script>no()</script>"}}, "48 ferries"),
        ({"data": HTML_OBJECT | {"text/html": ["<p>of the", " harbour</p>"]}}, "of the harbour"),
        ({"data": {"text/latex": "$\\displaystyle x^{2}$"}}, "\\displaystyle x^{2}"),
        ({"data": {"application/json": {"port": 8080}}}, '{\n "port": 8080\n}'),
        ({"data": {"text/markdown": "**bold**", "text/html": "<b>bold</b>"}}, "**bold**"),
        ({"data": {"text/plain": "a  b", "text/html": "<table></table>"}}, "a  b"),
        ({"data": {"image/svg+xml": "<svg><text>north</text></svg>"}}, "north"),
        ({"data": FIGURE}, ""),
        ({"data": FIGURE, "metadata": {"image/png": {"alt": "A map"}}}, "[Image: A map]"),
        (
            {"data": {"text/plain": "<__main__.Ship object at 0x7f>"}},
            "<__main__.Ship object at 0x7f>",
        ),
        ({"output_type": "pyout", "html": "<i>old</i>", "metadata": {}}, "old"),
        ({"text": "\x1b[0;31mred\x1b[0m"}, "red"),
        ({"text": " 10%|#\r 50%|###\r100%|#####\ndone\r\n"}, "100%|#####\ndone"),
        ({"data": {"text/plain": 7, "text/html": {"a": 1}}}, ""),
    ],
)
def test_an_output_is_the_visible_representation(output: dict[str, Any], text: str) -> None:
    extract = read({"cells": [code("run()", output)]})
    assert extract.text.removeprefix("run()").strip() == text


def test_the_end_of_a_traceback_is_kept() -> None:
    way = ["\x1b[31mValueError\x1b[0m", *(f"frame {i}" for i in range(500)), "ValueError: no"]
    output = {"ename": "ValueError", "evalue": "no", "traceback": way}
    extract = read({"cells": [code("run()", output)]})
    assert "frame 499" in extract.text and "\x1b" not in extract.text
    assert extract.text.endswith("ValueError: no") and len(extract.text) < 1300
