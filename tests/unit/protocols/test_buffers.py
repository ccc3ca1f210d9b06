"""An open document after any edits is what the editor has."""

import random
import re

import pytest
from lsprotocol import types

from allma_server.protocols.lsp.buffers import Buffer
from tests.seeds import seeds

PIECES = [
    "a",
    "word ",
    "\n",
    "\r\n",
    "\r",
    "\n\n",
    "\u2028",
    "\f",
    "é",
    "\N{SNOWFLAKE}",
    "\U0001f600",
    "",
]


def offset(text: str, position: types.Position) -> int:
    """The index of a position, counted from the beginning of the text."""
    lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)
    if position.line >= len(lines):
        return len(text)
    line = lines[position.line].rstrip("\r\n")
    before = line.encode("utf-16-le")[: 2 * position.character].decode("utf-16-le", "ignore")
    return sum(map(len, lines[: position.line])) + len(before)


def buffer(text: str) -> Buffer:
    return Buffer("file:///a.md", source=text, version=1)


@pytest.mark.seeds
@pytest.mark.parametrize("seed", seeds(100, 10_000))
def test_edits_anywhere_make_the_same_text(seed: int) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choices(PIECES, k=chance.randrange(20)))
    edited = buffer(text)
    for _ in range(20):
        places = [types.Position(chance.randrange(8), chance.randrange(6)) for _ in range(2)]
        new = "".join(chance.choices(PIECES, k=chance.randrange(4)))
        edited.apply_change(types.TextDocumentContentChangePartial(types.Range(*places), new))
        start, end = sorted(offset(text, place) for place in places)
        text = text[:start] + new + text[end:]
        if chance.random() < 0.5:
            assert edited.source == text
    assert edited.source == text


def test_a_whole_text_replaces_what_was_edited() -> None:
    edited = buffer("one\ntwo\n")
    start = types.Position(1, 0)
    edited.apply_change(types.TextDocumentContentChangePartial(types.Range(start, start), "x"))
    edited.apply_change(types.TextDocumentContentChangeWholeDocument("three"))
    assert edited.source == "three" and edited.lines == ("three",)
