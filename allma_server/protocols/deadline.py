"""Deadlines for calls: clients stop waiting after a minute, some of them silently.

An operation that only reads is cancelled at its deadline. One that writes continues in the engine,
and the client gets what it has so far.
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
"""Sends progress to a client: a growing number, the total if known, and a message."""

KEEP_ALIVE_SECONDS = 5.0
"""Seconds without progress after which a client is told that the call is still running."""

_BATCH = 0.1
"""Seconds to collect text before sending it: tokens come faster than messages should."""

_log = logging.getLogger(__name__)


class StillRunning(Exception):
    """The deadline has passed, and the operation continues in the engine."""


Announce = Callable[[float, str, str], Awaitable[None]]
"""Sends a client a growing number, and the ids of a question's conversation and message."""


class ProgressRelay:
    """Progress of one call, sent to its client in batches; remembers the text so far."""

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
        self._sent = 0.0
        self._thinks_since: float | None = None

    async def report(self, done: int, total: int | None, message: str) -> None:
        self._done, self._total, self.message = max(self._done, float(done)), total, message
        self._changed = True

    async def started(self, conversation_id: str, message_id: str) -> None:
        self.conversation_id = conversation_id
        self._sent += 0.001
        await self._announce(self._sent, conversation_id, message_id)

    async def thinking(self, delta: str) -> None:
        """Send how long the model has been thinking; the thoughts would be taken for the answer."""
        now = time.monotonic()
        self._thinks_since = self._thinks_since or now
        message = f"Thinking… {now - self._thinks_since:.0f} s"
        self._changed = self._changed or message != self.message
        self.message = message

    async def text(self, delta: str) -> None:
        self.written += delta
        self._unsent.append(delta)

    async def sources(self, citations: Sequence[Citation]) -> None: ...

    @asynccontextmanager
    async def sending(self) -> AsyncGenerator[None]:
        """Send what is reported while the context lasts, and keep-alives in between."""
        async with background_tasks() as tasks:
            tasks.create_task(self._run())
            yield
            if self._unsent:
                await self._flush()

    async def _run(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(_BATCH)
            if self._unsent or self._changed or time.monotonic() - last >= KEEP_ALIVE_SECONDS:
                await self._flush()
                last = time.monotonic()

    async def _flush(self) -> None:
        words, self._unsent = "".join(self._unsent), []
        self._changed = False
        # MCP requires each number to be larger than the one before.
        self._sent = max(self._done, self._sent + (1.0 if words else 0.001))
        total = None if words or (self._total or 0) < self._sent else self._total
        await self._send(self._sent, total, words or self.message or "Working")


async def run_with_deadline(
    seconds: float, operation: Operation, call: Call, arguments: Mapping[str, Any]
) -> Any:
    """Return the result of an operation if it finishes within `seconds`.

    The engine owns the work, so that it can outlive the client's request.

    Raises:
        AllmaError: the operation failed.
        TookTooLong: the operation only reads, and was cancelled.
        StillRunning: the operation writes, and continues.
    """
    work = call.engine.tasks.create_task(_outcome(operation, call, arguments))
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
    """Return a function that returns the result or raises the failure of an operation.

    A task that raised would end its whole task group.
    """
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
        _log.info("a call failed after its deadline: %s", exc)
    except Exception:
        _log.exception("a call failed after its deadline")
