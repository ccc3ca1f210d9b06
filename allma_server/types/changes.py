"""Differences between files and the catalogue, and the work of indexing them."""

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

    `closed`: the file or folder cannot be read now, so the index keeps what it has of it.
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


@dataclass(frozen=True, slots=True)
class FileReason:
    """A file and why it was skipped or failed."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class IngestReport:
    """The result of an ingestion, in numbers of documents; `chunks` counts the chunks written.

    `notice`: a sentence about work that remains, such as missing vectors.
    """

    indexed: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: list[FileReason] = field(default_factory=list[FileReason])
    failed: list[FileReason] = field(default_factory=list[FileReason])
    chunks: int = 0
    seconds: float = 0.0
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What was removed from the index; no file is deleted.

    `notice`: a sentence about what happens next.
    """

    path: str
    documents: int
    chunks: int
    workspace_removed: bool
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Work that continues after the call that started it."""

    id: str
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    path: str
    done: int
    total: int | None
    message: str
    created_at: str
    report: IngestReport | None = None
