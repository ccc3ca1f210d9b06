r"""Split text into lines, which end with `\n`, `\r\n` or `\r` and nothing else.

Editors count lines like this, and so do chunks. `str.splitlines` also splits at form feeds, U+0085
and U+2028, which would shift all following numbers.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

CONTEXT_LINES = 400
CONTEXT_BYTES = 40_000
"""Lines before the requested ones that are read too: as much as a private key may span."""

_MAX_HEADER = 4_000

_BREAK = re.compile(r"\r\n|\r|\n")
_WHOLE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_NAMED = re.compile(
    r"(?s)(.+)(?::([1-9]\d{0,8})(?:-([1-9]\d{0,8}))?|#L([1-9]\d{0,8})(?:-L?([1-9]\d{0,8}))?)",
    re.ASCII,
)
_BREAK_BYTES = re.compile(rb"\r\n|\r|\n")


def split_lines(text: str) -> list[str]:
    """Return the lines of a text, without line ends."""
    lines = _BREAK.split(text)
    if not lines[-1]:
        lines.pop()
    return lines


def lines_with_ends(text: str) -> list[str]:
    """Return the lines of a text, each with its line end."""
    return _WHOLE.findall(text)


def named_lines(source: str) -> tuple[str, int, int] | None:
    """Parse `a.md:3`, `a.md:3-7`, `a.md#L3` or `a.md#L3-L7`: a file, its first and last line.

    Return None for a name without lines. A file may have such a name, so callers try that first.
    """
    found = _NAMED.fullmatch(source)
    if found is None:
        return None
    first, last = found[2] or found[4], found[3] or found[5]
    return found[1], int(first), int(last or first)


@dataclass(frozen=True, slots=True)
class FileLines:
    """Lines of a file, starting with number `first`, of `total` lines.

    `head`: the first bytes of the file. `before`: some of the lines before `first`.
    """

    first: int
    lines: list[bytes]
    total: int
    head: bytes
    before: list[bytes] = field(default_factory=list[bytes])


def lines_of(blocks: Iterable[bytes], first: int, last: int | None, most: int) -> FileLines:
    """Return lines `first` to `last` of a file read block by block, at most `most` bytes of them.

    Only the result is kept in memory; the last line may be cut off.
    """
    kept: list[bytes] = []
    before: dict[int, bytes] = {}
    head, total, left = b"", 0, most
    for total, piece in _numbered(blocks):
        head = head or piece[:4]
        if total == 1 < first or first - CONTEXT_LINES <= total < first:
            before[total] = (before.get(total, b"") + piece)[-CONTEXT_BYTES:]
        if total < first or left <= 0 or (last is not None and total > last):
            continue
        if total - first == len(kept):
            kept.append(b"")
            left -= 1
        kept[-1] += piece[:left]
        left -= len(piece)
    above = _last(before.values(), CONTEXT_BYTES)
    if len(above) < len(before):
        above.insert(0, before[1][:_MAX_HEADER])  # the header of a table names its columns
    return FileLines(first, kept, total, head, above)


def _last(lines: Collection[bytes], most: int) -> list[bytes]:
    """Return the last of these lines, at most `most` bytes."""
    kept: list[bytes] = []
    for line in reversed(list(lines)):
        if (most := most - len(line) - 1) < 0:
            break
        kept.append(line)
    return kept[::-1]


def _numbered(blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield pieces of lines with the line's number; an empty line is one empty piece."""
    number, begun, ended_by_cr = 1, False, False
    for block in blocks:
        # The two characters of a line end may be in two blocks.
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
