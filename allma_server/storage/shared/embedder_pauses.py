"""Pauses after failures: when the embedder of a share that failed is asked again."""

import asyncio
from dataclasses import dataclass

from allma_server.errors import ProviderError
from allma_server.storage.sqlite.shares import Share

RETRY_PAUSES = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Seconds before each retry after a failure; the last one repeats."""


@dataclass(frozen=True, slots=True)
class _Pause:
    """Why the embedder of a share failed, how often in a row, and when it is asked again."""

    reason: str
    failed: int
    until: float


class EmbedderPauses:
    """The pauses of the shares whose embedder failed, by their names.

    What can be published without it is published meanwhile.
    """

    def __init__(self) -> None:
        self._pauses: dict[str, _Pause] = {}

    @property
    def first_end(self) -> float | None:
        """When the first pause ends, by the clock of the event loop; None if there is none."""
        return min((pause.until for pause in self._pauses.values()), default=None)

    def reason(self, name: str) -> str | None:
        """Return what is missing in a share and why; None if its embedder has not failed."""
        pause = self._pauses.get(name)
        return pause.reason if pause is not None else None

    def is_paused(self, name: str) -> bool:
        """Return whether the embedder of a share is not to be asked yet."""
        pause = self._pauses.get(name)
        return pause is not None and asyncio.get_running_loop().time() < pause.until

    def begin(self, share: Share, failure: ProviderError) -> None:
        """Leave an embedder that failed alone for a time."""
        if self.is_paused(share.name):
            return
        former = self._pauses.get(share.name)
        failed = 1 + (former.failed if former is not None else 0)
        until = asyncio.get_running_loop().time() + pause_after(failed)
        reason = (
            f"What has no vector of {share.embedder or 'the embedder'} yet is found by words only: "
            f"{failure.message}"
        )
        self._pauses[share.name] = _Pause(reason, failed, until)

    def end(self, name: str) -> None:
        """Have the embedder of a share asked again."""
        self._pauses.pop(name, None)

    def end_all(self) -> None:
        """Have each embedder asked again."""
        self._pauses.clear()


def pause_after(failed: int) -> float:
    """Return the seconds to wait after so many failures in a row."""
    return RETRY_PAUSES[min(failed, len(RETRY_PAUSES)) - 1]
