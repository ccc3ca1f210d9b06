"""Small files of the kind of Outlook's messages, in the compound file format of OLE."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Tree: TypeAlias = "Mapping[str, bytes | Tree]"

_SECTOR, _MINI, _CUTOFF = 512, 64, 4096
_END, _NONE, _FAT = -2, -1, -3
_STREAM, _STORAGE, _ROOT = 2, 1, 5


@dataclass
class _Entry:
    """An entry of the directory; its children are linked to the right of the first."""

    name: str
    kind: int
    data: bytes = b""
    right: int = _NONE
    child: int = _NONE
    start: int = 0

    def packed(self) -> bytes:
        text = self.name.encode("utf-16-le")
        links = struct.pack("<HBBiii", len(text) + 2, self.kind, 1, -1, self.right, self.child)
        place = struct.pack("<iQ", self.start, len(self.data))
        return text.ljust(64, b"\0") + links + bytes(36) + place


class _Sectors:
    """The sectors of a file, and the table that links them."""

    def __init__(self) -> None:
        self.content = b""
        self.table: list[int] = []

    def add(self, data: bytes, size: int = _SECTOR) -> int:
        first, count = len(self.table), -(-len(data) // size)
        self.content += data.ljust(count * size, b"\0")
        self.table += [*range(first + 1, first + count), _END] if count else []
        return first if count else _END


def ole(tree: Tree) -> bytes:
    """A file with these streams, and storages with streams."""
    entries = [_Entry("Root Entry", _ROOT)]
    _add(entries, 0, tree)
    sectors, mini = _Sectors(), _Sectors()
    for entry in entries[1:]:
        if entry.kind == _STREAM:
            small = len(entry.data) < _CUTOFF
            entry.start = mini.add(entry.data, _MINI) if small else sectors.add(entry.data)
    entries[0].data = mini.content
    entries[0].start = sectors.add(mini.content)
    minifat_at = sectors.add(struct.pack(f"<{len(mini.table)}i", *mini.table))
    directory_at = sectors.add(b"".join(entry.packed() for entry in entries))
    fat_at = len(sectors.table)
    fat = struct.pack(f"<{fat_at + 1}i", *sectors.table, _FAT).ljust(_SECTOR, b"\xff")
    assert len(fat) == _SECTOR, "too large for one sector of the table"
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    head += struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    count = -(-len(mini.table) * 4 // _SECTOR)
    head += struct.pack("<IIiIIiIiI", 0, 1, directory_at, 0, _CUTOFF, minifat_at, count, _END, 0)
    head += struct.pack("<109i", fat_at, *[_NONE] * 108)
    return head + sectors.content + fat


def _add(entries: list[_Entry], parent: int, tree: Tree) -> None:
    before = parent
    for name, content in tree.items():
        at = len(entries)
        if before == parent:
            entries[parent].child = at
        else:
            entries[before].right = at
        before = at
        if isinstance(content, bytes):
            entries.append(_Entry(name, _STREAM, content))
        else:
            entries.append(_Entry(name, _STORAGE))
            _add(entries, at, content)


SUBJECT, SENDER, ADDRESS, BODY, HTML = 0x0037, 0x0C1A, 0x0C1F, 0x1000, 0x1013
NAME, DATA, RECIPIENT_NAME, RECIPIENT_ADDRESS, RECIPIENT_TYPE = (
    0x3707, 0x3701, 0x3001, 0x39FE, 0x0C15,
)  # fmt: skip
SENT = 0x0039

Values: TypeAlias = Mapping[int, str | bytes | int]


def msg(
    values: Values,
    recipients: Sequence[Values] = (),
    attachments: "Sequence[tuple[Values, Tree | None]]" = (),
) -> bytes:
    """A message with these properties."""
    return ole(message(values, recipients, attachments))


def message(
    values: Values,
    recipients: Sequence[Values] = (),
    attachments: "Sequence[tuple[Values, Tree | None]]" = (),
    header: int = 32,
) -> dict[str, "bytes | Tree"]:
    """The storage of a message; one inside another has a `header` of 24 bytes."""
    tree: dict[str, bytes | Tree] = _properties(values, header)
    for n, each in enumerate(recipients):
        tree[f"__recip_version1.0_#{n:08X}"] = _properties(each, 8)
    for n, (each, inner) in enumerate(attachments):
        storage = _properties(each, 8)
        if inner is not None:
            storage["__substg1.0_3701000D"] = inner
        tree[f"__attach_version1.0_#{n:08X}"] = storage
    return tree


def _properties(values: Values, header: int) -> dict[str, "bytes | Tree"]:
    table, streams = bytes(header), dict[str, "bytes | Tree"]()
    for key, value in values.items():
        if isinstance(value, int):
            kind = 0x0040 if key == SENT else 0x0003
            table += struct.pack("<HHIQ", kind, key, 6, value)
            continue
        kind = 0x001F if isinstance(value, str) else 0x0102
        content = value.encode("utf-16-le") if isinstance(value, str) else value
        table += struct.pack("<HHIQ", kind, key, 6, len(content))
        streams[f"__substg1.0_{key:04X}{kind:04X}"] = content
    return {"__properties_version1.0": table} | streams
