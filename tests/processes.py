"""Processes that tests did not start themselves, such as the daemon."""

import os
import select
import sys

import psutil


def wait_until_ended(pid: int, seconds: float = 20) -> None:
    """Waits for a process to end, whether or not its parent has collected its status.

    A daemon's parent is the system's first process, which in containers often collects only every
    few seconds or never; until then the process identifier stays in use.

    Raises:
        TimeoutError: it still runs after `seconds`.
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
