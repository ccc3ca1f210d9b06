"""How far a run is: its report in the making, and how long the rest may take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from allma_server.types import FileReason, IngestReport

FIRST_ESTIMATE_SECONDS = 5.0
"""Before that, the speed of a run is not known well enough to say when it ends."""


@dataclass(slots=True)
class Tally:
    """Counts of documents, of a run over `total` of them.

    `superseded`: somebody else has looked at the file since, so it is theirs.
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
    """When files will have been read, by the bytes of those that have been."""

    def __init__(self, sizes: Sequence[int]) -> None:
        # Each file costs something, however small it is.
        self._left = sum(sizes) + len(sizes) * 1_000
        self._done = 0
        self._began = time.monotonic()

    def read(self, size: int) -> None:
        """Notes that one of them is done."""
        self._left -= size + 1_000
        self._done += size + 1_000

    @property
    def words(self) -> str:
        """Such as `about 3 min left`; empty while it is not known."""
        elapsed = time.monotonic() - self._began
        if elapsed < FIRST_ESTIMATE_SECONDS or not self._done or self._left <= 0:
            return ""
        seconds = elapsed * self._left / self._done
        if seconds < 90:
            return f"about {max(5, round(seconds / 5) * 5)} s left"
        if seconds < 5400:
            return f"about {round(seconds / 60)} min left"
        return f"about {round(seconds / 3600)} h left"
