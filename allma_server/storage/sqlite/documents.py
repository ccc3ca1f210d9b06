"""Find documents by path, id, page or glob."""

import asyncio
import difflib
import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from allma_server._internal.path_text import meant, shown
from allma_server.errors import InvalidArgument
from allma_server.storage.sqlite import rows
from allma_server.storage.sqlite.database import Database, Stored
from allma_server.storage.sqlite.globs import parse_glob
from allma_server.types import Document, DocumentPage, DocumentRow, DocumentState

Condition = tuple[str, list[str]]

_MAX_COMPARED = 20_000
"""File names compared with an unknown one."""

_CACHED_FILTERS = 16
"""Results of `matching_documents` kept until a document is added, removed or moved."""


class Documents(Stored):
    """Read the documents of the ledger."""

    def __init__(self, database: Database, shown: Callable[[str], str] = str) -> None:
        super().__init__(database, shown)
        self._matching: dict[tuple[object, ...], list[int]] = {}
        self._matching_revision = database.revision

    async def document(self, path: str) -> Document | None:
        """Return the ledger row of an absolute path."""
        row = await self._db.row(
            "SELECT * FROM documents WHERE path = ?", (rows.stored_path(path),)
        )
        return rows.document(row) if row else None

    async def similar_path(self, name: str) -> str | None:
        """Return the indexed path whose file name is most similar to that of `name`, if any is."""
        found = await self._db.rows("SELECT path FROM documents WHERE state = 'indexed'")
        return await asyncio.to_thread(_similar, name, [_shown(row[0]) for row in found])

    async def document_by_id(self, document_id: int) -> Document | None:
        row = await self._db.row("SELECT * FROM documents WHERE id = ?", (document_id,))
        return rows.document(row) if row else None

    async def is_approved(self, document_id: int) -> bool:
        """Return whether a document's file may be read: its workspace must be approved."""
        row = await self._db.row(
            "SELECT w.approved FROM documents d JOIN workspaces w ON w.id = d.workspace_id "
            "WHERE d.id = ?",
            (document_id,),
        )
        return row is not None and bool(row["approved"])

    async def documents_inside(self, folder: str) -> list[Document]:
        """Return the ledger rows of a file, or of all files below a folder."""
        condition, values = inside(folder)
        found = await self._db.rows(
            f"SELECT * FROM documents d WHERE {condition} ORDER BY path", values
        )
        return await asyncio.to_thread(lambda: [rows.document(row) for row in found])

    async def document_page(
        self, workspace: str | None, state: DocumentState | None, cursor: str | None, limit: int
    ) -> DocumentPage:
        """Return a page of the ledger in path order, at most `limit` rows."""
        conditions = [inside(workspace)] if workspace else []
        if state:
            conditions.append(("d.state = ?", [state]))
        where, values = _all(conditions)
        [total] = await self._db.rows(f"SELECT count(*) FROM documents d WHERE {where}", values)
        if cursor:
            conditions.append(("d.path > ?", [rows.stored_path(meant(cursor))]))
        where, values = _all(conditions)
        found = await self._db.rows(
            "SELECT d.*, w.path AS workspace FROM documents d "
            "JOIN workspaces w ON w.id = d.workspace_id "
            f"WHERE {where} ORDER BY d.path LIMIT ?",
            [*values, limit + 1],
        )
        page = [_document_row(row) for row in found[:limit]]
        return DocumentPage(page, total[0], page[-1].path if len(found) > limit else None)

    async def matching_documents(
        self, workspace: str | None, glob: str | None, formats: Collection[str] | None
    ) -> list[int]:
        """Return ids of the indexed documents that match every filter that is not None.

        Args:
            workspace: a workspace or a folder inside one.
            glob: a .gitignore pattern relative to the document's workspace or to the folder that
                contains it (`src/**/*.py`, `*.md`, `notes/`), or an absolute one.
            formats: names of formats.

        Raises:
            InvalidArgument: the glob is not a pattern.
        """
        key = (workspace, glob, None if formats is None else frozenset(formats))
        if self._matching_revision != self._db.revision:
            self._matching.clear()
            self._matching_revision = self._db.revision
        if key not in self._matching:
            ids = await self._find_matching(workspace, glob, formats)
            # Oldest first, as a dict keeps insertion order; two lines do not need cachetools.
            if len(self._matching) >= _CACHED_FILTERS:
                self._matching.pop(next(iter(self._matching)))
            self._matching[key] = ids
        return self._matching[key]

    async def _find_matching(
        self, workspace: str | None, glob: str | None, formats: Collection[str] | None
    ) -> list[int]:
        conditions: list[Condition] = [("d.state = 'indexed'", [])]
        if workspace:
            conditions.append(inside(workspace))
        if formats is not None:
            listed = rows.as_json(formats)
            conditions.append(("d.format IN (SELECT value FROM json_each(?))", [listed]))
        where, values = _all(conditions)
        found = await self._db.rows(
            "SELECT d.id, d.path, w.path AS workspace FROM documents d "
            f"JOIN workspaces w ON w.id = d.workspace_id WHERE {where}",
            values,
        )
        if not glob or not glob.strip():
            return [row["id"] for row in found]
        # Matching tens of thousands of paths would block the event loop noticeably.
        return await asyncio.to_thread(_matching, found, glob.strip())


