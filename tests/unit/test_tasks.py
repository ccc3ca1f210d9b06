"""Work that is short, and must not be left half done."""

import asyncio

import pytest

from allma_server._internal.tasks import completed


async def test_short_work_is_completed_before_its_cancelled_caller_ends() -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def work() -> None:
        began.set()
        await go_on.wait()
        done.append("saved")

    async with asyncio.TaskGroup() as group:
        caller = group.create_task(completed(work()))
        await began.wait()
        caller.cancel()
        await asyncio.sleep(0)
        caller.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert done == ["saved"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_the_work_raises_is_raised() -> None:
    async def work() -> None:
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        await completed(work())
