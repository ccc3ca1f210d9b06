"""Limit the processor time of one call, from inside the process that makes it.

Waiting does not count, so a valid file does not fail because the machine is busy.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Generator

_WINDOWS_EXIT = 124

EXIT_CODE = _WINDOWS_EXIT if sys.platform == "win32" else -signal.SIGPROF
"""The exit code, as the parent sees it, of a process that reached its limit."""


@contextlib.contextmanager
def cpu_limit(seconds: float) -> Generator[None]:
    """End this process with EXIT_CODE when the block uses more than `seconds`, user and system."""
    if sys.platform == "win32":
        with _watch_by_thread(seconds):
            yield
        return
    # The kernel measures the time and ends the process, so this also stops native code that never
    # returns to the interpreter.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


@contextlib.contextmanager
def _watch_by_thread(seconds: float) -> Generator[None]:
    """Do the same with a thread, where the system has no such timer.

    Native code that holds the interpreter's lock is stopped only when it releases the lock.
    """
    end = time.process_time() + seconds
    done = threading.Event()

    def watch() -> None:
        while not done.wait(max(0.05, end - time.process_time())):
            if time.process_time() >= end:
                os._exit(_WINDOWS_EXIT)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
