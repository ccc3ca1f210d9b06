"""Check from its files, without Chroma, whether a Chroma directory is safe to open.

Chroma 1.5.9 writes its HNSW index in place, without a temporary file. A process killed during the
write leaves a torn index, which can crash the process that opens it or grow to terabytes. Its
sizes are recorded in three files, so a torn index is visible without opening it.
"""

import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

_HEADER = struct.Struct("<iQQQQQQ")
"""hnswlib's header: version, offset, capacity, elements, bytes per element, and two offsets."""

_DELETED_FLAG = 2
"""The offset in an element of the byte whose lowest bit marks it as deleted."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Slots of the index: `used` since it was built; `live` ones of them still hold a vector."""

    used: int
    live: int


class TornIndex(Exception):
    """The index must not be opened; the message says why."""


def inspect(directory: Path) -> Slots:
    """Return the slots of all index files below a Chroma directory.

    Raises:
        TornIndex: the files of one of them contradict each other.
    """
    found = [_inspect(segment) for segment in _segments(directory)]
    return Slots(sum(s.used for s in found), sum(s.live for s in found))


def overwrite_deleted(directory: Path) -> None:
    """Overwrite the vectors of deleted elements with zeros; nothing may have the index open.

    hnswlib only marks them, and searches still pass through them: a few zero vectors do no harm,
    many are a reason to rebuild the index.

    Raises:
        TornIndex: the files of the index contradict each other.
    """
    for segment in _segments(directory):
        if not _inspect(segment).used:
            continue
        head = (segment / "header.bin").read_bytes()[: _HEADER.size]
        _, _, _, elements, size, label_at, vector_at = _HEADER.unpack(head)
        rows = np.memmap(segment / "data_level0.bin", np.uint8, "r+", shape=(elements, size))
        deleted = np.flatnonzero(rows[:, _DELETED_FLAG] & 1)
        rows[deleted, vector_at:label_at] = 0
        rows.flush()


def _segments(directory: Path) -> Iterator[Path]:
    if directory.is_dir():
        yield from (entry for entry in directory.iterdir() if entry.is_dir())


def _inspect(segment: Path) -> Slots:
    try:
        elements, element_size = _header(segment / "header.bin")
        if not (segment / "index_metadata.pickle").exists():
            # Files of full capacity exist before the first flush, which writes the list.
            if elements:
                raise TornIndex("the index has vectors but no list of them")
            return Slots(0, 0)
        slots = _read_list(segment / "index_metadata.pickle")
        lengths, data, links = (
            (segment / name).stat().st_size
            for name in ("length.bin", "data_level0.bin", "link_lists.bin")
        )
    except OSError as exc:
        raise TornIndex(f"cannot read a file of the index: {exc}") from exc
    if lengths != 4 * elements:
        raise TornIndex("length.bin contradicts the index's header")
    if data != elements * element_size:
        raise TornIndex("data_level0.bin contradicts the index's header")
    if links > 10 * data + 1_000_000:
        raise TornIndex("link_lists.bin is larger than possible")
    if slots.used != elements:
        raise TornIndex("the list of vectors contradicts the index's header")
    return slots


def _header(path: Path) -> tuple[int, int]:
    """Return the number of elements in the index, and the bytes of each."""
    if not path.exists():
        return 0, 0
    head = path.read_bytes()[: _HEADER.size]
    if len(head) < _HEADER.size:
        raise TornIndex("the index's header is truncated")
    _, _, _, elements, element_size, _, _ = _HEADER.unpack(head)
    return elements, element_size


class _PlainData(pickle.Unpickler):
    """Load numbers, strings, lists and dictionaries; refuse a pickle that names code."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is not plain data")


def _read_list(path: Path) -> Slots:
    with path.open("rb") as file:
        data = _load(file)
    try:
        return Slots(int(data["total_elements_added"]), len(data["id_to_label"]))
    except (KeyError, TypeError, ValueError) as exc:
        raise TornIndex("the list of vectors has an unknown form") from exc


def _load(file: BinaryIO) -> Any:
    try:
        return _PlainData(file).load()
    # The documentation of pickle: a damaged one may raise any of these.
    except (
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        ImportError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        MemoryError,
        OverflowError,
    ) as exc:
        raise TornIndex("the list of vectors is damaged") from exc
