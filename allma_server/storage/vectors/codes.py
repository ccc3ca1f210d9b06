"""Vectors as int8 codes: a quarter of float32, and compared thirty times as fast as by numpy.

A row holds a chunk's id, its document's id and its vector, rounded to 127 steps of its largest
component. Scores of codes are accurate to about 0.01, so that the best of them are scored again
with the vectors in SQLite.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allma_server.ports import Vector

Rows = NDArray[np.void]
"""Rows of `row_type`: shape (rows,)."""

BLOCK = 16_384
"""Rows compared in one call, 0.2 ms: other threads of the process go on in between."""

GATHERED_SHARE = 0.25
"""Below, rows are copied together first; above, those in between are compared too: it is faster."""

PARALLEL_ROWS, MAX_THREADS = 150_000, 4
"""Above so many rows, several threads compare them: simsimd lets them run at the same time."""

_CHECK_WORD = 5
_STEPS = 127


def row_dimensions(dimensions: int) -> int:
    """Return how many codes a row has for a vector of so many dimensions: a multiple of 8."""
    return -(-dimensions // 8) * 8


def row_type(dimensions: int) -> np.dtype[np.void]:
    """Return the type of a row: 24 bytes, and one for each code."""
    return np.dtype(
        [
            ("chunk", "<i8"),  # 0: the row is empty
            ("document", "<i8"),
            ("scale", "<f4"),  # what a code of 1 stands for
            ("check", "<u4"),
            ("codes", "i1", (row_dimensions(dimensions),)),
        ]
    )


def encode(
    chunks: NDArray[np.int64], documents: NDArray[np.int64], vectors: NDArray[np.floating[Any]]
) -> Rows:
    """Return the rows of these chunks; `vectors` has the shape (chunks, dimensions)."""
    rows = np.zeros(len(chunks), row_type(vectors.shape[1]))
    rows["chunk"], rows["document"] = chunks, documents
    rows["codes"][:, : vectors.shape[1]], rows["scale"] = _rounded(vectors)
    rows["check"] = _checks(rows)
    return rows


def empty_rows(count: int, dimensions: int) -> Rows:
    """Return rows that hold nothing, to overwrite others with."""
    return np.zeros(count, row_type(dimensions))


def are_intact(rows: Rows) -> bool:
    """Return whether all rows are as they were written, or empty."""
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        expected = np.where(some["chunk"] == 0, 0, _checks(some))
        if not np.array_equal(expected, some["check"]):
            return False
    return True


def best_places(
    rows: Rows, live: NDArray[np.bool_], vector: Vector, k: int, places: NDArray[np.intp] | None
) -> NDArray[np.intp]:
    """Return where the `k` rows with the highest scores are, in no order.

    Args:
        rows: what is searched.
        live: which rows are not empty.
        vector: what is searched for.
        k: how many rows are wanted.
        places: the rows to search, ascending; None for all.
    """
    codes, _ = _rounded(vector[np.newaxis])
    wanted = np.zeros((1, rows["codes"].shape[1]), np.int8)
    wanted[:, : codes.shape[1]] = codes

    def best_inside(bounds: range) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        return _best_inside(bounds, rows, live, wanted, k, places)

    parts = _parts(len(rows), len(rows) if places is None else len(places))
    if len(parts) == 1:
        return best_inside(parts[0])[0]
    with ThreadPoolExecutor(len(parts)) as threads:
        found, scores = zip(*threads.map(best_inside, parts), strict=True)
    return _top(np.concatenate(found), np.concatenate(scores), k)[0]


def _parts(rows: int, compared: int) -> list[range]:
    """Return the parts of so many rows that a thread each compares."""
    count = min(MAX_THREADS, os.cpu_count() or 1) if compared > PARALLEL_ROWS else 1
    size = -(-rows // count) or 1
    return [range(start, min(start + size, rows)) for start in range(0, rows or 1, size)]


def _best_inside(
    bounds: range,
    rows: Rows,
    live: NDArray[np.bool_],
    wanted: NDArray[np.int8],
    k: int,
    places: NDArray[np.intp] | None,
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return where the `k` best of some consecutive rows are, and their scores."""
    found, scores = np.empty(0, np.intp), np.empty(0, np.float32)
    least = -np.inf
    for start in range(bounds.start, bounds.stop, BLOCK):
        block = slice(start, min(start + BLOCK, bounds.stop))
        some = None if places is None else places[slice(*places.searchsorted([start, block.stop]))]
        if some is not None and not len(some):
            continue
        of_scores = _scores(rows, block, some, wanted)
        numbers = np.arange(start, block.stop, dtype=np.intp) if some is None else some
        of_scores[~live[numbers]] = -np.inf
        above = (of_scores > least).nonzero()[0]
        found = np.concatenate([found, numbers[above]])
        scores = np.concatenate([scores, of_scores[above]])
        if len(found) > k:
            found, scores = _top(found, scores, k)
            least = float(scores.min())
    return found, scores


def _top(
    found: NDArray[np.intp], scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the `k` with the highest scores, in no order."""
    if len(found) <= k:
        return found, scores
    top = np.argpartition(scores, -k)[-k:]
    return found[top], scores[top]


def _scores(
    rows: Rows, block: slice, some: NDArray[np.intp] | None, wanted: NDArray[np.int8]
) -> NDArray[np.float32]:
    """Return the scores of the rows of a block, or of some of them."""
    if some is None:
        compared = rows[block]
        return _dot(compared["codes"], wanted) * compared["scale"]
    first, last = int(some[0]), int(some[-1]) + 1
    if len(some) < GATHERED_SHARE * (last - first):
        compared = rows[some]
        return _dot(compared["codes"], wanted) * compared["scale"]
    compared = rows[first:last]
    scores = _dot(compared["codes"], wanted) * compared["scale"]
    return scores if len(some) == last - first else scores[some - first]


def _dot(codes: NDArray[np.int8], wanted: NDArray[np.int8]) -> NDArray[np.float32]:
    import simsimd  # imported late: a process that only forwards has no use for it

    products: Any = simsimd.cdist(codes, wanted, "dot")
    return np.asarray(products, np.float32).reshape(-1)


def _rounded(vectors: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return the codes of each vector, and what a code of 1 stands for."""
    finite = np.nan_to_num(vectors.astype(np.float32))
    scale = np.abs(finite).max(axis=1, initial=0.0) / _STEPS
    divisors = np.where(scale > 0, scale, 1.0)[:, np.newaxis]
    return np.rint(finite / divisors).astype(np.int8), scale.astype(np.float32)


def _checks(rows: Rows) -> NDArray[np.uint32]:
    """Return a checksum of each row over all its other fields."""
    words = np.ascontiguousarray(rows).view(np.uint32).reshape(len(rows), -1)
    weights = (np.arange(1, words.shape[1] + 1, dtype=np.uint32) * np.uint32(2_654_435_761)) | 1
    weights[_CHECK_WORD] = 0
    sums = (words * weights).sum(axis=1, dtype=np.uint32)
    # Never 0, which is the checksum of an empty row.
    return sums | np.uint32(1)
