"""The folders that this engine shares, and what is pending for the cluster."""

import asyncio
import json
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

from allma_server._internal.path_text import shown
from allma_server.ports import Vector
from allma_server.secrets import masked
from allma_server.storage.sqlite.database import Repository
from allma_server.storage.sqlite.documents import inside
from allma_server.storage.sqlite.embeddings import vector_of
from allma_server.storage.sqlite.rows import as_json, shown_path, storable, stored_path, texts
from allma_server.types import SHARED

_OWNER = "share_owner"
"""The setting with the id by which a cluster knows this data directory."""

_CHUNK = """
    SELECT c.*, d.path, d.format, e.vector FROM json_each(?) j
    CROSS JOIN chunks c ON c.id = j.value JOIN documents d ON d.id = c.document_id
    LEFT JOIN embeddings e ON e.text_hash = c.text_hash
      AND e.embedder_id = (SELECT id FROM embedders WHERE identity = ?)
    WHERE {inside} ORDER BY c.id
"""


@dataclass(frozen=True, slots=True)
class Share:
    """A shared folder; `removed`: it is to be erased in the cluster, and then here.

    `collection`: where the cluster has it; empty before it was published. `published`: the number
    of the last change that is there. `embedder`: `provider/model` of its vectors; None: the current
    one of this engine.
    """

    id: int
    path: str
    name: str
    removed: bool
    collection: str
    published: int
    embedder: str | None = None


