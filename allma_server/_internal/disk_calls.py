"""Calls to a disk that may not answer, such as a lost network share.

Such a call may block its thread for ever, and nothing can end the thread. So each call gets its own
thread, which is abandoned when the time is up, and only a few for one location: a lost disk makes
only calls to itself fail, and soon.
"""

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable, Hashable
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")
P = ParamSpec("P")

THREADS_PER_LOCATION = 4


class _Location:
    """The free threads of a location, and how many calls refer to it."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(THREADS_PER_LOCATION)
        self.calls = 0


_locations: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Location]]" = (
    WeakKeyDictionary()
)


async def call_disk(
    location: Hashable,
    seconds: float | None,
    call: Callable[P, T],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run a blocking call in a thread; return what it returns, or raise what it raises.

    `location` is what the call may block on, such as a workspace's root. `seconds` is the time
    limit; None waits without one.

    Raises:
        TimeoutError: it took longer than `seconds`, or earlier calls to this location did.
    """
    loop = asyncio.get_running_loop()
    locations = _locations.setdefault(loop, {})
    known = locations.setdefault(location, _Location())
    known.calls += 1

    def leave() -> None:
        known.calls -= 1
        if not known.calls:
            locations.pop(location, None)

    try:
        async with asyncio.timeout(seconds):
            await known.free.acquire()
            known.calls += 1
            return await _in_thread(
                functools.partial(call, *args, **kwargs), lambda: (known.free.release(), leave())
            )
    except TimeoutError:
        raise TimeoutError("the disk does not answer") from None
    finally:
        leave()


def _in_thread(call: Callable[[], T], ended: Callable[[], Any]) -> "asyncio.Future[T]":
    """Run a call in a daemon thread; `ended` is called on the loop afterwards."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        ended()
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # pyright: ignore[reportArgumentType] - T may be None

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call()
        except BaseException as exc:
            error = exc
        with contextlib.suppress(RuntimeError):  # the loop is closed, so no caller is left
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="disk", daemon=True).start()
    return future
