"""What lasts from one question of a conversation to the next."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from allma_server.answering.context_lengths import ContextLengths
from allma_server.errors import AllmaError

_log = logging.getLogger(__name__)


class OngoingConversations:
    """The context lengths of conversations, and work that nobody waits for, such as summaries.

    The work runs in the engine's tasks; a new question stops it, as it would wait for it.
    """

    def __init__(self) -> None:
        self.contexts = ContextLengths()
        self._running: set[asyncio.Task[None]] = set()

    def start(self, tasks: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> None:
        """Start some work; its failure is logged."""
        task = tasks.create_task(_logged(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        # A task that is cancelled before it begins never reaches the work.
        task.add_done_callback(lambda _: work.close())

    def stop(self) -> None:
        """Cancel what is running; it is done after a later answer."""
        for task in self._running:
            task.cancel()


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except AllmaError as exc:
        _log.info("work on a conversation failed: %s", exc)
    except Exception:
        _log.exception("work on a conversation failed")
