"""Convert between database rows and the types of `allma_server.types`."""

import json
import re
import sqlite3
from collections.abc import Iterable
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from allma_server.errors import DataDamaged
from allma_server.types import Chunk, Document

_SURROGATES = re.compile("[\ud800-\udfff]")
_MOVED = re.compile("[\U000f0000-\U000f07ff]")
_OFFSET = 0xF0000 - 0xD800


def stored_path(path: str) -> str:
    """Return a path as SQLite can store it.

    A file name that is not UTF-8 is a string with lone surrogates, which have no UTF-8 form; they
    are moved to a private range, from which `shown_path` restores them.
    """
    if path.isascii():
        return path
    return _SURROGATES.sub(lambda m: chr(ord(m[0]) + _OFFSET), path)


def shown_path(path: str) -> str:
    """Return a stored path as the operating system knows it."""
    if path.isascii():
        return path
    return _MOVED.sub(lambda m: chr(ord(m[0]) - _OFFSET), path)


def storable(text: str) -> str:
    """Replace lone surrogates, which no encoding can represent."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def as_json(values: Iterable[int] | Iterable[str]) -> str:
    """Return a list as one SQL value for `json_each`: one statement serves every length."""
    return json.dumps(list(values))


def texts(stored: str) -> list[str]:
    """Return a stored list of texts.

    Raises:
        DataDamaged: it is something else.
    """
    listed = _read(stored)
    if not isinstance(listed, list):
        raise _damaged_row()
    return cast(list[str], listed)


def text_by_name(stored: str) -> dict[str, str]:
    """Return a stored object of texts.

    Raises:
        DataDamaged: it is something else.
    """
    if stored == "{}":
        return {}  # most documents; a run reads all of them
    read = _read(stored)
    if not isinstance(read, dict):
        raise _damaged_row()
    return cast(dict[str, str], read)


def _read(stored: str) -> Any:
    try:
        return json.loads(stored)
    except (TypeError, ValueError) as exc:
        raise _damaged_row() from exc


def _damaged_row() -> DataDamaged:
    return DataDamaged("The database is damaged: a row holds what Allma never writes.")


_FIELDS = [field.name for field in fields(Document)]
_PATH, _METADATA = map(_FIELDS.index, ("path", "metadata"))

DOCUMENT = ", ".join(f"d.{name}" for name in _FIELDS)
"""The columns of `documents d` that `document` reads."""


def document(row: sqlite3.Row) -> Document:
    """Return the document of a row with the columns `DOCUMENT`."""
    # A run reads all documents; looking up each column by its name takes twice as long.
    values: list[Any] = list(row)
    values[_PATH] = shown_path(values[_PATH])
    values[_METADATA] = text_by_name(values[_METADATA])
    return Document(*values)


def chunk(row: sqlite3.Row) -> Chunk:
    """Return the chunk of a row of `chunks`."""
    return Chunk(
        index=row["chunk_index"],
        text=row["text"],
        start=row["start_offset"],
        end=row["end_offset"],
        start_line=row["start_line"],
        end_line=row["end_line"],
        page=row["page"],
        heading=tuple(texts(row["heading"])),
        context=row["context"],
    )


def uri(path: str, start_line: int, end_line: int, page: int | None) -> str:
    """Return a `file:` URI that opens at the passage: `#page=3`, or `#L10-L20`."""
    place = f"page={page}" if page is not None else f"L{start_line}-L{end_line}"
    return f"{_file_uri(path)}#{place}"


@lru_cache(maxsize=1024)
def _file_uri(path: str) -> str:
    return Path(path).as_uri()


def indexed_name(path: str) -> str:
    """Return what full-text search sees of a path: the file name and its two parent folders."""
    return " ".join(Path(path).parts[-3:])
