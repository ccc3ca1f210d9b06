"""Tasks that end with whoever began them."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


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


async def completed(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns or raises, even if its caller is cancelled meanwhile: that waits.

    Unlike `asyncio.shield` alone it leaves nothing running behind its caller. For short work only.
    """
    task = asyncio.ensure_future(work)  # noqa: TID251 - it owns the task and waits for its end
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # the cancellation is what its caller is told
    raise cancelled
