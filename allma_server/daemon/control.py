"""What the shell does with the daemon's process: ask after it, start it, stop it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from allma_server.daemon.link import HANG_SECONDS, Unreachable, connect, control, serving, stop
from allma_server.errors import DataDirectoryBusy, StorageError
from allma_server.locations import socket_path
from allma_server.types import ConnectedClient, DaemonStatus

T = TypeVar("T")

TAKEN_SECONDS = 15.0
"""How long a data directory is tried for that a client's daemon, or another process, has taken."""

PAUSE_SECONDS = 0.05

SILENT = "It does not answer. `allma daemon restart` replaces it."


async def daemon_status(data: Path) -> DaemonStatus:
    """What a running daemon says of itself."""
    said = await asyncio.to_thread(_asked, data, "status")
    if said is not None:
        return DaemonStatus(
            running=True,
            pid=said["pid"],
            build=said["stamp"],
            uptime_seconds=said["uptime_seconds"],
            clients=[ConnectedClient(client["door"], client["pid"]) for client in said["clients"]],
        )
    try:
        owner = await asyncio.to_thread(serving, socket_path(data))
    except OSError:
        owner = None
    if owner is None:
        return DaemonStatus(running=False)
    return DaemonStatus(running=True, pid=owner.pid, notice=SILENT)


async def running_settings(data: Path) -> dict[str, Any] | None:
    """The settings that a running daemon works with; None when none is running."""
    said = await asyncio.to_thread(_asked, data, "settings")
    return said["settings"] if said is not None else None


async def start_daemon(data: Path) -> DaemonStatus:
    """Starts a daemon unless one is running.

    Raises:
        StorageError: it does not start.
    """
    try:
        link = await asyncio.to_thread(connect, data, {"door": "shell"})
    except Unreachable as exc:
        raise StorageError(f"Allma's engine cannot be started: {exc}.", "See its log.") from exc
    link.close()
    return await daemon_status(data)


async def stop_daemon(data: Path) -> DaemonStatus:
    """Stops a running daemon; returns when its process is gone, and the data directory is free.

    Raises:
        StorageError: it cannot be ended.
    """
    try:
        stopped = await asyncio.to_thread(stop, data)
    except Unreachable as exc:
        raise StorageError(f"Allma's engine cannot be stopped: {exc}.") from exc
    if stopped.killed:
        told = f"It did not end within {HANG_SECONDS:g} seconds, so its process was killed."
        return DaemonStatus(running=False, pid=stopped.pid, notice=f"Stopped. {told}")
    return DaemonStatus(running=False, pid=stopped.pid, notice="Stopped." if stopped.pid else None)


async def without_daemon(data: Path, work: Callable[[], Awaitable[T]]) -> T:
    """What `work` gives, which needs the data directory for itself.

    A client may start the daemon anew before the work begins; then it is stopped again.

    Raises:
        DataDirectoryBusy: the directory was taken each time, for `TAKEN_SECONDS`.
        AllmaError: whatever the work foresees.
    """
    deadline = time.monotonic() + TAKEN_SECONDS
    while True:
        await stop_daemon(data)
        try:
            return await work()
        except DataDirectoryBusy:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(PAUSE_SECONDS)


def _asked(data: Path, command: str) -> dict[str, Any] | None:
    try:
        return control(data, command)
    except Unreachable:
        return None
