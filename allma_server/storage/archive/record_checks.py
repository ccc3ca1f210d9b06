"""What each column of the database may hold; import and salvage check rows against it.

Rows of an archive or a damaged file are untrusted: a value that Allma never writes is refused.
Columns are in the order of the schema, so that a record without names is recognised by its shape.
"""

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast, get_args

import numpy as np

from allma_server.types import DocumentState, Grounding, Role

Check = Callable[[Any], bool]

MAX_ID = 1 << 48
MAX_TEXT = 20_000_000
MAX_LINE = 100_000
MAX_PATH = 32_768
MAX_DIMENSIONS = 16_384


@dataclass(frozen=True, slots=True)
class Column:
    """A column, the check of its values, and the first schema version that has it."""

    name: str
    holds: Check
    since: int = 1


def integer(minimum: int, maximum: int = MAX_ID) -> Check:
    """Accept a whole number that is not stored as text."""
    return lambda value: type(value) is int and minimum <= value <= maximum


def text(max_length: int = MAX_LINE, pattern: str | None = None) -> Check:
    """Accept text, which may contain NUL."""
    compiled = re.compile(pattern) if pattern else None

    def holds(value: Any) -> bool:
        return (
            isinstance(value, str)
            and len(value) <= max_length
            and (compiled is None or compiled.fullmatch(value) is not None)
        )

    return holds


def optional(check: Check) -> Check:
    """Accept the same, or NULL."""
    return lambda value: value is None or check(value)


def one_of(*values: str) -> Check:
    """Accept one of these words."""
    return lambda value: isinstance(value, str) and value in values


def path(value: Any) -> bool:
    """Accept an absolute, normalised path of this system."""
    return (
        isinstance(value, str)
        and len(value) <= MAX_PATH
        and "\0" not in value
        and os.path.isabs(value)
        and os.path.normpath(value) == value
        and not value.startswith("//")
    )


def timestamp(value: Any) -> bool:
    """Accept a time as `types.now` writes it, or a date."""
    if not isinstance(value, str) or len(value) > 40:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def digest(value: Any) -> bool:
    """Accept the hash of a text."""
    return isinstance(value, bytes) and 1 <= len(value) <= 64


def vector(value: Any) -> bool:
    """Accept a float16 vector of finite numbers."""
    if not isinstance(value, bytes) or len(value) % 2 or not 0 < len(value) <= 2 * MAX_DIMENSIONS:
        return False
    return bool(np.isfinite(np.frombuffer(value, "<f2")).all())


def number(value: Any) -> bool:
    """Accept a finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def headings(value: Any) -> bool:
    """Accept a JSON list of texts."""
    listed = _parsed(value)
    return isinstance(listed, list) and _texts(cast(list[object], listed))


def facts(value: Any) -> bool:
    """Accept a JSON object of texts."""
    read = _parsed(value)
    return isinstance(read, dict) and _texts(cast(dict[str, object], read).values())


def _texts(values: Iterable[object]) -> bool:
    return all(isinstance(each, str) for each in values)


def _parsed(value: Any) -> Any:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


_ID, _COUNT = integer(1), integer(0)
_NAME = text(64, r"[0-9A-Za-z_-]+")
_LONG = text(MAX_TEXT)

TABLES: Mapping[str, Sequence[Column]] = {
    "workspaces": (
        Column("id", _ID),
        Column("path", path),
        Column("added_at", timestamp),
        Column("rules", text(), since=2),
        Column("approved", integer(0, 1), since=6),
        Column("disks", text(), since=7),
    ),
    "documents": (
        Column("id", _ID),
        Column("workspace_id", _ID),
        Column("path", path),
        Column("name", text()),
        Column("format", text(40, "[a-z0-9_-]*")),
        Column("size", integer(0, (1 << 63) - 1)),
        Column("mtime_ns", integer(-(1 << 63), (1 << 63) - 1)),
        Column("inode", integer(-(1 << 63), (1 << 63) - 1)),
        Column("content_hash", text(128, "[0-9a-f]*")),
        Column("state", one_of(*get_args(DocumentState))),
        Column("reason", optional(text())),
        Column("title", text()),
        Column("metadata", facts),
        Column("chunks", _COUNT),
        Column("indexed_at", timestamp),
        Column("reason_code", optional(text(64)), since=5),
    ),
    "chunks": (
        Column("id", _ID),
        Column("document_id", _ID),
        Column("chunk_index", _COUNT),
        Column("text", _LONG),
        Column("context", text()),
        Column("start_offset", _COUNT),
        Column("end_offset", _COUNT),
        Column("start_line", _COUNT),
        Column("end_line", _COUNT),
        Column("page", optional(_COUNT)),
        Column("heading", headings),
        Column("text_hash", digest),
        Column("refused_by", optional(_ID), since=8),
    ),
    "embedders": (
        Column("id", _ID),
        Column("identity", text(1000)),
    ),
    "embeddings": (
        Column("id", _ID),
        Column("embedder_id", _ID),
        Column("text_hash", digest),
        Column("vector", vector),
        Column("used_on", timestamp),
    ),
    "conversations": (
        Column("id", _NAME),
        Column("title", text()),
        Column("created_at", timestamp),
        Column("updated_at", timestamp),
        Column("user", optional(text(64)), since=10),
    ),
    "messages": (
        Column("seq", _ID),
        Column("id", _NAME),
        Column("conversation_id", _NAME),
        Column("role", one_of(*get_args(Role))),
        Column("content", _LONG),
        Column("model", optional(text(1000))),
        Column("created_at", timestamp),
        Column("grounding", optional(one_of(*get_args(Grounding))), since=4),
    ),
    "message_sources": (
        Column("id", _ID),
        Column("message_id", _NAME),
        Column("number", _COUNT),
        Column("document_id", _COUNT),
        Column("chunk_id", _COUNT),
        Column("relevance_score", number),
        Column("path", path),
        Column("start_line", _COUNT),
        Column("end_line", _COUNT),
        Column("page", optional(_COUNT)),
        Column("heading", headings),
        Column("text", _LONG),
    ),
    "summaries": (
        Column("conversation_id", _NAME, since=3),
        Column("until", _NAME, since=3),
        Column("text", _LONG, since=3),
    ),
    "settings": (
        Column("key", text(64, "[a-z_]+")),
        Column("value", _LONG),
    ),
}
"""In this order each row comes after those that it refers to."""

OWN_TABLES: Mapping[str, Sequence[Column]] = {
    "shares": (
        Column("id", _ID),
        Column("path", path),
        Column("name", _NAME),
        Column("removed", integer(0, 1)),
        Column("collection", text(200, "[0-9A-Za-z_]*")),
        Column("published", _COUNT),
        Column("embedder", optional(text(1000)), since=13),
    ),
}
"""What concerns this data directory alone: a repair saves it, and no archive may bring it, because
that would publish folders which the user has not shared."""

ALL_TABLES = {**TABLES, **OWN_TABLES}


def wrong_column(table: str, values: Sequence[Any]) -> str | None:
    """Return the first column with an invalid value, if any; trailing values may be missing."""
    for column, value in zip(ALL_TABLES[table], values, strict=False):
        if not column.holds(value):
            return column.name
    return None
