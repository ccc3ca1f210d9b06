"""Between rows and the nouns of the model."""

import json
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from allma_server.errors import DataDamaged
from allma_server.types import Chunk, Document

_SURROGATES = re.compile("[\ud800-\udfff]")
_HIDDEN = re.compile("[\U000f0000-\U000f07ff]")
_DISTANCE = 0xF0000 - 0xD800


def stored_path(path: str) -> str:
    """A path as SQLite can hold it.

    A file name that is not UTF-8 comes as a string with lone surrogates, which have no UTF-8 form
    themselves; they are moved to a private range, where `shown_path` finds them again.
    """
    if path.isascii():
        return path
    return _SURROGATES.sub(lambda m: chr(ord(m[0]) + _DISTANCE), path)


def shown_path(path: str) -> str:
    """A path as the operating system knows it."""
    if path.isascii():
        return path
    return _HIDDEN.sub(lambda m: chr(ord(m[0]) - _DISTANCE), path)


def storable(text: str) -> str:
    """A text without lone surrogates, which no encoding has a form for."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def as_json(values: Iterable[int] | Iterable[str]) -> str:
    """A list as one SQL value, for `json_each`: any length, and one statement for all lengths."""
    return json.dumps(list(values))


def texts(stored: str) -> list[str]:
    """A stored list of texts.

    Raises:
        DataDamaged: it is none.
    """
    listed = _read(stored)
    if not isinstance(listed, list):
        raise _damaged_row()
    return cast(list[str], listed)


def text_by_name(stored: str) -> dict[str, str]:
    """A stored object of texts.

    Raises:
        DataDamaged: it is none.
    """
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
    return DataDamaged("The database is damaged: a row holds what was never written.")


def document(row: sqlite3.Row) -> Document:
    """The document of a row of `documents`."""
    return Document(
        id=row["id"],
        workspace_id=row["workspace_id"],
        path=shown_path(row["path"]),
        format=row["format"],
        size=row["size"],
        mtime_ns=row["mtime_ns"],
        inode=row["inode"],
        content_hash=row["content_hash"],
        state=row["state"],
        reason=row["reason"],
        reason_code=row["reason_code"],
        title=row["title"],
        metadata=text_by_name(row["metadata"]),
        chunks=row["chunks"],
        indexed_at=row["indexed_at"],
    )


def chunk(row: sqlite3.Row) -> Chunk:
    """The chunk of a row of `chunks`."""
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
    """A `file:` URI that opens at the passage: `#page=3`, or `#L10-L20`."""
    place = f"page={page}" if page is not None else f"L{start_line}-L{end_line}"
    return f"{Path(path).as_uri()}#{place}"


def indexed_name(path: str) -> str:
    """What full-text search sees of a path: the file and the two folders around it."""
    return " ".join(Path(path).parts[-3:])
