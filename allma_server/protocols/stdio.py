"""Standard input and output as the transport of a protocol.

With `__main__`, the only code that handles file descriptors and signals. Descriptors 0 and 1 are
copied and redirected first, so that anything a library or a child process prints goes to stderr.
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
"""Bytes that a `StreamReader` buffers."""

HIGH_WATER = 1 << 20
"""Bytes that may wait to be written before `drain` blocks."""

_log = logging.getLogger(__name__)


class Writer(Protocol):
    """Where a protocol writes: an `asyncio.StreamWriter`, or the `FdWriter` of this process."""

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
        self._has_capacity = asyncio.Event()
        self._has_capacity.set()
        self._thread = threading.Thread(target=self._run, name="stdout", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        with self._counting:
            self._waiting += len(data)
            if self._waiting > HIGH_WATER:
                self._has_capacity.clear()
        self._queue.put(data)

    async def drain(self) -> None:
        """Wait until at most `HIGH_WATER` bytes are unwritten, or the reader has closed its end."""
        await self._has_capacity.wait()

    def close(self, grace: float = 2.0) -> None:
        """Write the remaining bytes, for at most `grace` seconds."""
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
                gone = True  # the reader has closed its end: drop the rest
            with self._counting:
                self._waiting -= len(data)
                has_capacity = self._waiting <= HIGH_WATER
            if has_capacity and not self._has_capacity.is_set():
                try:
                    self._loop.call_soon_threadsafe(self._resume)
                except RuntimeError:
                    return  # the loop is closed

    def _resume(self) -> None:
        # Checked again on the loop, because `write` may have added more since.
        if self._waiting <= HIGH_WATER:
            self._has_capacity.set()


class _FlowControl(asyncio.Transport):
    """Lets a `StreamReader` pause the thread that feeds it while its buffer is full."""

    def __init__(self) -> None:
        super().__init__()
        self.flowing = threading.Event()
        self.flowing.set()

    def pause_reading(self) -> None:
        self.flowing.clear()

    def resume_reading(self) -> None:
        self.flowing.set()


def open_stdio() -> tuple[int, int]:
    """Return private copies of descriptors 0 and 1, and redirect 0 to null and 1 to stderr.

    Call it before heavy imports: libraries print.
    """
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    if sys.platform != "win32":
        # A parent may pass its pipes in non-blocking mode; the threads here block on them.
        os.set_blocking(source, True)
        os.set_blocking(sink, True)
    return source, sink


def read_from(fd: int, loop: asyncio.AbstractEventLoop) -> asyncio.StreamReader:
    """Return a reader fed by a thread from a descriptor of any kind: pipe, file or terminal.

    Not through `sys.stdin`: a thread blocked in it holds a lock that hangs the exit.
    """
    reader = asyncio.StreamReader(limit=MESSAGE_LIMIT, loop=loop)
    flow = _FlowControl()
    reader.set_transport(flow)
    # One block at a time: otherwise a busy loop could not pause the thread in time.
    taken = threading.Semaphore()

    def feed(data: bytes) -> None:
        reader.feed_data(data)
        taken.release()

    def pump() -> None:
        try:
            while taken.acquire() and flow.flowing.wait() and (data := os.read(fd, 1 << 16)):
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
    """Serve one connection over two descriptors, then end the process.

    The exit status is what `serve` returned. A signal ends it like a closed input, with status 0;
    a second signal ends it at once. Cleanup after a signal may take `grace` seconds.
    """
    status = 1
    try:
        status = asyncio.run(_serve_until_signal(source, sink, serve, grace))
    except KeyboardInterrupt:
        status = 0
    except Exception:
        # The last chance to log a bug before the process ends.
        _log.exception("unexpected error; the connection ends")
    finally:
        sys.stderr.flush()
        # Not sys.exit, which waits for threads: one may block in a read for ever.
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
        exit_after(grace)
        serving.cancel()

    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, stop)
    try:
        return await serve(reader, writer)
    except asyncio.CancelledError:
        return 0
    finally:
        await asyncio.to_thread(writer.close)  # the client may read slowly


def exit_after(seconds: float) -> None:
    """End the process after `seconds`, whatever still hangs then."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()
