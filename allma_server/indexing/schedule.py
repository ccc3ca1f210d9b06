"""The order of work on the index: work with a waiting client takes its next step first.

Runs are not executed one after another. Each run asks before every small step whether more urgent
work is active. `ScanVersions` decides which of two runs may write the same file.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Generator
from enum import IntEnum

MAX_PAUSE_SECONDS = 20.0
"""A run that has waited so long for questions to be answered takes its next step anyway."""


class Priority(IntEnum):
    """The urgency of a piece of work; the lowest number goes first.

    `EXCLUSIVE`: nothing else is written. `SAVED`: a few files that have just changed. `ASKED`: a
    client waits for the run to end. `SCAN`: a whole folder, without a waiting client.
    `MAINTENANCE`: no search depends on it.
    """

    EXCLUSIVE = 0
    SAVED = 1
    ASKED = 2
    SCAN = 3
    MAINTENANCE = 4


class Schedule:
    """Tracks the active work and its urgency.

    Hold `writing` while writing one document or a small batch.
    """

    def __init__(self) -> None:
        self.writing = asyncio.Lock()
        self._active: Counter[Priority] = Counter()
        self._questions = 0
        self._no_questions = asyncio.Event()
        self._no_questions.set()
        self._left = asyncio.Event()

    def enter(self, priority: Priority) -> None:
        """Register active work; less urgent work pauses before its next step, until `leave`."""
        self._active[priority] += 1

    def leave(self, priority: Priority) -> None:
        """Unregister work that has ended."""
        self._active[priority] -= 1
        left, self._left = self._left, asyncio.Event()
        left.set()

    @contextlib.contextmanager
    def exclusive(self) -> Generator[None]:
        """Pause all other work before its next step, for the duration of the block."""
        self.enter(Priority.EXCLUSIVE)
        try:
            yield
        finally:
            self.leave(Priority.EXCLUSIVE)

    def change(self, former: Priority, priority: Priority) -> None:
        """Change the priority of active work."""
        self.enter(priority)
        self.leave(former)

    async def wait_for_turn(self, priority: Callable[[], Priority]) -> None:
        """Wait until no more urgent work is active; the priority may change meanwhile."""
        while any(count and other < priority() for other, count in self._active.items()):
            await self._left.wait()

    @contextlib.contextmanager
    def pause_embedding(self) -> Generator[None]:
        """Pause embedding while a question is being answered, for the duration of the block."""
        self._questions += 1
        self._no_questions.clear()
        try:
            yield
        finally:
            self._questions -= 1
            if not self._questions:
                self._no_questions.set()

    async def wait_until_idle(self, priority: Callable[[], Priority]) -> None:
        """Wait for questions, at most MAX_PAUSE_SECONDS, and for more urgent work.

        Saved files do not wait for questions: there are few of them.
        """
        if priority() > Priority.SAVED:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MAX_PAUSE_SECONDS):
                    await self._no_questions.wait()
        await self.wait_for_turn(priority)