@dataclass(frozen=True, slots=True)
class SharedChunk:
    """A chunk of a shared folder as it is published.

    `path` is relative to the folder. `context`: what is searched of the headings above it.
    """

    chunk_id: int
    document_id: int
    path: str
    format: str
    text: str
    heading: list[str]
    context: str
    chunk_index: int
    start_offset: int
    end_offset: int
    start_line: int
    end_line: int
    page: int | None
    vector: Vector | None

    @property
    def version(self) -> str:
        """A hash of everything that is published of it, and of whether it has a vector."""
        stated = {**asdict(self), "vector": self.vector is not None}
        return blake2b(json.dumps(stated).encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class PendingShare:
    """A change of a chunk that is pending for a share; None: it is not in the folder."""

    seq: int
    chunk_id: int
    chunk: SharedChunk | None


class Shares(Repository):
    """Reads and writes shares and their outbox."""

    async def owner(self) -> str:
        """Return the id by which a cluster knows this data directory.

        It is empty, as no engine's is, where none was stored and nothing can be.
        """
        known = "SELECT value FROM settings WHERE key = ?"
        # Each search asks for it, and must not wait until something else is written.
        if (row := await self._db.row(known, (_OWNER,))) is None:
            if self._db.write_error is not None:
                return ""
            async with self._db.transaction() as tx:
                await tx.execute(
                    "INSERT INTO settings VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (_OWNER, secrets.token_hex(8)),
                )
                row = await tx.row(known, (_OWNER,))
        assert row is not None
        return row["value"]

    async def shares(self) -> list[Share]:
        found = await self._db.rows("SELECT * FROM shares ORDER BY name")
        return [_share(row) for row in found]

    async def add_share(self, path: str, name: str, embedder: str | None = None) -> None:
        """Share a folder: all its chunks become pending."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "INSERT INTO shares (path, name, embedder) VALUES (?, ?, ?)",
                (stored_path(path), name, embedder),
            )
        await self.enqueue_share(name)

    async def set_share_embedder(self, share_id: int, embedder: str) -> None:
        """Let a share have the vectors of another embedder.

        Where it is published is then unknown, because that may be half done with a former one.
        """
        async with self._db.transaction() as tx:
            await tx.execute(
                "UPDATE shares SET embedder = ?, collection = '' WHERE id = ?",
                (embedder, share_id),
            )
        self._db.shares_changed.set()

    async def enqueue_share(self, name: str, chunk_ids: Collection[int] | None = None) -> None:
        """Make chunks of a share pending: these, or all that are in its folder."""
        [share] = [each for each in await self.shares() if each.name == name]
        where, values = inside(share.path)
        chosen = f"SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document_id WHERE {where}"
        if chunk_ids is not None:
            chosen, values = "SELECT value FROM json_each(?)", [as_json(chunk_ids)]
        async with self._db.transaction() as tx:
            await tx.execute(
                f"INSERT INTO share_outbox (share_id, chunk_id) SELECT ?, * FROM ({chosen})",
                (share.id, *values),
            )
        self._db.shares_changed.set()

    async def end_share(self, share_id: int) -> None:
        """Note that a share is to be erased in the cluster; nothing more is published."""
        async with self._db.transaction() as tx:
            await tx.execute("UPDATE shares SET removed = 1 WHERE id = ?", (share_id,))
            await tx.execute("DELETE FROM share_outbox WHERE share_id = ?", (share_id,))
        self._db.shares_changed.set()

    async def end_unknown(self, name: str) -> Share:
        """Note that a share is to be erased in the cluster which this catalogue does not know."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "INSERT INTO shares (path, name, removed) VALUES (?, ?, 1)",
                (stored_path(f"{SHARED}{name}"), name),
            )
        self._db.shares_changed.set()
        return next(each for each in await self.shares() if each.name == name)

    async def forget_share(self, share_id: int) -> None:
        """Remove a share that the cluster has erased."""
        async with self._db.transaction() as tx:
            await tx.execute("DELETE FROM shares WHERE id = ?", (share_id,))

    async def note_published(self, share: Share, collection: str, seq: int) -> None:
        """Record where a share is published, and up to which change."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "UPDATE shares SET collection = ?, published = ? WHERE id = ?",
                (collection, seq, share.id),
            )

    async def share_size(self, share: Share) -> tuple[int, int]:
        """Return how many documents with chunks, and how many chunks, a shared folder has."""
        where, values = inside(share.path)
        [row] = await self._db.rows(
            "SELECT count(DISTINCT d.id), count(*) FROM chunks c "
            f"JOIN documents d ON d.id = c.document_id WHERE {where}",
            values,
        )
        return row[0], row[1]

    async def pending_shares(self) -> Mapping[int, int]:
        """Return how many changes are pending for each share, as far as they concern its folder."""
        found = await self._db.rows(
            "SELECT o.share_id, count(*) FROM share_outbox o JOIN shares s ON s.id = o.share_id "
            "LEFT JOIN chunks c ON c.id = o.chunk_id LEFT JOIN documents d ON d.id = c.document_id "
            "WHERE d.id IS NULL OR substr(d.path, 1, length(s.path)) = s.path GROUP BY o.share_id"
        )
        return {row[0]: row[1] for row in found}

    async def pending_for_share(
        self, share: Share, embedder: str | None, limit: int
    ) -> list[PendingShare]:
        """Return pending changes of a share, oldest first."""
        found = await self._db.rows(
            "SELECT seq, chunk_id FROM share_outbox WHERE share_id = ? ORDER BY seq LIMIT ?",
            (share.id, limit),
        )
        chunks = await self.shared_chunks(share, embedder, [row["chunk_id"] for row in found])
        by_id = {chunk.chunk_id: chunk for chunk in chunks}
        return [PendingShare(r["seq"], r["chunk_id"], by_id.get(r["chunk_id"])) for r in found]

    async def pending_deletions(self, share: Share, limit: int) -> list[PendingShare]:
        """Return pending changes of chunks that are not in a shared folder, oldest first."""
        where, values = inside(share.path)
        found = await self._db.rows(
            "SELECT o.seq, o.chunk_id FROM share_outbox o WHERE o.share_id = ? AND NOT EXISTS "
            "(SELECT 1 FROM chunks c JOIN documents d ON d.id = c.document_id "
            f"WHERE c.id = o.chunk_id AND {where}) ORDER BY o.seq LIMIT ?",
            (share.id, *values, limit),
        )
        return [PendingShare(row["seq"], row["chunk_id"], None) for row in found]

    async def shared_chunks(
        self, share: Share, embedder: str | None, chunk_ids: Iterable[int]
    ) -> list[SharedChunk]:
        """Return those of these chunks that are in a shared folder."""
        where, values = inside(share.path)
        found = await self._db.rows(
            _CHUNK.format(inside=where), (as_json(chunk_ids), embedder, *values)
        )
        return await asyncio.to_thread(lambda: [_shared_chunk(row, share) for row in found])

    async def chunks_after(
        self, share: Share, embedder: str | None, after: int, limit: int
    ) -> list[SharedChunk]:
        """Return the chunks of a shared folder with an id above `after`, by id."""
        where, values = inside(share.path)
        found = await self._db.rows(
            "SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document_id "
            f"WHERE {where} AND c.id > ? ORDER BY c.id LIMIT ?",
            (*values, after, limit),
        )
        return await self.shared_chunks(share, embedder, [row["id"] for row in found])

    async def without_vector(self, share: Share, embedder: str) -> list[int]:
        """Return the chunks of a shared folder without a vector, but for pending ones."""
        where, values = inside(share.path)
        found = await self._db.rows(
            "SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document_id "
            f"WHERE {where} AND NOT EXISTS (SELECT 1 FROM embeddings e "
            "WHERE e.text_hash = c.text_hash "
            "AND e.embedder_id = (SELECT id FROM embedders WHERE identity = ?)) "
            "AND NOT EXISTS (SELECT 1 FROM share_outbox o "
            "WHERE o.share_id = ? AND o.chunk_id = c.id) ORDER BY c.id",
            (*values, embedder, share.id),
        )
        return [row["id"] for row in found]

    async def acknowledge_shares(self, changes: Sequence[PendingShare]) -> None:
        """Remove published changes; a chunk that changed again since stays pending."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "DELETE FROM share_outbox WHERE seq IN (SELECT value FROM json_each(?))",
                (as_json(change.seq for change in changes),),
            )


def _share(row: sqlite3.Row) -> Share:
    return Share(
        row["id"],
        shown_path(row["path"]),
        row["name"],
        bool(row["removed"]),
        row["collection"],
        row["published"],
        row["embedder"],
    )


def _shared_chunk(row: sqlite3.Row, share: Share) -> SharedChunk:
    """Return a chunk as others may see it: its secrets are masked, whatever the settings."""
    path = Path(shown_path(row["path"])).relative_to(share.path).as_posix()
    return SharedChunk(
        chunk_id=row["id"],
        document_id=row["document_id"],
        path=storable(shown(path)),
        format=row["format"],
        text=masked(row["text"]),
        heading=[masked(title) for title in texts(row["heading"])],
        context=masked(row["context"] or row["heading"]),
        chunk_index=row["chunk_index"],
        start_offset=row["start_offset"],
        end_offset=row["end_offset"],
        start_line=row["start_line"],
        end_line=row["end_line"],
        page=row["page"],
        vector=None if row["vector"] is None else vector_of(row["vector"]),
    )
