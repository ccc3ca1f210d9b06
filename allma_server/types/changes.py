"""How files and the catalogue differ, and the work of bringing them together."""

from dataclasses import dataclass, field
from typing import Literal

from allma_server.types.documents import Document


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the disk says of a file; the truth that events only hint at."""

    path: str
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file met on a walk; with a reason, it is listed but never opened.

    One that is `closed`, a file or a folder, cannot be looked at now: what is indexed of it, or in
    it, stays as it is.
    """

    file: FileFacts
    reason: str | None = None
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Add:
    """A file the catalogue does not know."""

    file: FileFacts


@dataclass(frozen=True, slots=True)
class Update:
    """A known file whose size or times differ from the ledger's."""

    file: FileFacts
    known: Document


@dataclass(frozen=True, slots=True)
class Move:
    """A known document that now lives at another path, unchanged."""

    file: FileFacts
    known: Document


@dataclass(frozen=True, slots=True)
class Remove:
    """A document whose file is gone, or is no longer in scope."""

    known: Document


@dataclass(frozen=True, slots=True)
class Skip:
    """A file that is seen but not read, and why; `known` when it has a ledger row already.

    `closed`: it may be worth reading, but cannot be looked at now.
    """

    file: FileFacts
    reason: str
    known: Document | None = None
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """A document whose file is as the ledger says."""

    known: Document


Change = Add | Update | Move | Remove | Skip | Keep


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of a file that is not indexed: `skipped` or `failed`, and why.

    `reason_code`: the code of the error that `reason` is the sentence of.
    """

    file: FileFacts
    state: Literal["skipped", "failed"]
    reason: str
    reason_code: str | None = None


@dataclass(frozen=True, slots=True)
class FileReason:
    """A file and why it was skipped or failed."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingestion did, counted in documents but for `chunks` (written) and `seconds`.

    `notice`: a sentence about what is left to do after it, such as vectors that are missing.
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
    """What was removed from the index; nothing on disk is touched.

    `notice`: a sentence about what goes on after it.
    """

    path: str
    documents: int
    chunks: int
    workspace_removed: bool
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Work that outlives the call that began it."""

    id: str
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    path: str
    done: int
    total: int | None
    message: str
    created_at: str
    report: IngestReport | None = None
