"""Read the rows of a damaged SQLite file page by page, without SQLite.

SQLite finds a page through its parent pages, so one bad page hides all below it. Every row of a
table is complete in one leaf page and its overflow pages; this module reads each leaf on its own.
Pages in the write-ahead log replace those in the file.

The format: https://www.sqlite.org/fileformat2.html
"""

import contextlib
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TABLE_LEAF = 0x0D
DEFAULT_PAGE_SIZE = 4096
MAX_ROW_BYTES = 64 << 20

Row = tuple[int, list[Any]]
"""A row's id and its values."""


class UnreadableRow(Exception):
    """A row cannot be read."""


def table_rows(database: Path) -> Iterator[Row]:
    """Yield every readable row of every table, in no particular order; blocks."""
    with contextlib.ExitStack() as stack:
        content = _content(database, stack)
        pages = _Pages(content, _page_size(content), _logged_pages(database))
        for number in range(1, pages.count + 1):
            yield from _leaf_rows(pages, number)


def _content(path: Path, stack: contextlib.ExitStack) -> bytes | mmap.mmap:
    file = stack.enter_context(path.open("rb"))
    if path.stat().st_size == 0:
        return b""
    return stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _page_size(header: bytes | mmap.mmap) -> int:
    size = int.from_bytes(header[16:18], "big")
    size = 65536 if size == 1 else size
    return size if size in (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536) else DEFAULT_PAGE_SIZE


class _Pages:
    """The pages by number, starting at 1."""

    def __init__(self, content: bytes | mmap.mmap, size: int, logged: dict[int, bytes]) -> None:
        self.size = size
        self._content = content
        self._logged = {n: page for n, page in logged.items() if len(page) == size}
        self.count = max(len(content) // size, *self._logged, 0, 0)

    def page(self, number: int) -> bytes:
        """Return a page, empty if there is none with this number."""
        if number in self._logged:
            return self._logged[number]
        begin = (number - 1) * self.size
        page = self._content[begin : begin + self.size] if number > 0 else b""
        return page if len(page) == self.size else b""


def _logged_pages(database: Path) -> dict[int, bytes]:
    """Return the pages in the write-ahead log, each in its last committed form."""
    try:
        log = database.with_name(database.name + "-wal").read_bytes()
    except OSError:
        return {}
    size, salts = int.from_bytes(log[8:12], "big"), log[16:24]
    committed: dict[int, bytes] = {}
    uncommitted: dict[int, bytes] = {}
    at = 32
    while size and at + 24 + size <= len(log):
        number, commit = struct.unpack_from(">II", log, at)
        if log[at + 8 : at + 16] != salts:
            break  # the frames after this one belong to an earlier log
        uncommitted[number] = log[at + 24 : at + 24 + size]
        if commit:
            committed |= uncommitted
            uncommitted = {}
        at += 24 + size
    return committed


def _leaf_rows(pages: _Pages, number: int) -> Iterator[Row]:
    page = pages.page(number)
    begin = 100 if number == 1 else 0
    if not page or page[begin] != TABLE_LEAF:
        return
    cells = int.from_bytes(page[begin + 3 : begin + 5], "big")
    for index in range(min(cells, pages.size // 4)):
        at = begin + 8 + 2 * index
        with contextlib.suppress(UnreadableRow, IndexError):
            yield _row(pages, page, int.from_bytes(page[at : at + 2], "big"))


def _row(pages: _Pages, page: bytes, at: int) -> Row:
    length, at = _varint(page, at)
    row_id, at = _varint(page, at)
    if length > MAX_ROW_BYTES:
        raise UnreadableRow
    local = _local(length, pages.size)
    payload = page[at : at + local]
    if local < length:
        following = int.from_bytes(page[at + local : at + local + 4], "big")
        payload += _overflow(pages, following, length - local)
    if len(payload) != length:
        raise UnreadableRow
    return row_id, _values(payload)


def _local(length: int, usable: int) -> int:
    """Return how many bytes of a row are in the leaf page itself."""
    if length <= usable - 35:
        return length
    least = (usable - 12) * 32 // 255 - 23
    most = least + (length - least) % (usable - 4)
    return most if most <= usable - 35 else least


def _overflow(pages: _Pages, number: int, length: int) -> bytes:
    parts: list[bytes] = []
    while length > 0:
        page = pages.page(number)
        if not page:
            raise UnreadableRow
        part = page[4 : 4 + length]
        parts.append(part)
        length -= len(part)
        number = int.from_bytes(page[:4], "big")
    return b"".join(parts)


def _values(payload: bytes) -> list[Any]:
    size, at = _varint(payload, 0)
    types: list[int] = []
    while at < size:
        kind, at = _varint(payload, at)
        types.append(kind)
    values: list[Any] = []
    for kind in types:
        value, at = _value(payload, at, kind)
        values.append(value)
    return values


_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def _value(payload: bytes, at: int, kind: int) -> tuple[Any, int]:
    match kind:
        case 0:
            return None, at
        case 8 | 9:
            return kind - 8, at
        case 7:
            end = at + 8
            value: Any = struct.unpack(">d", _part(payload, at, end))[0]
        case _ if kind in _INTEGERS:
            end = at + _INTEGERS[kind]
            value = int.from_bytes(_part(payload, at, end), "big", signed=True)
        case _ if kind >= 12:
            end = at + (kind - 12) // 2
            value = _part(payload, at, end)
            if kind % 2:
                value = value.decode("utf-8", "replace")
        case _:
            raise UnreadableRow
    return value, end


def _part(payload: bytes, begin: int, end: int) -> bytes:
    if end > len(payload):
        raise UnreadableRow
    return payload[begin:end]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return value << 8 | data[at + 8], at + 9
