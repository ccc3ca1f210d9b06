"""Workspaces: the indexed folders, none of them inside another."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from allma_server._internal.paths import is_inside
from allma_server.storage.sqlite.connection import Transaction
from allma_server.storage.sqlite.database import Repository
from allma_server.storage.sqlite.documents import inside
from allma_server.storage.sqlite.ledger import remove_documents
from allma_server.storage.sqlite.rows import as_json, shown_path, stored_path
from allma_server.types import Workspace, now


@dataclass(frozen=True, slots=True)
class WorkspaceCounts:
    """Counts of a workspace; `documents` are the indexed ones."""

    workspace: Workspace
    documents: int
    chunks: int
    failed: int
    skipped: int


class Workspaces(Repository):
    """Read and write workspaces."""

    async def workspaces(self, *, proposed: bool = False) -> list[Workspace]:
        """Return the approved workspaces; with `proposed`, also those that only an import named.

        No file of a proposed workspace is read before the user indexes it.
        """
        rows = await self._db.rows(
            "SELECT * FROM workspaces WHERE approved OR ? ORDER BY path", (proposed,)
        )
        return [_workspace(row) for row in rows]

    async def add_workspace(self, path: str) -> Workspace:
        """Register an absolute path, and return the workspace that contains it from now on.

        A path inside an approved workspace needs no new one. Workspaces inside the new one become
        part of it with their documents and vectors; so do documents at this path that a proposed
        workspace above it holds.
        """
        async with self._db.transaction() as tx:
            rows = await tx.rows("SELECT * FROM workspaces")
            known = [_workspace(row) for row in rows]
            if containing := _containing([w for w in known if w.approved], path):
                return containing
            added_at = now()
            tx.workspaces_changed = True
            # A proposed workspace with this path becomes approved.
            await tx.execute(
                "INSERT INTO workspaces (path, added_at) VALUES (?, ?) "
                "ON CONFLICT (path) DO UPDATE SET approved = 1, added_at = excluded.added_at",
                (stored_path(path), added_at),
            )
            row = await tx.row("SELECT id FROM workspaces WHERE path = ?", (stored_path(path),))
            assert row is not None
            workspace_id = row["id"]
            await _take_documents(tx, workspace_id, path)
            inner = as_json(w.id for w in known if is_inside(w.path, path) and w.path != path)
            await tx.execute(
                "UPDATE documents SET workspace_id = ? "
                "WHERE workspace_id IN (SELECT value FROM json_each(?))",
                (workspace_id, inner),
            )
            await tx.execute(
                "DELETE FROM workspaces WHERE id IN (SELECT value FROM json_each(?))", (inner,)
            )
        self._db.note_change()
        return Workspace(workspace_id, path, added_at)

    async def index_fingerprint(self, workspace_id: int) -> str:
        """Return the fingerprint by which the whole workspace was last read; empty before that."""
        rows = await self._db.rows("SELECT rules FROM workspaces WHERE id = ?", (workspace_id,))
        return rows[0]["rules"] if rows else ""

    async def set_index_fingerprint(self, workspace_id: int, fingerprint: str) -> None:
        async with self._db.transaction() as tx:
            await tx.execute(
                "UPDATE workspaces SET rules = ? WHERE id = ?", (fingerprint, workspace_id)
            )

    async def workspace_disks(self, workspace_id: int) -> dict[str, int]:
        """Return the device numbers of a workspace's disks at its last scan, by path.

        The paths are its root and each inner folder that is on another disk than its parent.
        """
        row = await self._db.row("SELECT disks FROM workspaces WHERE id = ?", (workspace_id,))
        return json.loads(row["disks"]) if row is not None else {}

    async def set_workspace_disks(self, workspace_id: int, disks: Mapping[str, int]) -> None:
        async with self._db.transaction() as tx:
            await tx.execute(
                "UPDATE workspaces SET disks = ? WHERE id = ?",
                (json.dumps(dict(disks)), workspace_id),
            )

    async def remove_workspace(self, workspace_id: int) -> None:
        """Remove a workspace and all its documents from the catalogue."""
        async with self._db.transaction() as tx:
            rows = await tx.rows("SELECT id FROM documents WHERE workspace_id = ?", (workspace_id,))
            await remove_documents(tx, [row["id"] for row in rows])
            await tx.execute("DELETE FROM workspaces WHERE id = ?", (workspace_id,))
            tx.workspaces_changed = True
        self._db.note_change()

    async def workspace_counts(self) -> list[WorkspaceCounts]:
        rows = await self._db.rows(
            """
            SELECT w.id, w.path, w.added_at, w.approved,
              count(CASE d.state WHEN 'indexed' THEN 1 END) AS documents,
              coalesce(sum(d.chunks), 0) AS chunks,
              count(CASE d.state WHEN 'failed' THEN 1 END) AS failed,
              count(CASE d.state WHEN 'skipped' THEN 1 END) AS skipped
            FROM workspaces w LEFT JOIN documents d ON d.workspace_id = w.id
            GROUP BY w.id ORDER BY w.path
            """
        )
        return [
            WorkspaceCounts(
                _workspace(r),
                r["documents"],
                r["chunks"],
                r["failed"],
                r["skipped"],
            )
            for r in rows
        ]


async def _take_documents(tx: Transaction, workspace_id: int, path: str) -> None:
    condition, values = inside(path)
    await tx.execute(
        f"UPDATE documents AS d SET workspace_id = ? WHERE {condition}", (workspace_id, *values)
    )


def _workspace(row: sqlite3.Row) -> Workspace:
    return Workspace(
        row["id"], shown_path(row["path"]), row["added_at"], approved=bool(row["approved"])
    )


def _containing(workspaces: Sequence[Workspace], path: str) -> Workspace | None:
    return next((w for w in workspaces if is_inside(path, w.path)), None)
