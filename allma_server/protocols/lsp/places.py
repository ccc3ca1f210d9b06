"""Where an editor opens a source: in its file, or in the text that was extracted from it."""

from pathlib import Path

from lsprotocol import types

from allma_server.operations.read import PLAIN_FORMATS
from allma_server.types import MessageSource, Passage, format_of


def place_of(source: Passage | MessageSource, line: int, *, opens_texts: bool) -> types.Location:
    """Return the location of a line of a source.

    Only a plain-text file has the lines of its passages. Of others, the read-only text is opened,
    if the editor can, and else the file at its beginning.
    """
    if is_plain(source.path):
        return types.Location(_file(source.path), _line(line))
    if opens_texts:
        return types.Location(f"allma://document/{source.document_id}", _line(line))
    return types.Location(_file(source.path), _line(1))


def is_plain(path: str) -> bool:
    """Return whether the lines of a file are those of its text."""
    return format_of(path) in PLAIN_FORMATS


def _file(path: str) -> str:
    return Path(path).as_uri()


def _line(number: int) -> types.Range:
    at = types.Position(max(number, 1) - 1, 0)
    return types.Range(at, at)
