"""A progress bar that appears only where the work takes longer than usual."""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from allma_server.cli.progress import Bar
    from allma_server.types import Citation

SECONDS = 0.5
"""Drawing a bar, with what it imports, takes half as long as a whole search."""


class LateBar:
    """Makes a bar by `make` after SECONDS; use it while an event loop runs."""

    def __init__(self, make: "Callable[[], Bar]") -> None:
        self._make = make
        self._bar: Bar | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._timer = asyncio.get_running_loop().call_later(SECONDS, self._show)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._bar is not None:
            self._bar.stop()

    def _show(self) -> None:
        self._bar = self._make().__enter__()

    async def report(self, done: int, total: int | None, message: str) -> None:
        if self._bar is not None:
            await self._bar.report(done, total, message)

    async def started(self, conversation_id: str, message_id: str) -> None: ...
    async def thinking(self, delta: str) -> None: ...
    async def text(self, delta: str) -> None: ...
    async def sources(self, citations: "Sequence[Citation]") -> None: ...
