"""Mask secrets in rows that come from an archive, and in the copy that becomes one.

Full-text search and vectors are made from the rows, so they know nothing that is masked here.
"""

import json
import sqlite3
from collections.abc import Callable
from typing import Any

from allma_server.secrets import MASKED
from allma_server.storage.archive.record_checks import TABLES
from allma_server.types import Chunk

Mask = Callable[[str], str]

_COLUMNS = {
    "chunks": ("text", "context", "heading"),
    "documents": ("title", "metadata"),
    "message_sources": ("text", "heading"),
    "messages": ("content",),
    "summaries": ("text",),
}
_JSON = ("heading", "metadata")
_NAMES = {table: [column.name for column in TABLES[table]] for table in _COLUMNS}
_ASKED_BY_USER = "user"

# Documents that this version has not read are as an earlier one, or another machine, left them.
_READ_BEFORE = (
    f"document_id IN (SELECT d.id FROM documents d JOIN workspaces w ON w.id = d.workspace_id "
    f"WHERE instr(w.rules, '{MASKED}') = 0)"
)
_UNMASKED = {"chunks": _READ_BEFORE, "documents": _READ_BEFORE.replace("document_id", "id", 1)}


class MaskedRows:
    """Masks the rows of an archive, in the order of `TABLES`."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._replaced: set[bytes] = set()

    def row(self, table: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Return a row without secrets; None for the vector of a text that had one."""
        if table == "embeddings":
            return None if values[2] in self._replaced else values
        if table not in _COLUMNS:
            return values
        found = dict(zip(_NAMES[table], values, strict=False))
        changed = masked_columns(table, found, self._mask)
        if not changed:
            return values
        if table == "chunks":
            self._replaced.add(found["text_hash"])
        return tuple((found | changed).values())


def masked_columns(table: str, row: dict[str, Any], mask: Mask) -> dict[str, Any]:
    """Return the columns of a row that change, with their new values."""
    if table == "messages" and row["role"] == _ASKED_BY_USER:
        return {}  # a question is the user's own text
    changed: dict[str, Any] = {}
    for name in _COLUMNS[table]:
        value = _masked_json(row[name], mask) if name in _JSON else mask(row[name])
        if value != row[name]:
            changed[name] = value
    if table == "chunks" and changed:
        text, context = (changed.get(name, row[name]) for name in ("text", "context"))
        changed["text_hash"] = Chunk(0, text, 0, 0, 0, 0, context=context).text_hash
    return changed


def mask_copy(copy: sqlite3.Connection, mask: Mask) -> None:
    """Mask the rows of a copied database that may be unmasked; nothing of them stays in it."""
    copy.execute("PRAGMA secure_delete = ON")
    count = 0
    for table in _COLUMNS:
        count += _mask_table(copy, table, mask)
    if count:
        copy.execute("DELETE FROM embeddings WHERE text_hash NOT IN (SELECT text_hash FROM chunks)")
    copy.commit()


def _mask_table(copy: sqlite3.Connection, table: str, mask: Mask) -> int:
    names = _NAMES[table]
    where = _UNMASKED.get(table, "true")
    changes: list[tuple[dict[str, Any], int]] = []
    for row_id, *values in copy.execute(
        f"SELECT rowid, {', '.join(names)} FROM {table} WHERE {where}"
    ):
        if changed := masked_columns(table, dict(zip(names, values, strict=True)), mask):
            changes.append((changed, row_id))
    for changed, row_id in changes:
        assigned = ", ".join(f"{name} = ?" for name in changed)
        copy.execute(f"UPDATE {table} SET {assigned} WHERE rowid = ?", [*changed.values(), row_id])
    return len(changes)


def _masked_json(value: str, mask: Mask) -> str:
    parsed: dict[str, str] | list[str] = json.loads(value)
    if isinstance(parsed, dict):
        new: object = {key: mask(each) for key, each in parsed.items()}
    else:
        new = [mask(each) for each in parsed]
    return value if new == parsed else json.dumps(new, ensure_ascii=False)
