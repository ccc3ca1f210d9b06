"""Search many shared folders within a time: what is late or lost is named."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from allma_server._internal.tasks import background_tasks
from allma_server.storage.cluster.connection import cancellation_of_calls
from allma_server.storage.cluster.failures import is_of_lost_data, is_of_one_call
from allma_server.storage.shared.registry import Entry

AT_ONCE = 8
"""Folders searched at the same time."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Searched(Generic[T]):
    """What was found in each folder, those that took too long, and why others failed."""

    found: list[T]
    late: list[Entry]
    failed: list[str]


async def search_folders(
    search: Callable[[Entry], Awaitable[T]], folders: Sequence[Entry], until: float
) -> Searched[T]:
    """Search folders, the first ones first, until a time of the event loop.

    Raises:
        TimeoutError: not even one has answered.
        Exception: what a folder raised, where it is the connection that failed.
    """
    if not folders:
        return Searched([], [], [])
    at_once = asyncio.Semaphore(AT_ONCE)
    outcomes: dict[str, T | Exception] = {}

    async def one(entry: Entry) -> None:
        async with at_once:
            try:
                with cancellation_of_calls():
                    outcomes[entry.name] = await search(entry)
            except Exception as exc:
                outcomes[entry.name] = exc

    async with background_tasks() as tasks:
        running = [tasks.create_task(one(entry)) for entry in folders]
        left = until - asyncio.get_running_loop().time()
        await asyncio.wait(running, timeout=max(left, 0.0))
    if not outcomes:
        raise TimeoutError
    found: list[T] = []
    failed: list[str] = []
    for name, outcome in outcomes.items():
        if not isinstance(outcome, Exception):
            found.append(outcome)
        elif is_of_one_call(outcome):
            failed.append(_failure(name, outcome))
        else:
            raise outcome
    return Searched(found, [each for each in folders if each.name not in outcomes], failed)


def _failure(name: str, exc: Exception) -> str:
    if is_of_lost_data(exc):
        return f"The cluster has lost {name}, which is not searched."
    if "not active" in str(exc):
        return f"The cluster is storing {name}, which is not searched meanwhile."
    return f"The cluster could not search {name}."
