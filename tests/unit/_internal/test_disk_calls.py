"""A disk that does not answer blocks only the calls to it."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from allma_server._internal.disk_calls import THREADS_PER_LOCATION, call_disk

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a named pipe")


def open_(path: Path) -> int:
    return os.open(path, os.O_RDONLY)


@pytest.fixture
def stuck(tmp_path: Path) -> Path:
    """A file that keeps whoever opens it waiting, until the test ends."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


async def test_a_call_returns_its_result_and_raises_its_exception() -> None:
    assert await call_disk("here", 10, len, "four") == 4
    with pytest.raises(FileNotFoundError):
        await call_disk("here", 10, os.stat, "/nowhere/at/all")


async def test_a_disk_that_hangs_fails_only_its_own_calls(stuck: Path) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(3 * THREADS_PER_LOCATION):
            group.create_task(_expect_no_answer(stuck))
        for number in range(100):
            group.create_task(call_disk("elsewhere", 10, len, "x" * number))
    # Whoever waits is let go, and then the place answers again.
    with stuck.open("w"):
        await call_disk("gone", 10, len, "")


async def _expect_no_answer(path: Path) -> None:
    with pytest.raises(TimeoutError, match="does not answer"):
        await call_disk("gone", 0.2, open_, path)


async def test_a_cancelled_call_does_not_block_others(stuck: Path) -> None:
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(call_disk("gone", 10, open_, stuck))
            for _ in range(THREADS_PER_LOCATION)
        ]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
    with stuck.open("w"):
        assert await call_disk("gone", 10, len, "four") == 4
