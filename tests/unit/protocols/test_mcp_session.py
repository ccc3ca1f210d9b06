"""A session of MCP ends its background work when its transport closes it."""

import asyncio

from allma_server._internal.tasks import background_tasks
from allma_server.engine import Engine
from allma_server.protocols.client import ClientContext
from allma_server.protocols.mcp.session import make_session
from allma_server.types import LOCAL


async def test_closing_a_session_ends_its_own_background_work_only() -> None:
    started = asyncio.Semaphore(0)
    ended: set[str] = set()

    async def poll(name: str) -> None:
        started.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.add(name)

    async def no_engine() -> Engine:
        raise AssertionError("no engine is needed")

    async with background_tasks() as background:
        one, other = (make_session(no_engine, background, ClientContext(LOCAL)) for _ in range(2))
        one.connection.start(poll("one"))
        other.connection.start(poll("other"))
        for _ in range(2):
            await started.acquire()
        await one.close()
        assert ended == {"one"}
    assert ended == {"one", "other"}
