"""A deterministic recogniser without a model, for fast tests: it reads text drawn as dots.

Each byte of UTF-8 is a column of eight cells, dark for 1, with the highest bit on top. A line
begins and ends with a column that is all dark, which tells its place and the size of its cells.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from allma_server.documents.ocr.lines import Line
from allma_server.documents.ocr.page_images import Pixels


def load() -> "DotReader":
    """Return the recogniser."""
    return DotReader()


class DotReader:
    """Reads the lines of a picture from top to bottom."""

    def __call__(self, pixels: Pixels) -> Sequence[Line]:
        dark: NDArray[np.bool_] = pixels.mean(axis=2) < 128
        return [line for rows in _runs(dark) if (line := _read(dark, rows))]


def _runs(dark: NDArray[np.bool_]) -> Iterator[slice]:
    """Yield the rows of each line."""
    marks = np.pad(dark.any(axis=1, keepdims=True).ravel().astype(np.int8), 1)
    edges = np.flatnonzero(np.diff(marks))
    for first, end in edges.reshape(-1, 2).tolist():
        yield slice(first, end)


def _read(dark: NDArray[np.bool_], rows: slice) -> Line | None:
    columns = np.flatnonzero(dark[rows].any(axis=0, keepdims=True))
    left, right = int(columns[0]), int(columns[-1]) + 1
    cell = (rows.stop - rows.start) / 8
    count = round((right - left) / cell) - 2
    if count < 1:
        return None
    xs = [int(left + (each + 1.5) * cell) for each in range(count)]
    ys = [int(rows.start + (each + 0.5) * cell) for each in range(8)]
    codes = np.packbits(dark[np.ix_(ys, xs)], axis=0).tobytes()
    text = codes.decode("utf-8", "replace")
    top, bottom = rows.start, rows.stop
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return Line(text, 0.5 if "\ufffd" in text else 1.0, corners)
