"""Tasks that end with the code that started them."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Stop(Exception):
    """Ends a task group from inside."""


@contextlib.asynccontextmanager
async def background_tasks() -> AsyncGenerator[asyncio.TaskGroup]:
    """Open a task group whose tasks are cancelled at the end of the block.

    An exception of the block is raised as it is, not wrapped in a group.
    """
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            try:
                yield tasks
            except asyncio.CancelledError:
                # The group cancels its tasks and raises this as it is. Since Python 3.13 a group
                # that ends with another exception cancels its owner a second time, in its cleanup.
                raise
            except BaseException as exc:
                failure = exc
            raise _Stop
    except* _Stop:
        pass
    if failure is not None:
        raise failure


async def completed(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end even if the caller is cancelled; then raise the cancellation.

    Unlike `asyncio.shield` it leaves nothing running after the caller. For short work only.
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
        task.exception()  # the caller gets the cancellation instead
    raise cancelled
