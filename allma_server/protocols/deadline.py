"""Answers in time: clients give up on a call after a minute, some of them without a word.

What only reads is stopped when its time is up; what writes goes on in the engine, and the caller
is told what there is so far.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from allma_server._internal.tasks import background_tasks
from allma_server.errors import AllmaError, TookTooLong
from allma_server.operations import Call, Operation
from allma_server.types import Citation

Send = Callable[[float, float | None, str], Awaitable[None]]
"""Tells a client how far a call is: a number that grows, the total if known, and words."""

SILENCE = 5.0
"""Seconds after which a client is told again that the call is alive."""

_BATCH = 0.1
"""Seconds for which words are gathered: tokens come faster than messages should."""

_log = logging.getLogger(__name__)


class StillRunning(Exception):
    """The time is up, and the operation goes on in the engine."""


Announce = Callable[[float, str, str], Awaitable[None]]
"""Tells a client, under a number that grows, the conversation and the message of a question."""


class ProgressRelay:
    """Progress over one channel, which also remembers what was said."""

    def __init__(self, send: Send, announce: Announce) -> None:
        self.written = ""
        self.message = ""
        self.conversation_id: str | None = None
        self._send = send
        self._announce = announce
        self._unsent: list[str] = []
        self._done = 0.0
        self._total: float | None = None
        self._changed = False
        self._told = 0.0

    async def report(self, done: int, total: int | None, message: str) -> None:
        self._done, self._total, self.message = max(self._done, float(done)), total, message
        self._changed = True

    async def started(self, conversation_id: str, message_id: str) -> None:
        self.conversation_id = conversation_id
        self._told += 0.001
        await self._announce(self._told, conversation_id, message_id)

    async def text(self, delta: str) -> None:
        self.written += delta
        self._unsent.append(delta)

    async def sources(self, citations: Sequence[Citation]) -> None: ...

    @asynccontextmanager
    async def telling(self) -> AsyncGenerator[None]:
        """While it lasts, what comes in is passed on, and something is said when nothing does."""
        async with background_tasks() as tasks:
            tasks.create_task(self._tell())
            yield
            if self._unsent:
                await self._flush()

    async def _tell(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(_BATCH)
            if self._unsent or self._changed or time.monotonic() - last >= SILENCE:
                await self._flush()
                last = time.monotonic()

    async def _flush(self) -> None:
        words, self._unsent = "".join(self._unsent), []
        self._changed = False
        # The protocol wants every number larger than the one before.
        self._told = max(self._done, self._told + (1.0 if words else 0.001))
        total = None if words or (self._total or 0) < self._told else self._total
        await self._send(self._told, total, words or self.message or "Working")


async def within(
    seconds: float,
    operation: Operation,
    call: Call,
    arguments: Mapping[str, Any],
    tasks: asyncio.TaskGroup,
) -> Any:
    """The result of an operation, if it has one in time.

    `tasks` owns the work, so that it can outlive the call.

    Raises:
        AllmaError: whatever the operation foresees; TookTooLong when it was stopped.
        StillRunning: it writes, and goes on.
    """
    work = tasks.create_task(_outcome(operation, call, arguments))
    try:
        await asyncio.wait({work}, timeout=max(0.0, seconds))
    except asyncio.CancelledError:
        work.cancel()
        raise
    if work.done():
        return work.result()()
    if operation.writes:
        work.add_done_callback(_log_late_failure)
        raise StillRunning
    work.cancel()
    raise TookTooLong(
        f"{operation.name} took too long and was stopped.",
        "Narrow it down, or try again when indexing has finished.",
    )


async def _outcome(
    operation: Operation, call: Call, arguments: Mapping[str, Any]
) -> Callable[[], Any]:
    """What gives the result or raises the failure; a task that raised would end its whole group."""
    try:
        result = await operation(call, arguments)
    except Exception as exc:
        failure = exc

        def fail() -> Any:
            raise failure

        return fail
    return lambda: result


def _log_late_failure(work: "asyncio.Task[Callable[[], Any]]") -> None:
    if work.cancelled():
        return
    try:
        work.result()()
    except AllmaError as exc:
        _log.info("a call that went on has failed: %s", exc)
    except Exception:
        _log.exception("a call that went on has failed")
