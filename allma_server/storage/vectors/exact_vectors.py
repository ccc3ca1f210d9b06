"""Exact search over all vectors of one embedder, kept equal to SQLite.

The codes of the vectors are in a file, which is made from SQLite when it is missing or damaged. A
search compares the codes of all rows in scope, and scores the best again with SQLite's vectors.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from allma_server._internal.shared_lock import SharedLock
from allma_server._internal.tasks import completed
from allma_server.ports import Vector
from allma_server.storage.sqlite.outbox import Outbox
from allma_server.storage.vectors.row_table import RowTable, open_table
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
        self._rows = SharedLock()
        self._updating, self._saving = asyncio.Lock(), asyncio.Lock()
        self._table: RowTable | None = None

    @property
    def rows(self) -> int | None:
        """How many rows a search compares; None while the file is not open."""
        return len(self._table.chunks) if self._table is not None else None

    async def nearest(
        self, vector: Vector, k: int, documents: DocumentSet | None = None
    ) -> list[Hit]:
        """Return the `k` chunks most similar to `vector`, as SQLite has them now."""
        wanted = max(int(RESCORED * k), k + MIN_RESCORED)
        found = await self._compared(vector, wanted, documents)
        vectors = await self._outbox.vectors_of(self._embedder, found)
        if not vectors:
            return []
        scores = np.stack(list(vectors.values())) @ vector
        return best(np.array(list(vectors), np.int64), scores, k)

    async def update(self) -> None:
        """Apply the changes in the outbox, and write them to the disk.

        Called before changes are acknowledged there, and before deleted chunks count as erased.
        """
        async with self._saving:
            if self._table is None and not await _finished(self.path.exists):
                return
            await self._save(await self._updated())

    async def count(self) -> int:
        """Return how many vectors are found; changes in the outbox are applied first."""
        return (await self._updated()).count

    async def enqueue_all(self) -> None:
        """Make every chunk with a vector pending in the outbox, for a store that starts empty."""
        async with self._saving:
            if self._table is None and not await _finished(self.path.exists):
                await self._outbox.enqueue_all(self._embedder, 0)
                return
            table = await self._updated()
            async with self._updating:
                pending, last = await self._outbox.enqueue_all(self._embedder, table.seq)
                # All others were applied here already; only the store must be given them again.
                changes = await self._outbox.changes_of(self._embedder, pending)
                async with self._rows.exclusive():
                    await _finished(table.apply, changes, last)
            await self._save(table)

    async def reset(self) -> None:
        """Delete the file; the next search makes it again.

        Raises:
            OSError: it cannot be deleted.
        """
        async with self._saving, self._updating, self._rows.exclusive():
            table, self._table = self._table, None
            if table is not None:
                await _finished(table.close)
            await _finished(self.path.unlink, missing_ok=True)

    async def close(self) -> None:
        async with self._saving:
            if self._table is not None:
                await self._save(self._table)
            async with self._updating, self._rows.exclusive():
                table, self._table = self._table, None
                if table is not None:
                    await _finished(table.close)

    async def _compared(
        self, vector: Vector, wanted: int, documents: DocumentSet | None
    ) -> list[int]:
        """Return the chunks whose codes are most similar; several searches do so at once."""
        while True:
            await self._updated()
            async with self._rows.shared():
                if self._table is not None:  # it was not deleted meanwhile
                    return await _finished(self._table.best, vector, wanted, documents)

    async def _updated(self) -> RowTable:
        """Return the table with all changes in the outbox; it is opened if it is not."""
        async with self._updating:
            table = self._table
            if table is None:
                table = self._table = await self._opened()
            more = True
            while more:
                changes = await self._outbox.changes_after(self._embedder, table.seq, LOAD_ROWS)
                if changes:
                    async with self._rows.exclusive():
                        await _finished(table.apply, changes, changes[-1].seq)
                more = len(changes) == LOAD_ROWS
            return table

    async def _save(self, table: RowTable) -> None:
        """Write what changed to the disk; `_saving` is held. Searches do not wait for the disk."""
        async with self._rows.exclusive():
            header = await _finished(table.prepare_save)
        if header is None:
            return
        try:
            await _finished(table.commit, header)
        except OSError as exc:
            async with self._rows.exclusive():
                await _finished(table.keep_in_memory, exc)

    async def _opened(self) -> RowTable:
        table = await _finished(open_table, self.path, self._identity)
        if table is None or table.seq > await self._outbox.last_seq():
            if table is not None:
                await _finished(table.close)
            table = await self._filled()
        return table

    async def _filled(self) -> RowTable:
        """Return a new table with all vectors in SQLite."""
        log.info("making %s from the vectors in SQLite", self.path.name)
        # Changes made meanwhile have later numbers, and are applied afterwards.
        seq, last = await self._outbox.last_seq(), 0
        table = RowTable(self.path, self._identity)
        while batch := await self._outbox.vectors(self._embedder, last, LOAD_ROWS):
            await _finished(table.apply, batch, 0)
            last = batch[-1].chunk_id
        table.seq = seq
        await _finished(table.save)
        return table


def best(ids: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> list[Hit]:
    """Return the `k` ids with the highest scores, best first."""
    if len(ids) > k:
        top = np.argpartition(scores, -k)[-k:]
        ids, scores = ids[top], scores[top]
    order = np.argsort(-scores, kind="stable")
    return [Hit(int(ids[i]), float(scores[i])) for i in order]


async def _finished(call: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
    """Return the result of a blocking call; if cancelled, wait for its end.

    The lock is not released while the call is still changing the rows.
    """
    return await completed(asyncio.to_thread(call, *args, **options))
