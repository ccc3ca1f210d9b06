"""Work between two questions of a conversation."""

import asyncio
import inspect

from allma_server.answering.ongoing import OngoingConversations


async def test_work_that_is_stopped_before_it_begins_is_closed() -> None:
    async def summarize() -> None:
        raise AssertionError("a new question came before")

    ongoing, work = OngoingConversations(), summarize()
    async with asyncio.TaskGroup() as tasks:
        ongoing.start(tasks, work)
        ongoing.stop()
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
