"""Wait for processes that a test did not start itself, such as the daemon."""

import os
import select
import sys

import psutil


def wait_until_ended(pid: int, seconds: float = 20) -> None:
    """Wait until a process has ended, even if its parent has not collected its status.

    The parent of a daemon is the system's first process. In containers it often collects late or
    never, and until then the process id stays in use.

    Raises:
        TimeoutError: the process still runs after `seconds`.
    """
    if sys.platform != "linux":
        psutil.Process(pid).wait(seconds)
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([descriptor], [], [], seconds)[0]:
            raise TimeoutError(f"process {pid} still runs after {seconds} s")
    finally:
        os.close(descriptor)
