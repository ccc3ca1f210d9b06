r"""What a line is: it ends with `\n`, `\r\n` or `\r`, and with nothing else.

So chunks are numbered and editors count. `str.splitlines` also ends lines at form feeds, U+0085 and
U+2028, which would shift all that follows.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_BREAK = re.compile(r"\r\n|\r|\n")
_BREAK_BYTES = re.compile(rb"\r\n|\r|\n")


def split_lines(text: str) -> list[str]:
    """The lines of a text, without their ends."""
    lines = _BREAK.split(text)
    if not lines[-1]:
        lines.pop()
    return lines


@dataclass(frozen=True, slots=True)
class FileLines:
    """Lines of a file from `first` on; `total` is how many it has. `head`: how the file begins."""

    first: int
    lines: list[bytes]
    total: int
    head: bytes


def lines_of(blocks: Iterable[bytes], first: int, last: int | None, most: int) -> FileLines:
    """Lines `first` to `last` of a file that is read block by block, `most` bytes of them at most.

    Only what is returned is kept in memory; the last line may be cut.
    """
    kept: list[bytes] = []
    head, total, left = b"", 0, most
    for total, piece in _numbered(blocks):
        head = head or piece[:4]
        if total < first or left <= 0 or (last is not None and total > last):
            continue
        if total - first == len(kept):
            kept.append(b"")
            left -= 1
        kept[-1] += piece[:left]
        left -= len(piece)
    return FileLines(first, kept, total, head)


def _numbered(blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Pieces of lines with the line's number; an empty line is one empty piece."""
    number, begun, ended_by_cr = 1, False, False
    for block in blocks:
        # The two halves of one line end may stand in two blocks.
        content = block.removeprefix(b"\n") if ended_by_cr else block
        ended_by_cr = content.endswith(b"\r")
        for index, piece in enumerate(_BREAK_BYTES.split(content)):
            if index:
                if not begun:
                    yield number, b""
                number, begun = number + 1, False
            if piece:
                begun = True
                yield number, piece
