"""Exact search over all vectors of one embedder, kept equal to SQLite.

The codes of the vectors are in a file, which is made from SQLite when it is missing or damaged. A
search compares the codes of all rows in scope, and scores the best again with SQLite's vectors.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from allma_server._internal.private import make_private_folder
from allma_server._internal.tasks import completed
from allma_server.ports import Vector
from allma_server.storage.sqlite.outbox import Outbox, VectorChange
from allma_server.storage.vectors.codes import (
    are_intact,
    best_places,
    empty_rows,
    encode,
    row_dimensions,
)
from allma_server.storage.vectors.row_file import Header, RowFile, RowsInMemory
from allma_server.storage.vectors.stores.exact import best
from allma_server.types import DocumentSet, Hit

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

LOAD_ROWS = 5_000
"""Rows read in one step, so that a query on another connection does not wait long."""

RESCORED, MIN_RESCORED = 1.25, 25
"""Rows that are scored again for each hit, and at least how many more than hits.

Of the 100 nearest texts of squad, cosqa and cacm, codes alone find .996, and these .9999.
"""

MAX_EMPTY_SHARE, MIN_EMPTY = 0.25, 1_000
"""With more empty rows, the last rows are moved there."""

_CACHED_SCOPES = 8


class ExactVectors:
    """Compares every vector in scope; one for each embedder.

    Args:
        outbox: the changes, and the vectors themselves.
        embedder: whose vectors.
        path: the file of the codes.
        identity: names the database and the embedder, as the file does.
    """

    def __init__(self, outbox: Outbox, embedder: str, path: Path, identity: str) -> None:
        self._outbox = outbox
        self._embedder = embedder
        self.path = path
        self._identity = identity
        self._using = asyncio.Lock()
        self._table: _Table | None = None

    @property
    def rows(self) -> int | None:
        """How many rows a search compares; None while the file is not open."""
        return len(self._table.chunks) if self._table is not None else None

    async def nearest(
        self, vector: Vector, k: int, documents: DocumentSet | None = None
    ) -> list[Hit]:
        """Return the `k` chunks most similar to `vector`, as SQLite has them now."""
        wanted = max(int(RESCORED * k), k + MIN_RESCORED)
        async with self._using:
            table = await self._updated()
            found = await _finished(table.best, vector, wanted, documents)
        vectors = await self._outbox.vectors_of(self._embedder, found)
        if not vectors:
            return []
        scores = np.stack(list(vectors.values())) @ vector
        return best(np.array(list(vectors), np.int64), scores, k)

    async def update(self) -> None:
        """Apply the changes in the outbox, and write them to the disk.

        Called before changes are acknowledged there, and before deleted chunks count as erased.
        """
        async with self._using:
            if self._table is None and not await _finished(self.path.exists):
                return
            table = await self._updated()
            await _finished(table.save)

    async def count(self) -> int:
        """Return how many vectors are found; changes in the outbox are applied first."""
        async with self._using:
            return (await self._updated()).count

    async def enqueue_all(self) -> None:
        """Make every chunk with a vector pending in the outbox, for a store that starts empty."""
        async with self._using:
            if self._table is None and not await _finished(self.path.exists):
                await self._outbox.enqueue_all(self._embedder, 0)
                return
            table = await self._updated()
            pending, last = await self._outbox.enqueue_all(self._embedder, table.seq)
            # All others were applied here already; only the store must be given them again.
            changes = await self._outbox.changes_of(self._embedder, pending)
            await _finished(table.apply, changes, last)
            await _finished(table.save)

    async def reset(self) -> None:
        """Delete the file; the next search makes it again.

        Raises:
            OSError: it cannot be deleted.
        """
        async with self._using:
            table, self._table = self._table, None
            if table is not None:
                await _finished(table.close)
            await _finished(self.path.unlink, missing_ok=True)

    async def close(self) -> None:
        async with self._using:
            table, self._table = self._table, None
            if table is not None:
                await _finished(table.save)
                await _finished(table.close)

    async def _updated(self) -> "_Table":
        table = self._table
        if table is None:
            table = await _finished(_opened, self.path, self._identity)
            if table is None or table.seq > await self._outbox.last_seq():
                if table is not None:
                    await _finished(table.close)
                table = await self._filled()
            self._table = table
        more = True
        while more:
            changes = await self._outbox.changes_after(self._embedder, table.seq, LOAD_ROWS)
            if changes:
                await _finished(table.apply, changes, changes[-1].seq)
            more = len(changes) == LOAD_ROWS
        return table

    async def _filled(self) -> "_Table":
        """Return a new table with all vectors in SQLite."""
        log.info("making %s from the vectors in SQLite", self.path.name)
        # Changes made meanwhile have later numbers, and are applied afterwards.
        seq, last = await self._outbox.last_seq(), 0
        table = _Table(self.path, self._identity)
        while batch := await self._outbox.vectors(self._embedder, last, LOAD_ROWS):
            await _finished(table.apply, batch, 0)
            last = batch[-1].chunk_id
        table.seq = seq
        await _finished(table.save)
        return table


class _Table:
    """The rows, and in memory which chunk and document each belongs to. All methods block."""

    def __init__(self, path: Path, identity: str) -> None:
        self.seq = 0
        self._path = path
        self._identity = identity
        self._stored: RowFile | RowsInMemory | None = None
        self._dimensions = 0
        self.chunks = np.empty(0, np.int64)
        self._documents = np.empty(0, np.int64)
        self._is_saved = True
        self._scopes: dict[int, tuple[DocumentSet, NDArray[np.intp]]] = {}

    def fill_from(self, stored: RowFile, header: Header) -> bool:
        """Use an opened file; return False if it is damaged."""
        rows = stored.rows
        chunks = rows["chunk"].astype(np.int64)
        live = np.sort(chunks[chunks > 0])
        if not are_intact(rows) or (len(live) > 1 and not np.diff(live).all()):
            return False
        self._stored, self._dimensions, self.seq = stored, header.dimensions, header.seq
        self.chunks, self._documents = chunks, rows["document"].astype(np.int64)
        return True

    @property
    def count(self) -> int:
        return int((self.chunks > 0).sum())

    def best(self, vector: Vector, k: int, documents: DocumentSet | None) -> list[int]:
        """Return the chunks whose codes are most similar, in no order."""
        if self._stored is None or row_dimensions(len(vector)) != self._dimensions:
            return []
        places = None if documents is None else self._places(documents)
        found = best_places(self._stored.rows, self.chunks > 0, vector, k, places)
        chunks = self.chunks[found]
        return chunks[chunks > 0].tolist()

    def apply(self, changes: Sequence[VectorChange], seq: int) -> None:
        """Insert, replace and remove the rows of these chunks."""
        self.seq = seq
        self._is_saved = False
        if not changes:
            return
        self._scopes.clear()
        kept = {change.chunk_id: change for change in changes if change.vector is not None}
        gone = {change.chunk_id for change in changes} - kept.keys()
        known = self._known([*kept, *gone])
        if gone_places := sorted(known[chunk] for chunk in gone if chunk in known):
            places = np.array(gone_places, np.intp)
            self._put(places, empty_rows(len(places), self._dimensions))
        if not kept:
            return
        # New rows are added at the end; the others stay where they are.
        new = [chunk for chunk in kept if chunk not in known]
        known |= {chunk: len(self.chunks) + number for number, chunk in enumerate(new)}
        placed = sorted(kept.values(), key=lambda change: known[change.chunk_id])
        places = np.array([known[change.chunk_id] for change in placed], np.intp)
        self._put(places, _encoded(placed))

    def save(self) -> None:
        """Write what changed to the disk."""
        if self._is_saved or self._stored is None:
            return
        self._fill_empty_rows()
        try:
            self._commit()
        except OSError as exc:
            self._keep_in_memory(exc)
        self._is_saved = True

    def close(self) -> None:
        if self._stored is not None:
            self._stored.close()
            self._stored = None

    def _places(self, documents: DocumentSet) -> NDArray[np.intp]:
        """Return the rows of these documents, ascending."""
        cached = self._scopes.get(id(documents))
        if cached is not None and cached[0] is documents:
            return cached[1]
        wanted = np.zeros(int(self._documents.max(initial=0)) + 1, np.bool_)
        wanted[documents.documents[documents.documents < len(wanted)]] = True
        wanted[0] = False  # the document of empty rows
        places = wanted[self._documents].nonzero()[0]
        if len(self._scopes) >= _CACHED_SCOPES:
            self._scopes.pop(next(iter(self._scopes)))
        self._scopes[id(documents)] = documents, places
        return places

    def _known(self, chunks: Collection[int]) -> dict[int, int]:
        """Return the places of those of these chunks that have a row."""
        wanted = np.fromiter(chunks, np.int64)
        if not len(self.chunks) or wanted.min() > self.chunks.max():
            return {}  # as while folders are indexed
        places = np.isin(self.chunks, wanted).nonzero()[0]
        return dict(zip(self.chunks[places].tolist(), places.tolist(), strict=True))

    def _put(self, places: NDArray[np.intp], rows: NDArray[np.void]) -> None:
        try:
            self._opened(rows).put(places, rows)
        except OSError as exc:
            self._keep_in_memory(exc).put(places, rows)
        needed = int(places[-1]) + 1
        if needed > len(self.chunks):
            missing = np.zeros(needed - len(self.chunks), np.int64)
            self.chunks = np.concatenate([self.chunks, missing])
            self._documents = np.concatenate([self._documents, missing])
        self.chunks[places], self._documents[places] = rows["chunk"], rows["document"]

    def _opened(self, rows: NDArray[np.void]) -> RowFile | RowsInMemory:
        """Return what holds the rows; it is created with the first ones."""
        if self._stored is None:
            self._dimensions = rows["codes"].shape[1]
            try:
                make_private_folder(self._path.parent)
                self._stored = RowFile.create(self._path, self._dimensions)
            except OSError as exc:
                log.warning("vectors are searched in memory, not in %s: %s", self._path, exc)
                self._stored = RowsInMemory(rows[:0])
        return self._stored

    def _keep_in_memory(self, exc: OSError) -> RowsInMemory:
        """Go on in memory, and delete the file, which would fall behind."""
        log.warning("vectors are searched in memory, not in %s: %s", self._path, exc)
        assert self._stored is not None
        kept = RowsInMemory(self._stored.rows[: len(self.chunks)].copy())
        self._stored.close()
        self._stored = kept
        with contextlib.suppress(OSError):
            self._path.unlink()
        return kept

    def _fill_empty_rows(self) -> None:
        """Move the last rows to empty places, where many are empty."""
        empty = (self.chunks == 0).nonzero()[0]
        if len(empty) <= max(MIN_EMPTY, MAX_EMPTY_SHARE * len(self.chunks)):
            return
        assert self._stored is not None
        count = len(self.chunks) - len(empty)
        moved = (self.chunks[count:] > 0).nonzero()[0] + count
        if len(moved):
            self._put(empty[: len(moved)], self._stored.rows[moved].copy())
            self._put(moved, empty_rows(len(moved), self._dimensions))
        self.chunks, self._documents = self.chunks[:count], self._documents[:count]
        try:
            self._commit()
            self._stored.cut(count)
        except OSError as exc:
            self._keep_in_memory(exc)

    def _commit(self) -> None:
        assert self._stored is not None
        self._stored.commit(Header(self._identity, self._dimensions, len(self.chunks), self.seq))


async def _finished(call: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """Return the result of a blocking call; if cancelled, wait for its end.

    The lock is not released while the call is still changing the rows.
    """
    return await completed(asyncio.to_thread(call, *args, **options))


def _opened(path: Path, identity: str) -> _Table | None:
    """Return the table in a file; None if there is none, or it is damaged. Blocks."""
    try:
        opened = RowFile.open(path, identity)
    except OSError as exc:
        log.warning("%s cannot be read: %s", path, exc)
        return None
    if opened is None:
        return None
    table = _Table(path, identity)
    if table.fill_from(*opened):
        return table
    log.warning("%s is damaged", path)
    opened[0].close()
    return None


def _encoded(changes: Sequence[VectorChange]) -> NDArray[np.void]:
    blobs = [change.vector for change in changes if change.vector is not None]
    return encode(
        np.array([change.chunk_id for change in changes], np.int64),
        np.array([change.document_id for change in changes], np.int64),
        np.frombuffer(b"".join(blobs), "<f2").reshape(len(blobs), -1),
    )
