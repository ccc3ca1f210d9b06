"""Is a Chroma directory safe to open? Told from its files, without Chroma.

Chroma 1.5.9 writes its HNSW index in place, without a temporary file: whoever is killed meanwhile
leaves a torn one, which can crash the process that opens it or grow to terabytes. What fits
together is recorded in three places, so a torn index can be seen from outside.
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

_MARK = 2
"""The byte of an element whose lowest bit says that it is deleted."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Places in the index: `used` ever since it was built, of which `live` still hold a vector."""

    used: int
    live: int


class Torn(Exception):
    """The index must not be opened; the message says why."""


def inspect(directory: Path) -> Slots:
    """The index files below a Chroma directory, added up.

    Raises:
        Torn: one of them does not fit together.
    """
    found = [_inspect(segment) for segment in _segments(directory)]
    return Slots(sum(s.used for s in found), sum(s.live for s in found))


def overwrite_deleted(directory: Path) -> None:
    """Overwrites the vectors of deleted elements with zeros; nobody may have the index open.

    hnswlib marks them only, and searches still pass through them: a few without a vector do no
    harm, many are a reason to build the index anew.

    Raises:
        Torn: the index does not fit together.
    """
    for segment in _segments(directory):
        if not _inspect(segment).used:
            continue
        head = (segment / "header.bin").read_bytes()[: _HEADER.size]
        _, _, _, elements, size, label_at, vector_at = _HEADER.unpack(head)
        rows = np.memmap(segment / "data_level0.bin", np.uint8, "r+", shape=(elements, size))
        deleted = np.flatnonzero(rows[:, _MARK] & 1)
        rows[deleted, vector_at:label_at] = 0
        rows.flush()


def _segments(directory: Path) -> Iterator[Path]:
    if directory.is_dir():
        yield from (entry for entry in directory.iterdir() if entry.is_dir())


def _inspect(segment: Path) -> Slots:
    try:
        elements, element_size = _header(segment / "header.bin")
        if not (segment / "index_metadata.pickle").exists():
            # Files of the capacity's size exist before the first flush, which makes the list.
            if elements:
                raise Torn("the index has vectors, but no list of them")
            return Slots(0, 0)
        slots = _listed(segment / "index_metadata.pickle")
        lengths, data, links = (
            (segment / name).stat().st_size
            for name in ("length.bin", "data_level0.bin", "link_lists.bin")
        )
    except OSError as exc:
        raise Torn(f"a file of the index cannot be read: {exc}") from exc
    if lengths != 4 * elements:
        raise Torn("the index's lengths do not fit its header")
    if data != elements * element_size:
        raise Torn("the index's vectors do not fit its header")
    if links > 10 * data + 1_000_000:
        raise Torn("the index's links are larger than can be")
    if slots.used != elements:
        raise Torn("the index's list of vectors does not fit its header")
    return slots


def _header(path: Path) -> tuple[int, int]:
    """How many elements the index has, and the bytes of each."""
    if not path.exists():
        return 0, 0
    head = path.read_bytes()[: _HEADER.size]
    if len(head) < _HEADER.size:
        raise Torn("the index's header is cut off")
    _, _, _, elements, element_size, _, _ = _HEADER.unpack(head)
    return elements, element_size


class _PlainData(pickle.Unpickler):
    """Loads numbers, strings, lists and dictionaries; a pickle that names code is refused."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is not plain data")


def _listed(path: Path) -> Slots:
    with path.open("rb") as file:
        data = _load(file)
    try:
        return Slots(int(data["total_elements_added"]), len(data["id_to_label"]))
    except (KeyError, TypeError, ValueError) as exc:
        raise Torn("the index's list of vectors has another form") from exc


def _load(file: BinaryIO) -> Any:
    try:
        return _PlainData(file).load()
    # A damaged pickle can fail in any of these ways, as its documentation says.
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
        raise Torn("the index's list of vectors is damaged") from exc
