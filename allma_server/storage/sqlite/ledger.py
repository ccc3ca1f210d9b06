"""The ledger: what happened to every file. Indexing writes it."""

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from allma_server.errors import DocumentNotFound, InputRefused
from allma_server.ports import Vector
from allma_server.secrets import COUNT
from allma_server.storage.sqlite import rows
from allma_server.storage.sqlite.connection import Transaction
from allma_server.storage.sqlite.database import Repository
from allma_server.storage.sqlite.embeddings import (
    embedder_id,
    insert_vectors,
    note_use,
    read_vectors,
)
from allma_server.storage.sqlite.share_outbox import enqueue_shared
from allma_server.types import (
    Chunk,
    Document,
    FileFacts,
    FileOutcome,
    Parsed,
    Workspace,
    now,
    recognition_note,
)

ChunkValues = tuple[Any, ...]
"""The columns of `_CHUNK`, in their order."""

_CHUNK = (
    "chunk_index, text, context, heading, text_hash, "
    "start_offset, end_offset, start_line, end_line, page"
)
_SEARCHED_COLUMNS = 5
"""The first columns of `_CHUNK` decide how a chunk is found; the others are its place."""


class Ledger(Repository):
    """Stores documents and their chunks; implements `ports.Ledger`."""

    async def documents(self, workspace_id: int) -> list[Document]:
        """Return all ledger rows of a workspace, in any state."""
        found = await self._db.rows(
            f"SELECT {rows.DOCUMENT} FROM documents d WHERE workspace_id = ? ORDER BY path",
            (workspace_id,),
        )
        return await asyncio.to_thread(lambda: [rows.document(row) for row in found])

    async def cached_vectors(
        self, embedder: str, hashes: Collection[bytes]
    ) -> Mapping[bytes, Vector]:
        """Return the known vectors of these texts."""
        return await read_vectors(self._db, embedder, hashes)

    async def publish(
        self,
        workspace: Workspace,
        file: FileFacts,
        content_hash: str,
        parsed: Parsed,
        embedder: str,
        vectors: Mapping[bytes, Vector],
        refused: Mapping[bytes, str] | None = None,
    ) -> Document:
        """Replace a file's chunks by its new ones, in one transaction.

        Chunks with unchanged text keep their ids. A chunk with no vector, given or cached, is
        found by full-text search only; `refused` has the reasons for which the embedder refuses
        texts, by their hashes.
        """
        chunks = await asyncio.to_thread(lambda: [_values(chunk) for chunk in parsed.chunks])
        async with self._db.transaction() as tx:
            document_id = await _write_document(
                tx,
                workspace,
                file,
                format=parsed.format,
                content_hash=content_hash,
                state="indexed",
                reason=_note(parsed.metadata),
                title=rows.storable(parsed.title),
                metadata=rows.storable(json.dumps(parsed.metadata, ensure_ascii=False)),
                chunks=len(chunks),
            )
            await insert_vectors(tx, embedder, vectors)
            await _replace_chunks(tx, document_id, chunks)
            await tx.execute(
                "UPDATE chunks SET refused_by = NULL "
                "WHERE document_id = ? AND refused_by IS NOT NULL",
                (document_id,),
            )
            await _note_refused(tx, embedder, refused or {})
            published = await _document(tx, document_id)
        self._db.note_change()
        return published

    async def record(self, workspace: Workspace, outcomes: Sequence[FileOutcome]) -> None:
        """Record skipped and failed files with the reason, and delete their chunks."""
        async with self._db.transaction() as tx:
            for outcome in outcomes:
                document_id = await _write_document(
                    tx,
                    workspace,
                    outcome.file,
                    format="",
                    state=outcome.state,
                    reason=rows.storable(outcome.reason),
                    reason_code=outcome.reason_code,
                    metadata=rows.storable(json.dumps(outcome.metadata)),
                )
                await _replace_chunks(tx, document_id, [])
        self._db.note_change()

    async def note_refused(self, embedder: str, refused: Mapping[bytes, str]) -> None:
        """Record why an embedder refuses texts, by their hashes, in all documents with them.

        They get no vector of this embedder before their document is read again.
        """
        async with self._db.transaction() as tx:
            await _note_refused(tx, embedder, refused)

    async def touch(self, document_id: int, file: FileFacts) -> bool:
        """Record new size and times of an unchanged file; return False if it has no row."""
        async with self._db.transaction() as tx:
            touched = await tx.execute(
                "UPDATE documents SET size = ?, mtime_ns = ?, inode = ? WHERE id = ?",
                (file.size, file.mtime_ns, file.inode, document_id),
            )
        return touched > 0

    async def move(self, document_id: int, workspace: Workspace, file: FileFacts) -> None:
        """Change a document's path; it and its chunks keep their ids.

        A title that was the file's name follows it.

        Raises:
            DocumentNotFound: there is no such document.
        """
        path = rows.stored_path(file.path)
        async with self._db.transaction() as tx:
            known = await tx.row("SELECT path, title FROM documents WHERE id = ?", (document_id,))
            if known is None:
                raise DocumentNotFound(f"There is no document {document_id} to move.")
            title = known["title"]
            if title == _file_title(rows.shown_path(known["path"])):
                title = _file_title(file.path)
            replaced = await tx.rows(
                "SELECT id FROM documents WHERE path = ? AND id <> ?", (path, document_id)
            )
            await remove_documents(tx, [row["id"] for row in replaced])
            await tx.execute(
                "UPDATE documents SET workspace_id = ?, path = ?, name = ?, title = ?, size = ?, "
                "mtime_ns = ?, inode = ? WHERE id = ?",
                (
                    workspace.id,
                    path,
                    rows.indexed_name(path),
                    title,
                    file.size,
                    file.mtime_ns,
                    file.inode,
                    document_id,
                ),
            )
            await _enqueue(tx, await _chunk_ids(tx, document_id))
            tx.changed_documents.add(document_id)
        self._db.note_change()

    async def remove(self, document_ids: Sequence[int]) -> None:
        """Remove documents and their chunks."""
        async with self._db.transaction() as tx:
            await remove_documents(tx, document_ids)
        self._db.note_change()