def _matching(found: Sequence[sqlite3.Row], text: str) -> list[int]:
    paths = [(row["id"], _shown(row["path"]), _shown(row["workspace"])) for row in found]
    try:
        glob = parse_glob(text)
    except ValueError as exc:
        raise InvalidArgument(f"The pattern {text!r} is not valid: {exc}.") from exc
    absolute = any(each.startswith(folder) for each in glob.texts for *_, folder in paths)

    def matches(path: str, folder: str) -> bool:
        names = _names(path, folder)
        return glob.matches(path, *names) if absolute else glob.matches(*names)

    return [id for id, path, folder in paths if matches(path, folder)]


def _similar(name: str, paths: Sequence[str]) -> str | None:
    wanted = os.path.basename(name.rstrip(os.sep)).lower()
    by_name: dict[str, str] = {}
    # Of files with the same name, take the one nearest to the root.
    for path in sorted(paths, key=len, reverse=True):
        by_name[os.path.basename(path).lower()] = path
    # Comparison is slow, so names of very different length are left out.
    names = [each for each in by_name if abs(len(each) - len(wanted)) <= 3]
    near = difflib.get_close_matches(wanted, names[:_MAX_COMPARED], n=1, cutoff=0.75)
    return by_name[near[0]] if near else None


def _shown(stored: str) -> str:
    return shown(rows.shown_path(stored))


def _names(path: str, workspace: str) -> tuple[str, str]:
    """Return a path relative to its workspace, and with the workspace's own name in front.

    So `src/**` also matches when the folder src itself was indexed.
    """
    above = os.path.dirname(workspace.rstrip(os.sep)).rstrip(os.sep)
    named = path[len(above) + 1 :]
    if path == workspace:
        return named, named
    return path[len(workspace.rstrip(os.sep)) + 1 :], named


def inside(folder: str) -> Condition:
    """Return SQL for: `d.path` is this file or is below this folder. It uses the index of paths."""
    path = rows.stored_path(folder)
    stem = path.rstrip(os.sep)
    after = chr(ord(os.sep) + 1)
    return "(d.path = ? OR (d.path >= ? AND d.path < ?))", [path, stem + os.sep, stem + after]


def _all(conditions: Sequence[Condition]) -> Condition:
    where = " AND ".join(sql for sql, _ in conditions) or "true"
    return where, [value for _, values in conditions for value in values]


def _document_row(row: sqlite3.Row) -> DocumentRow:
    path = rows.shown_path(row["path"])
    return DocumentRow(
        id=row["id"],
        path=path,
        workspace=rows.shown_path(row["workspace"]),
        format=row["format"],
        state=row["state"],
        reason=row["reason"],
        title=row["title"],
        size=row["size"],
        chunks=row["chunks"],
        indexed_at=row["indexed_at"],
        uri=Path(path).as_uri(),
    )
