"""Detect the end of the editor that started a connection."""

import asyncio
import os
import sys

POLL_SECONDS = 2.0
"""Seconds between two checks of the process."""


async def wait_for_exit(pid: int) -> None:
    """Wait until the process `pid` has ended; for ever if it did not exist at the start.

    An editor in another container or on another host names a process that is invisible here.
    """
    if not alive(pid):
        await asyncio.Event().wait()
    # The system does not report the end of a process that is not a child.
    while alive(pid):  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)


def alive(pid: int) -> bool:
    """Return whether a process of this id exists."""
    if sys.platform == "win32":
        return _alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _alive_on_windows(pid: int) -> bool:
    # os.kill would end the process there, whatever the signal.
    import ctypes

    synchronize, timed_out = 0x00100000, 0x102
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - the name exists on Windows only
    handle = kernel.OpenProcess(synchronize, False, pid)
    if not handle:
        return False
    try:
        return kernel.WaitForSingleObject(handle, 0) == timed_out
    finally:
        kernel.CloseHandle(handle)
