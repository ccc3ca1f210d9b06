"""A search of many folders ends in time, with what it has."""

import asyncio

import pytest

from allma_server.storage.shared import many
from allma_server.storage.shared.many import search_folders
from allma_server.storage.shared.registry import Entry


def entries(count: int) -> list[Entry]:
    return [Entry(f"f{n}", "", "", "", 0, 0, 0) for n in range(count)]


def soon(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_late_folders_are_named_and_few_are_searched_at_once() -> None:
    active = most = 0
    forever = asyncio.Event()

    async def search(entry: Entry) -> str:
        nonlocal active, most
        active += 1
        most = max(most, active)
        if entry.name in ("f3", "f7"):
            await forever.wait()
        await asyncio.sleep(0)
        active -= 1
        return entry.name

    searched = await search_folders(search, entries(100), soon(0.5))
    assert len(searched.found) == 98 and most == many.AT_ONCE
    assert [each.name for each in searched.late] == ["f3", "f7"]


async def test_nothing_within_the_time_is_a_failure_of_the_node() -> None:
    forever = asyncio.Event()

    async def search(entry: Entry) -> str:
        await forever.wait()
        return entry.name

    with pytest.raises(TimeoutError):
        await search_folders(search, entries(2), soon(0.01))
    assert not (await search_folders(search, [], soon(0.0))).late


async def test_one_folder_that_fails_does_not_hide_the_others() -> None:
    from weaviate.exceptions import WeaviateQueryError

    async def search(entry: Entry) -> str:
        if entry.name == "f0":
            raise WeaviateQueryError("tenant not found: f0", "GRPC search")
        if entry.name == "f1":
            raise WeaviateQueryError("index out of range", "GRPC search")
        return entry.name

    searched = await search_folders(search, entries(3), soon(5.0))
    assert searched.found == ["f2"]
    assert searched.failed == [
        "The cluster has lost f0, which is not searched.",
        "The cluster could not search f1.",
    ]


async def test_a_connection_that_fails_is_for_the_next_node() -> None:
    async def search(entry: Entry) -> str:
        if entry.name == "f0":
            raise ConnectionResetError("reset by peer")
        return entry.name

    with pytest.raises(ConnectionResetError):
        await search_folders(search, entries(3), soon(5.0))