async def remove_documents(tx: Transaction, document_ids: Sequence[int]) -> None:
    """Remove documents from the catalogue, and note it for both search indexes."""
    if not document_ids:
        return
    tx.changed_documents.update(document_ids)
    ids = rows.as_json(document_ids)
    found = await tx.rows(
        "SELECT id FROM chunks WHERE document_id IN (SELECT value FROM json_each(?))", (ids,)
    )
    chunk_ids = [row["id"] for row in found]
    await _enqueue(tx, chunk_ids)
    await _delete_chunks(tx, chunk_ids)
    await tx.execute("DELETE FROM documents WHERE id IN (SELECT value FROM json_each(?))", (ids,))


def reuse_ids(old: Mapping[int, ChunkValues], new: Sequence[ChunkValues]) -> list[int | None]:
    """Return an id for each new chunk: that of the same text, else one that became free, else None.

    Ids are reused because a vector index never frees the slot of a deleted one.
    """
    by_text: dict[str, list[int]] = {}
    for chunk_id, values in old.items():
        by_text.setdefault(values[1], []).append(chunk_id)
    for same in by_text.values():
        same.reverse()
    ids = [same.pop() if (same := by_text.get(values[1])) else None for values in new]
    free = iter(sorted(old.keys() - set(ids)))
    return [next(free, None) if chunk_id is None else chunk_id for chunk_id in ids]


def _file_title(path: str) -> str:
    return rows.storable(PurePath(path).name)


def _values(chunk: Chunk) -> ChunkValues:
    return (
        chunk.index,
        rows.storable(chunk.text),
        rows.storable(chunk.context),
        rows.storable(json.dumps(chunk.heading, ensure_ascii=False)),
        chunk.text_hash,
        chunk.start,
        chunk.end,
        chunk.start_line,
        chunk.end_line,
        chunk.page,
    )


def _note(metadata: Mapping[str, str]) -> str | None:
    """Return the ledger's note on an indexed document: masked secrets, and text recognition."""
    number = metadata.get(COUNT)
    masked = f"{number} {'secret' if number == '1' else 'secrets'} masked" if number else ""
    return rows.storable("; ".join(filter(None, (masked, recognition_note(metadata))))) or None


