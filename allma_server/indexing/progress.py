"""The progress of a run: counts for its report, and an estimate of the remaining time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from allma_server.types import FileReason, IngestReport

FIRST_ESTIMATE_SECONDS = 5.0
"""Before that, the speed of a run is too uncertain for an estimate."""

_BYTES_PER_FILE = 1_000
"""The cost of a file beside its size, as bytes."""


@dataclass(slots=True)
class Counts:
    """Counts of the documents of a run, of `total` in all.

    `superseded`: another run has read the file since, and its result counts there.
    """

    total: int = 0
    indexed: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    superseded: int = 0
    chunks: int = 0
    skipped: list[FileReason] = field(default_factory=list[FileReason])
    failed: list[FileReason] = field(default_factory=list[FileReason])
    notice: str | None = None

    @property
    def done(self) -> int:
        settled = self.indexed + self.updated + self.unchanged + self.removed + self.superseded
        return settled + len(self.skipped) + len(self.failed)

    def report(self, seconds: float) -> IngestReport:
        return IngestReport(
            indexed=self.indexed,
            updated=self.updated,
            unchanged=self.unchanged + self.superseded,
            removed=self.removed,
            skipped=self.skipped,
            failed=self.failed,
            chunks=self.chunks,
            seconds=round(seconds, 3),
            notice=self.notice,
        )


class Estimate:
    """Estimates the remaining time from the bytes of the files that are done."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._left = sum(sizes) + len(sizes) * _BYTES_PER_FILE
        self._done = 0
        self._began = time.monotonic()

    def file_done(self, size: int) -> None:
        """Count a file of `size` bytes as done."""
        self._left -= size + _BYTES_PER_FILE
        self._done += size + _BYTES_PER_FILE

    @property
    def text(self) -> str:
        """The estimate, such as `about 3 min left`; empty while it is too uncertain."""
        elapsed = time.monotonic() - self._began
        if elapsed < FIRST_ESTIMATE_SECONDS or not self._done or self._left <= 0:
            return ""
        seconds = elapsed * self._left / self._done
        if seconds < 90:
            return f"about {max(5, round(seconds / 5) * 5)} s left"
        if seconds < 5400:
            return f"about {round(seconds / 60)} min left"
        return f"about {round(seconds / 3600)} h left"
