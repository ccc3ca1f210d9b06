"""Short work that must be completed, and background tasks."""

import asyncio

import pytest

from allma_server._internal.tasks import background_tasks, completed


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


async def test_exceptions_of_the_work_are_raised() -> None:
    async def work() -> None:
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        await completed(work())


async def test_an_owner_of_background_tasks_is_cancelled_once() -> None:
    cleaned: list[str] = []
    began = asyncio.Event()

    async def owner() -> str:
        try:
            async with background_tasks() as tasks:
                tasks.create_task(asyncio.Event().wait())
                began.set()
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # a second cancellation would interrupt this
            cleaned.append("cleaned")
        return "ended"

    async with asyncio.TaskGroup() as group:
        task = group.create_task(owner())
        await began.wait()
        task.cancel()
        assert await task == "ended"
    assert cleaned == ["cleaned"]
