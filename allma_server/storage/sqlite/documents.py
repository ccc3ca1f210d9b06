"""Find documents by path, id, page or glob."""

import asyncio
import difflib
import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from allma_server._internal.path_text import shown, unescaped
from allma_server._internal.paths import is_inside
from allma_server.errors import InvalidArgument
from allma_server.storage.sqlite import rows
from allma_server.storage.sqlite.database import Database, Repository
from allma_server.storage.sqlite.document_table import DocumentFilter, DocumentTable
from allma_server.types import Document, DocumentPage, DocumentRow, DocumentSet, DocumentState

Condition = tuple[str, list[str]]

_MAX_COMPARED = 20_000
"""File names compared with an unknown one."""


class Documents(Repository):
    """Read the documents of the ledger."""

    def __init__(self, database: Database, shown: Callable[[str], str] = str) -> None:
        super().__init__(database, shown)
        self._table = DocumentTable(database)

    async def document(self, path: str) -> Document | None:
        """Return the ledger row of an absolute path."""
        row = await self._db.row(
            f"SELECT {rows.DOCUMENT} FROM documents d WHERE path = ?", (rows.stored_path(path),)
        )
        return rows.document(row) if row else None

    async def similar_path(self, name: str) -> str | None:
        """Return the indexed path whose file name is most similar to that of `name`, if any is."""
        found = await self._db.rows("SELECT path FROM documents WHERE state = 'indexed'")

        def similar() -> str | None:
            paths = [rows.shown_path(row["path"]) for row in found]
            return _similar(name, [shown(path) for path in paths if self.grants(path)])

        return await asyncio.to_thread(similar)

    async def document_by_id(self, document_id: int) -> Document | None:
        row = await self._db.row(
            f"SELECT {rows.DOCUMENT} FROM documents d WHERE id = ?", (document_id,)
        )
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
            f"SELECT {rows.DOCUMENT} FROM documents d WHERE {condition} ORDER BY path", values
        )
        return await asyncio.to_thread(lambda: [rows.document(row) for row in found])

    async def document_page(
        self, folders: Collection[str], state: DocumentState | None, cursor: str | None, limit: int
    ) -> DocumentPage:
        """Return a page of the ledger in path order, at most `limit` rows of these folders.

        Without folders, of all workspaces.

        Raises:
            InvalidArgument: the cursor is not from an earlier page.
        """
        conditions = [_inside_any(folders)] if folders else []
        if state:
            conditions.append(("d.state = ?", [state]))
        where, values = _all(conditions)
        [total] = await self._db.rows(f"SELECT count(*) FROM documents d WHERE {where}", values)
        if cursor:
            after = unescaped(cursor)
            if not await self._is_in(folders, after):
                raise InvalidArgument(
                    f"{cursor!r} is not a cursor of these documents.",
                    "Use next_cursor exactly as it was returned, or begin without one.",
                )
            conditions.append(("d.path > ?", [rows.stored_path(after)]))
        where, values = _all(conditions)
        found = await self._db.rows(
            "SELECT d.*, w.path AS workspace FROM documents d "
            "JOIN workspaces w ON w.id = d.workspace_id "
            f"WHERE {where} ORDER BY d.path LIMIT ?",
            [*values, limit + 1],
        )
        page = [_document_row(row) for row in found[:limit]]
        return DocumentPage(page, total[0], page[-1].path if len(found) > limit else None)

    async def _is_in(self, folders: Collection[str], path: str) -> bool:
        if not folders:
            known = await self._db.rows("SELECT path FROM workspaces")
            folders = [rows.shown_path(row["path"]) for row in known]
        return any(is_inside(path, folder) for folder in folders)

    def grants(self, path: str) -> bool:
        """Return whether a path exists for the principal of a view (`granted.py`)."""
        return True

    async def select_documents(
        self,
        folders: Collection[str] = (),
        globs: Collection[str] = (),
        formats: Collection[str] | None = None,
    ) -> DocumentSet:
        """Return the indexed documents that match every filter that is given.

        Args:
            folders: workspaces, folders inside one, or files; a document is in one of them.
            globs: .gitignore patterns relative to the document's workspace or to the folder that
                contains it (`src/**/*.py`, `*.md`, `notes/`), or absolute ones. A document matches
                one of them, and none of those that begin with `!`.
            formats: names of formats.

        Raises:
            InvalidArgument: a glob is not a pattern.
        """
        wanted = DocumentFilter(
            tuple(folders), tuple(globs), None if formats is None else frozenset(formats)
        )
        return await self._table.select(wanted)

    async def index_state(
        self, folders: Collection[str] = (), globs: Collection[str] = ()
    ) -> tuple[bytes, int]:
        """Return a value that differs once a document in a scope was added, changed or removed.

        Raises:
            InvalidArgument: a glob is not a pattern.
        """
        return await self._table.state(DocumentFilter(tuple(folders), tuple(globs)))


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


def inside(folder: str) -> Condition:
    """Return SQL for: `d.path` is this file or is below this folder. It uses the index of paths."""
    path = rows.stored_path(folder)
    stem = path.rstrip(os.sep)
    after = chr(ord(os.sep) + 1)
    return "(d.path = ? OR (d.path >= ? AND d.path < ?))", [path, stem + os.sep, stem + after]


def _inside_any(folders: Collection[str]) -> Condition:
    conditions = [inside(folder) for folder in folders]
    where = " OR ".join(sql for sql, _ in conditions)
    return f"({where})", [value for _, values in conditions for value in values]


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
