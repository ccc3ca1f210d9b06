"""Whether the editor that started a connection is still there."""

import asyncio
import os
import sys

EVERY_SECONDS = 2.0


async def outlived(pid: int) -> None:
    """Returns when the process `pid` has ended; never if it was not there to begin with.

    An editor in another container or on another host names a process that this one cannot see.
    """
    if not alive(pid):
        await asyncio.Event().wait()
    # Nothing tells that a process has ended which is no child of ours.
    while alive(pid):  # noqa: ASYNC110
        await asyncio.sleep(EVERY_SECONDS)


def alive(pid: int) -> bool:
    """Whether a process of this id exists."""
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
