"""Tasks that end with whoever began them."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator


class _Stop(Exception):
    """Ends a task group from inside."""


@contextlib.asynccontextmanager
async def background_tasks() -> AsyncGenerator[asyncio.TaskGroup]:
    """A task group whose tasks end with the block, however it ends.

    An exception of the block comes out as it is, not wrapped in a group.
    """
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            try:
                yield tasks
            except BaseException as exc:
                failure = exc
            raise _Stop
    except* _Stop:
        pass
    if failure is not None:
        raise failure
