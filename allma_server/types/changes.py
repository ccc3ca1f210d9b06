"""Differences between files and the catalogue."""

from dataclasses import dataclass, field
from typing import Literal

from allma_server.types.documents import Document


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file's attributes as read from the disk."""

    path: str
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file found by a walk. With a `reason`, it is listed in the ledger but not opened.

    `unreadable`: the file or folder cannot be read now, so the index keeps what it has of it.
    """

    file: FileFacts
    reason: str | None = None
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Add:
    """A file that is not in the catalogue."""

    file: FileFacts


@dataclass(frozen=True, slots=True)
class Update:
    """A known file whose size or modification time differs from the ledger."""

    file: FileFacts
    known: Document


@dataclass(frozen=True, slots=True)
class Move:
    """A known document whose unchanged file has another path now."""

    file: FileFacts
    known: Document


@dataclass(frozen=True, slots=True)
class Remove:
    """A document whose file no longer exists or is no longer in scope."""

    known: Document


@dataclass(frozen=True, slots=True)
class Skip:
    """A file that is not read, and why; `known` if it has a ledger row already.

    `closed`: it cannot be read now.
    """

    file: FileFacts
    reason: str
    known: Document | None = None
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """A document whose file is unchanged."""

    known: Document


Change = Add | Update | Move | Remove | Skip | Keep


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """The result for a file that is not indexed: `skipped` or `failed`, and why.

    `reason_code`: the code of the error whose message is `reason`. `metadata` is stored with it.
    """

    file: FileFacts
    state: Literal["skipped", "failed"]
    reason: str
    reason_code: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
