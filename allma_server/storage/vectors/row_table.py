"""The rows of codes, and in memory which chunk and document each belongs to. All methods block."""

import contextlib
import logging
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from allma_server._internal.private import make_private_folder
from allma_server.ports import Vector
from allma_server.storage.sqlite.outbox import VectorChange
from allma_server.storage.vectors.codes import (
    are_intact,
    best_places,
    empty_rows,
    encode,
    row_dimensions,
)
from allma_server.storage.vectors.row_file import Header, RowFile, RowsInMemory
from allma_server.types import DocumentSet

log = logging.getLogger(__name__)

MAX_EMPTY_SHARE, MIN_EMPTY = 0.25, 1_000
"""With more empty rows, the last rows are moved there."""

_CACHED_SCOPES = 8


class RowTable:
    """The rows of one embedder. Searches run at once; nothing else runs beside them or a change."""

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
        self._choosing = threading.Lock()

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

    def prepare_save(self) -> Header | None:
        """Return what to commit; None when everything is on the disk."""
        if self._is_saved or self._stored is None:
            return None
        self._fill_empty_rows()
        self._is_saved = True
        return self._header()

    def commit(self, header: Header) -> None:
        """Write the rows to the disk as they were when this was returned, or later ones.

        A later change has a larger number than the header, and is applied again after a crash.

        Raises:
            OSError: the file cannot be written.
        """
        if self._stored is not None:
            self._stored.commit(header)

    def save(self) -> None:
        """Write what changed to the disk, while nothing else uses the table."""
        header = self.prepare_save()
        try:
            if header is not None:
                self.commit(header)
        except OSError as exc:
            self.keep_in_memory(exc)

    def close(self) -> None:
        if self._stored is not None:
            self._stored.close()
            self._stored = None

    def _places(self, documents: DocumentSet) -> NDArray[np.intp]:
        """Return the rows of these documents, ascending."""
        with self._choosing:
            return self._chosen(documents)

    def _chosen(self, documents: DocumentSet) -> NDArray[np.intp]:
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
        near = ((self.chunks >= wanted.min()) & (self.chunks <= wanted.max())).nonzero()[0]
        places = near[np.isin(self.chunks[near], wanted)]
        return dict(zip(self.chunks[places].tolist(), places.tolist(), strict=True))

    def _put(self, places: NDArray[np.intp], rows: NDArray[np.void]) -> None:
        try:
            self._opened(rows).put(places, rows)
        except OSError as exc:
            self.keep_in_memory(exc).put(places, rows)
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

    def keep_in_memory(self, exc: OSError) -> RowsInMemory:
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
            self._stored.commit(self._header())
            self._stored.cut(count)
        except OSError as exc:
            self.keep_in_memory(exc)

    def _header(self) -> Header:
        return Header(self._identity, self._dimensions, len(self.chunks), self.seq)


def open_table(path: Path, identity: str) -> RowTable | None:
    """Return the table in a file; None if there is none, or it is damaged. Blocks."""
    try:
        opened = RowFile.open(path, identity)
    except OSError as exc:
        log.warning("%s cannot be read: %s", path, exc)
        return None
    if opened is None:
        return None
    table = RowTable(path, identity)
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
