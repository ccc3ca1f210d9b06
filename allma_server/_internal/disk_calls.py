"""Calls that look at a disk which may not answer, such as a network share that is gone.

Such a call waits for ever in a thread that nothing can end. So each has a thread of its own, which
is left behind when its time is up, and only so many for one place: a disk that is gone fails calls
to itself, soon and in a sentence, and no others.
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

AT_ONCE = 4
"""Threads for one place."""


class _Place:
    """The threads that a place may have, and how many calls know of it."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(AT_ONCE)
        self.calls = 0


_places: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Place]]" = (
    WeakKeyDictionary()
)


async def call_disk(
    place: Hashable,
    seconds: float | None,
    call: Callable[P, T],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """What `call` returns or raises, beside the event loop; `place` is what it may wait for.

    Raises:
        TimeoutError: it took longer than `seconds`, or others at this place did.
    """
    loop = asyncio.get_running_loop()
    places = _places.setdefault(loop, {})
    known = places.setdefault(place, _Place())
    known.calls += 1

    def leave() -> None:
        known.calls -= 1
        if not known.calls:
            places.pop(place, None)

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
    """Runs a call in a thread that ends with the process; `ended` is then called on the loop."""
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
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="disk", daemon=True).start()
    return future
