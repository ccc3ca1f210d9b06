"""The order of work on the index: what somebody waits for takes its next step first.

Runs are not done one after another: each asks before every small step whether something more
urgent is at work. What two of them want to write about the same file is decided by `Looks`.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Generator
from enum import IntEnum

from allma_server._internal.paths import is_inside

MAX_PAUSE_SECONDS = 20.0
"""A run that questions have held up for so long takes its next step all the same."""


class Priority(IntEnum):
    """How urgent a piece of work is; the lowest number goes first.

    `EXCLUSIVE`: nothing else is written. `SAVED`: a few files changed just now. `ASKED`: somebody
    waits for the end of the run. `SCAN`: a whole folder is looked through, and nobody waits.
    `MAINTENANCE`: nothing that can be searched depends on it.
    """

    EXCLUSIVE = 0
    SAVED = 1
    ASKED = 2
    SCAN = 3
    MAINTENANCE = 4


class Schedule:
    """Who is at work now, and how urgently. `writing` is held for one document or small batch."""

    def __init__(self) -> None:
        self.writing = asyncio.Lock()
        self._active: Counter[Priority] = Counter()
        self._questions = 0
        self._no_questions = asyncio.Event()
        self._no_questions.set()
        self._freed = asyncio.Event()

    def enter(self, priority: Priority) -> None:
        """Work begins; less urgent work pauses before its next step, until `leave`."""
        self._active[priority] += 1

    def leave(self, priority: Priority) -> None:
        """Work has ended."""
        self._active[priority] -= 1
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()

    @contextlib.contextmanager
    def exclusive(self) -> Generator[None]:
        """While it lasts, all other work pauses before its next step."""
        self.enter(Priority.EXCLUSIVE)
        try:
            yield
        finally:
            self.leave(Priority.EXCLUSIVE)

    def change(self, former: Priority, priority: Priority) -> None:
        """Work that is active has become more or less urgent."""
        self.enter(priority)
        self.leave(former)

    async def clear(self, priority: Callable[[], Priority]) -> None:
        """Returns once nothing more urgent is at work; the priority may change meanwhile."""
        while any(count and other < priority() for other, count in self._active.items()):
            await self._freed.wait()

    @contextlib.contextmanager
    def answering(self) -> Generator[None]:
        """While it lasts, somebody waits for an answer."""
        self._questions += 1
        self._no_questions.clear()
        try:
            yield
        finally:
            self._questions -= 1
            if not self._questions:
                self._no_questions.set()

    async def quiet(self, priority: Callable[[], Priority]) -> None:
        """Returns once nobody waits for an answer or anything more urgent, or after a while.

        Saved files are few: they do not wait for a long answer to end.
        """
        if priority() > Priority.SAVED:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MAX_PAUSE_SECONDS):
                    await self._no_questions.wait()
        await self.clear(priority)


class Looks:
    """Which look at the disk is the latest, for each file: only that one may be written.

    Looks are numbered in the order in which they began. A run begins one before it lists files,
    and one for each file before it reads it; what it found is written only if nobody has looked at
    the file since, and nothing around it was withdrawn (forgotten) since.
    """

    def __init__(self) -> None:
        self._number = 0
        self._latest: dict[str, int] = {}
        self._withdrawn: list[tuple[int, str]] = []

    def begin(self) -> int:
        """The number of a new look, at many files."""
        self._number += 1
        return self._number

    def take(self, path: str, earlier: int) -> int | None:
        """The number of a new look at one file; None when `earlier` is no longer its latest."""
        if not self.is_latest(path, earlier):
            return None
        self._latest[path] = number = self.begin()
        return number

    def is_latest(self, path: str, number: int) -> bool:
        """Whether what look `number` found of a file may be written."""
        if self._latest.get(path, 0) > number:
            return False
        return not any(at > number and is_inside(path, folder) for at, folder in self._withdrawn)

    def withdraw(self, folder: str) -> None:
        """What all looks before this one find at or below a path is not written any more."""
        self._withdrawn.append((self.begin(), folder))

    def clear(self) -> None:
        """Forgets all of it; nobody may be at work with an earlier number."""
        self._latest.clear()
        self._withdrawn.clear()
