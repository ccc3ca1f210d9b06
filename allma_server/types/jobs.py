"""The work of indexing, and its results."""

from dataclasses import dataclass, field
from typing import Literal


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