async def _note_refused(tx: Transaction, embedder: str, refused: Mapping[bytes, str]) -> None:
    if not refused:
        return
    refusing = await embedder_id(tx, embedder)
    whys: dict[int, str] = {}
    for text_hash, why in refused.items():
        found = await tx.rows(
            "UPDATE chunks SET refused_by = ? WHERE text_hash = ? RETURNING document_id",
            (refusing, text_hash),
        )
        whys |= {row["document_id"]: why for row in found}
    for document_id, why in whys.items():
        row = await tx.row(
            "SELECT metadata, (SELECT count(*) FROM chunks "
            "WHERE document_id = d.id AND refused_by = ?2) AS refused FROM documents d "
            "WHERE id = ?1",
            (document_id, refusing),
        )
        assert row is not None
        other = _note(rows.text_by_name(row["metadata"]))
        note = _refused_note(embedder, row["refused"], why)
        await tx.execute(
            "UPDATE documents SET reason = ?, reason_code = ? WHERE id = ?",
            (
                rows.storable("; ".join(filter(None, (other, note)))),
                InputRefused.code,
                document_id,
            ),
        )


def _refused_note(embedder: str, number: int, why: str) -> str:
    passages = "1 passage" if number == 1 else f"{number:,} passages"
    found = "is found by keywords only" if number == 1 else "are found by keywords only"
    return f"{passages} {found}: {embedder} refuses the text. {why}"


async def _write_document(
    tx: Transaction, workspace: Workspace, file: FileFacts, **columns: str | int | None
) -> int:
    path = rows.stored_path(file.path)
    row: dict[str, str | int | None] = {
        "workspace_id": workspace.id,
        "path": path,
        "name": rows.indexed_name(path),
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "inode": file.inode,
        "content_hash": "",
        "reason": None,
        "reason_code": None,
        "title": "",
        "metadata": "{}",
        "chunks": 0,
        "indexed_at": now(),
        **columns,
    }
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    updates = ", ".join(f"{name} = excluded.{name}" for name in row)
    await tx.execute(
        f"INSERT INTO documents ({names}) VALUES ({marks}) "
        f"ON CONFLICT (path) DO UPDATE SET {updates}",
        list(row.values()),
    )
    written = await tx.row("SELECT id FROM documents WHERE path = ?", (path,))
    assert written is not None
    tx.changed_documents.add(written["id"])
    return written["id"]


async def _document(tx: Transaction, document_id: int) -> Document:
    row = await tx.row(f"SELECT {rows.DOCUMENT} FROM documents d WHERE id = ?", (document_id,))
    assert row is not None
    return rows.document(row)


async def _replace_chunks(tx: Transaction, document_id: int, chunks: Sequence[ChunkValues]) -> None:
    found = await tx.rows(
        f"SELECT id, {_CHUNK} FROM chunks WHERE document_id = ? ORDER BY chunk_index",
        (document_id,),
    )
    old = {row["id"]: tuple(row)[1:] for row in found}
    ids = reuse_ids(old, chunks)
    written = [
        (chunk_id, document_id, *values)
        for chunk_id, values in zip(ids, chunks, strict=True)
        if chunk_id is None or old[chunk_id] != values
    ]
    same = {
        chunk_id
        for chunk_id, values in zip(ids, chunks, strict=True)
        if chunk_id is not None and old[chunk_id][:_SEARCHED_COLUMNS] == values[:_SEARCHED_COLUMNS]
    }
    await _delete_chunks(tx, [*(old.keys() - set(ids)), *(w[0] for w in written if w[0])])
    await tx.many(f"INSERT INTO chunks (id, document_id, {_CHUNK}) VALUES (?{', ?' * 11})", written)
    await _enqueue(tx, {*old, *await _chunk_ids(tx, document_id)} - same)
    # A share also has the places of chunks in their files.
    await enqueue_shared(tx, same.intersection(w[0] for w in written))


async def _chunk_ids(tx: Transaction, document_id: int) -> list[int]:
    found = await tx.rows("SELECT id FROM chunks WHERE document_id = ?", (document_id,))
    return [row["id"] for row in found]


async def _delete_chunks(tx: Transaction, chunk_ids: Collection[int]) -> None:
    if chunk_ids:
        ids = rows.as_json(chunk_ids)
        await note_use(tx, ids)
        await tx.execute("DELETE FROM chunks WHERE id IN (SELECT value FROM json_each(?))", (ids,))


async def _enqueue(tx: Transaction, chunk_ids: Collection[int]) -> None:
    """Note for both indexes and all shares that chunks change: they read the rows later."""
    if not chunk_ids:
        return
    ids = rows.as_json(chunk_ids)
    for outbox in ("vector_outbox", "full_text_outbox"):
        await tx.execute(
            f"INSERT INTO {outbox} (chunk_id) SELECT value FROM json_each(?) WHERE true", (ids,)
        )
    await enqueue_shared(tx, chunk_ids)
