"""Lines of recognised text, and the order in which people read them."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

_HYPHENATED = re.compile(r"([^\W\d_])-\n(?=[^\W\d_A-Z])")

_MIN_GUTTER = 0.8
"""The width of the gap between two columns, in heights of a line."""

_MAX_COLUMN = 0.55
"""The width of a column of text, as a share of the width of all text."""

_MIN_PROSE = 15
"""Characters in the median line of a column of text."""

_MIN_LETTERS = 1.0
"""Letters, and halves of Chinese ones, for each height of a line that it is long; usual are 1.8."""

_PARAGRAPH_GAP = 0.9
"""The distance of two lines from which a paragraph begins, in heights of a line."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text in a picture: its confidence from 0 to 1, and its corners in pixels.

    The corners begin at its upper left and go round clockwise.
    """

    text: str
    confidence: float
    corners: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class _Box:
    line: Line
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


def text_of(lines: Sequence[Line]) -> str:
    """Return the text of a page, column by column; words that are hyphenated are joined."""
    boxes = _straightened(lines)
    if not boxes:
        return ""
    height = median(box.height for box in boxes)
    blocks = [_block_text(block, height) for block in _blocks(boxes, height)]
    return _HYPHENATED.sub(r"\1", "\n\n".join(blocks))


def has_known_letters(lines: Sequence[Line]) -> bool:
    """Whether lines have as many letters as they are wide, as far as one can tell.

    A recogniser reads an unknown script as a few other letters or signs, and is sure of them.
    """
    heights = sum(_length(line) for line in lines)
    letters = [each for line in lines for each in line.text if each.isalnum()]
    wide = sum(each >= "\u2e80" for each in letters)
    return len(letters) + wide >= _MIN_LETTERS * heights


def _length(line: Line) -> float:
    """Return the length of a line in its heights."""
    first, second, third = line.corners[:3]
    sides = sorted((math.dist(first, second), math.dist(second, third)))
    return sides[1] / max(sides[0], 1.0)


def confidence_of(lines: Sequence[Line]) -> float:
    """Return the mean confidence of lines, by their letters; 0 without any."""
    letters = sum(len(line.text) for line in lines)
    return sum(line.confidence * len(line.text) for line in lines) / letters if letters else 0.0


def _straightened(lines: Sequence[Line]) -> list[_Box]:
    """Return the boxes of lines as they were on a page that is not skewed."""
    angle = median([_angle(line) for line in lines]) if lines else 0.0
    cos, sin = math.cos(-angle), math.sin(-angle)
    boxes: list[_Box] = []
    for line in lines:
        turned = [(x * cos - y * sin, x * sin + y * cos) for x, y in line.corners]
        xs, ys = [x for x, _ in turned], [y for _, y in turned]
        boxes.append(_Box(line, min(xs), min(ys), max(xs), max(ys)))
    return boxes


def _angle(line: Line) -> float:
    (x0, y0), (x1, y1) = line.corners[:2]
    return math.atan2(y1 - y0, x1 - x0) if x1 > x0 else 0.0


def _blocks(boxes: Sequence[_Box], height: float) -> list[list[_Box]]:
    """Return the parts of a page in reading order: a heading above columns, each column, ….

    What is wider than a column separates the columns above it from those below.
    """
    width = max(box.right for box in boxes) - min(box.left for box in boxes)
    narrow = [box for box in boxes if box.right - box.left < _MAX_COLUMN * width]
    columns = _columns(narrow, _MIN_GUTTER * height)
    if len(columns) < 2 or not all(map(_is_prose, columns)):
        return [list(boxes)]
    blocks: list[list[_Box]] = []
    wide = [box for box in boxes if box.right - box.left >= _MAX_COLUMN * width]
    edges = [*sorted(box.middle for box in wide), math.inf]
    for above, below in pairwise([-math.inf, *edges]):
        blocks.append([box for box in wide if box.middle == above])
        for column in columns:
            blocks.append([box for box in column if above < box.middle <= below])
    return [block for block in blocks if block]


def _columns(boxes: Sequence[_Box], gutter: float) -> list[list[_Box]]:
    """Group boxes by the white gaps between them, from left to right."""
    groups: list[list[_Box]] = []
    end = -math.inf
    for box in sorted(boxes, key=lambda box: box.left):
        if box.left - end > gutter:
            groups.append([])
        groups[-1].append(box)
        end = max(end, box.right)
    return groups


def _is_prose(column: Sequence[_Box]) -> bool:
    """Whether a column is one of text; cells of a table are read row by row."""
    return len(column) >= 3 and median(len(box.line.text) for box in column) >= _MIN_PROSE


def _rows(boxes: Sequence[_Box]) -> list[list[_Box]]:
    rows: list[list[_Box]] = []
    for box in sorted(boxes, key=lambda box: box.middle):
        if not rows or box.middle - rows[-1][0].middle > 0.5 * min(box.height, rows[-1][0].height):
            rows.append([])
        rows[-1].append(box)
    return [sorted(row, key=lambda box: box.left) for row in rows]


def _block_text(boxes: Sequence[_Box], height: float) -> str:
    parts: list[str] = []
    end = math.inf
    for row in _rows(boxes):
        gap = min(box.top for box in row) - end
        parts.append("\n\n" if gap > _PARAGRAPH_GAP * height else "\n")
        parts.append(" ".join(box.line.text for box in row))
        end = max(box.bottom for box in row)
    return "".join(parts[1:])
