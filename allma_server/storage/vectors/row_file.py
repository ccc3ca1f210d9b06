"""The file that keeps rows of codes: a header and the rows, mapped into memory for reading.

It is written by calls and never through the mapping: on a full disk, that would end the process.
All methods block.
"""

import contextlib
import mmap
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from allma_server._internal.private import private_opener
from allma_server.storage.vectors.codes import Rows, empty_rows, row_type

_HEADER_BYTES = 4096
_HEADER = struct.Struct("<8sIIQQ32s")
_MAGIC = b"allmarow"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Header:
    """What the file holds: `rows` rows, with all changes up to number `seq` of the outbox.

    `identity` names the database and the embedder.
    """

    identity: str
    dimensions: int
    rows: int
    seq: int

    def packed(self) -> bytes:
        """Return the header as bytes, with a checksum."""
        packed = _HEADER.pack(
            _MAGIC, _VERSION, self.dimensions, self.rows, self.seq, _digest(self.identity)
        )
        return packed + struct.pack("<I", zlib.crc32(packed))


class RowsInMemory:
    """Rows that are kept only as long as this process; where no file can be written."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.rows = rows

    def put(self, places: NDArray[np.intp], rows: Rows) -> None:
        """Write rows at these ascending places, also behind the last one."""
        needed = int(places[-1]) + 1 if len(places) else 0
        if needed > len(self._rows):
            grown = np.zeros(max(needed, len(self._rows) * 3 // 2), rows.dtype)
            grown[: len(self.rows)] = self.rows
            self._rows = grown
        self._rows[places] = rows
        self.rows = self._rows[: max(len(self.rows), needed)]

    def cut(self, count: int) -> None:
        """Keep only the first rows."""
        self.rows = self._rows[:count]

    def commit(self, header: Header) -> None:
        """Do nothing: there is no file."""

    def close(self) -> None:
        """Do nothing: there is no file."""


class RowFile:
    """Rows in a file. `rows` is a view of them, valid until the next change."""

    def __init__(self, file: BinaryIO, dimensions: int, count: int) -> None:
        self._file = file
        self._seeking = threading.Lock()
        self._type = row_type(dimensions)
        self.rows = empty_rows(0, dimensions)
        self._count = count
        self._map()

    @classmethod
    def create(cls, path: Path, dimensions: int) -> "RowFile":
        """Create a file without rows, and without a header until the first commit.

        Raises:
            OSError: it cannot be created.
        """
        path.unlink(missing_ok=True)
        file = open(path, "xb+", buffering=0, opener=private_opener)
        try:
            file.truncate(_HEADER_BYTES)
            return cls(file, dimensions, 0)
        except BaseException:
            file.close()
            raise

    @classmethod
    def open(cls, path: Path, identity: str) -> "tuple[RowFile, Header] | None":
        """Open the file of this database and embedder; None if there is none, or it is damaged.

        Where it cannot be written it is opened for reading, and `put` raises.

        Raises:
            OSError: it cannot be read.
        """
        try:
            file = open(path, "rb+", buffering=0)
        except FileNotFoundError:
            return None
        except OSError:
            file = open(path, "rb", buffering=0)
        try:
            header = _read_header(file, identity)
            if header is not None:
                return cls(file, header.dimensions, header.rows), header
        except BaseException:
            file.close()
            raise
        file.close()
        return None

    def put(self, places: NDArray[np.intp], rows: Rows) -> None:
        """Write rows at these ascending places, also behind the last one.

        Raises:
            OSError: the disk is full, or the file cannot be written.
        """
        for start, stop in _runs(places):
            self._write(_HEADER_BYTES + int(places[start]) * self._type.itemsize, rows[start:stop])
        needed = int(places[-1]) + 1 if len(places) else 0
        if needed > self._count:
            self._count = needed
            self._map()

    def cut(self, count: int) -> None:
        """Keep only the first rows.

        Raises:
            OSError: the file cannot be written.
        """
        self._count = count
        self.rows = np.empty(0, self._type)  # the mapping ends before the file does
        self._file.truncate(_HEADER_BYTES + count * self._type.itemsize)
        self._map()

    def commit(self, header: Header) -> None:
        """Write all rows to the disk, and then what they are.

        Raises:
            OSError: the file cannot be written.
        """
        # A change that the outbox forgets must be on the disk before.
        with contextlib.suppress(ValueError):  # closed: the rows are kept in memory now
            os.fsync(self._file.fileno())
            self._write(0, header.packed())

    def close(self) -> None:
        """Close the file; the rows are no longer valid."""
        self.rows = np.empty(0, self._type)
        self._file.close()

    def _write(self, offset: int, data: bytes | Rows) -> None:
        rest = memoryview(data if isinstance(data, bytes) else data.tobytes())
        with self._seeking:  # a commit runs beside later changes
            self._file.seek(offset)
            while len(rest):
                rest = rest[self._file.write(rest) :]

    def _map(self) -> None:
        if not self._count:
            self.rows = np.empty(0, self._type)
            return
        length = _HEADER_BYTES + self._count * self._type.itemsize
        mapped = mmap.mmap(self._file.fileno(), length, access=mmap.ACCESS_READ)
        self.rows = np.frombuffer(mapped, self._type, self._count, _HEADER_BYTES)


def _read_header(file: BinaryIO, identity: str) -> Header | None:
    packed = file.read(_HEADER.size + 4)
    if len(packed) < _HEADER.size + 4:
        return None
    magic, version, dimensions, rows, seq, _ = _HEADER.unpack(packed[:-4])
    header = Header(identity, dimensions, rows, seq)
    if (magic, version) != (_MAGIC, _VERSION) or packed != header.packed():
        return None
    size = os.fstat(file.fileno()).st_size
    if size < _HEADER_BYTES + rows * row_type(dimensions).itemsize:
        return None
    return header


def _digest(identity: str) -> bytes:
    return blake2b(identity.encode(), digest_size=32).digest()


def _runs(places: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Yield the bounds of consecutive places."""
    ends = (np.diff(places) != 1).nonzero()[0] + 1
    bounds = [0, *ends.tolist(), len(places)]
    return ((a, b) for a, b in zip(bounds, bounds[1:], strict=False) if a < b)
