"""Standard input and output as the wire of a protocol.

The only code, with `__main__`, that knows file descriptors and signals. The wire is taken away
from descriptors 0 and 1 first: what a library or a child process prints lands on stderr.
"""

import asyncio
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol, cast

MESSAGE_LIMIT = 1 << 24
"""Characters of the longest line a `StreamReader` of ours takes."""

HIGH_WATER = 1 << 20
"""Bytes that may wait to be written before `drain` makes the producer wait as well."""

_log = logging.getLogger(__name__)


class Writer(Protocol):
    """What a door writes to: an `asyncio.StreamWriter`, or the `FdWriter` of this process."""

    def write(self, data: bytes) -> None: ...
    async def drain(self) -> None: ...
    def close(self) -> None: ...


class FdWriter:
    """Writes to a file descriptor from a thread, so that a slow reader never blocks the loop."""

    def __init__(self, fd: int, loop: asyncio.AbstractEventLoop) -> None:
        self._fd = fd
        self._loop = loop
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._waiting = 0
        self._counting = threading.Lock()
        self._room = asyncio.Event()
        self._room.set()
        self._thread = threading.Thread(target=self._run, name="stdout", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        with self._counting:
            self._waiting += len(data)
            if self._waiting > HIGH_WATER:
                self._room.clear()
        self._queue.put(data)

    async def drain(self) -> None:
        """Returns when less than `HIGH_WATER` bytes wait, or nobody reads any more."""
        await self._room.wait()

    def close(self, grace: float = 2.0) -> None:
        """Writes what is left, for `grace` seconds at most."""
        self._queue.put(None)
        self._thread.join(grace)

    def _run(self) -> None:
        gone = False
        while (data := self._queue.get()) is not None:
            view = memoryview(data)
            try:
                while view and not gone:
                    view = view[os.write(self._fd, view) :]
            except OSError:
                gone = True  # nobody reads any more: the rest is dropped, not kept
            with self._counting:
                self._waiting -= len(data)
                room = self._waiting <= HIGH_WATER
            if room and not self._room.is_set():
                try:
                    self._loop.call_soon_threadsafe(self._make_room)
                except RuntimeError:
                    return  # the loop is closed

    def _make_room(self) -> None:
        # Asked again on the loop, where `write` decides: more may have come in between.
        if self._waiting <= HIGH_WATER:
            self._room.set()


class _Tap(asyncio.Transport):
    """Lets a `StreamReader` stop the thread that feeds it while its buffer is full."""

    def __init__(self) -> None:
        super().__init__()
        self.flowing = threading.Event()
        self.flowing.set()

    def pause_reading(self) -> None:
        self.flowing.clear()

    def resume_reading(self) -> None:
        self.flowing.set()


def open_stdio() -> tuple[int, int]:
    """Takes the wire: private copies of descriptors 0 and 1, which then lead to nowhere and stderr.

    Must run before anything heavy is imported: libraries print.
    """
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    if sys.platform != "win32":
        # A parent may hand over its pipes in non-blocking mode; our threads want to wait.
        os.set_blocking(source, True)
        os.set_blocking(sink, True)
    return source, sink


def read_from(fd: int, loop: asyncio.AbstractEventLoop) -> asyncio.StreamReader:
    """A reader fed by a thread from a descriptor of any kind: pipe, file, terminal, on any system.

    A thread of our own, because one parked in `sys.stdin` holds a lock that hangs the exit.
    """
    reader = asyncio.StreamReader(limit=MESSAGE_LIMIT, loop=loop)
    tap = _Tap()
    reader.set_transport(tap)
    # One block on its way at a time: a busy loop could not say stop in time otherwise.
    taken = threading.Semaphore()

    def feed(data: bytes) -> None:
        reader.feed_data(data)
        taken.release()

    def pump() -> None:
        try:
            while taken.acquire() and tap.flowing.wait() and (data := os.read(fd, 1 << 16)):
                loop.call_soon_threadsafe(feed, data)
            loop.call_soon_threadsafe(reader.feed_eof)
        except RuntimeError:
            return  # the loop is closed
        except OSError:
            loop.call_soon_threadsafe(reader.feed_eof)

    threading.Thread(target=pump, name="stdin", daemon=True).start()
    return reader


Serve = Callable[[asyncio.StreamReader, Writer], Awaitable[int]]


def run_stdio(source: int, sink: int, serve: Serve, *, grace: float = 10.0) -> NoReturn:
    """Serves one connection over the wire, then ends the process with what `serve` returned.

    A signal ends it like a closed input, with status 0; a second one ends it at once. What has
    not cleaned up within `grace` seconds after that is left behind.
    """
    status = 1
    try:
        status = asyncio.run(_serve_until_signal(source, sink, serve, grace))
    except KeyboardInterrupt:
        status = 0
    except Exception:
        # The one place left that can tell of a bug before the process is gone.
        _log.exception("the connection ended")
    finally:
        sys.stderr.flush()
        # Not sys.exit: a thread may be parked in a read that never returns.
        os._exit(status)


async def _serve_until_signal(source: int, sink: int, serve: Serve, grace: float) -> int:
    loop = asyncio.get_running_loop()
    serving = cast("asyncio.Task[int]", asyncio.current_task())
    reader, writer = read_from(source, loop), FdWriter(sink, loop)
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            os._exit(0)
        stopping = True
        last_resort(grace)
        serving.cancel()

    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, stop)
    try:
        return await serve(reader, writer)
    except asyncio.CancelledError:
        return 0
    finally:
        writer.close()


def last_resort(seconds: float) -> None:
    """Ends the process after `seconds`, whatever still hangs by then."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()
