"""Status, start and stop of the daemon, for the shell."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from allma_server.daemon.link import (
    HANG_SECONDS,
    Reply,
    Unreachable,
    connect,
    control,
    find_socket,
    serving,
    stop,
)
from allma_server.errors import DataDirectoryBusy, StorageError
from allma_server.types import ConnectedClient, DaemonStatus

T = TypeVar("T")

BUSY_SECONDS = 15.0
"""Seconds to retry while a client's daemon, or another process, uses the data directory."""

PAUSE_SECONDS = 0.05

UNRESPONSIVE = "It does not answer. `allma daemon restart` replaces it."


async def daemon_status(data: Path) -> DaemonStatus:
    """Return the status of the daemon."""
    reply = await asyncio.to_thread(_request, data, "status")
    if reply is not None:
        return DaemonStatus(
            running=True,
            pid=reply.get("pid"),
            build=reply.get("stamp"),
            uptime_seconds=reply.get("uptime_seconds"),
            clients=[
                ConnectedClient(client["protocol"], client["pid"])
                for client in reply.get("clients", [])
            ],
        )
    try:
        owner = await asyncio.to_thread(lambda: serving(find_socket(data)))
    except Unreachable:
        owner = None
    if owner is None:
        return DaemonStatus(running=False)
    return DaemonStatus(running=True, pid=owner.pid, notice=UNRESPONSIVE)


async def running_settings(data: Path) -> dict[str, object] | None:
    """Return the settings of the running daemon; None if none is running."""
    reply = await asyncio.to_thread(_request, data, "settings")
    return reply.get("settings") if reply is not None else None


async def start_daemon(data: Path) -> DaemonStatus:
    """Start a daemon unless one is running.

    Raises:
        StorageError: it does not start.
    """
    try:
        link = await asyncio.to_thread(connect, data, {"protocol": "shell"})
    except Unreachable as exc:
        raise StorageError(f"Cannot start the engine: {exc}.", "See its log.") from exc
    link.close()
    return await daemon_status(data)


async def stop_daemon(data: Path) -> DaemonStatus:
    """Stop the daemon; return when its process has ended and the data directory is free.

    Raises:
        StorageError: its process cannot be ended.
    """
    try:
        stopped = await asyncio.to_thread(stop, data)
    except Unreachable as exc:
        raise StorageError(f"Cannot stop the engine: {exc}.") from exc
    if stopped.killed:
        notice = f"Stopped. It did not end within {HANG_SECONDS:g} seconds and was killed."
        return DaemonStatus(running=False, pid=stopped.pid, notice=notice)
    return DaemonStatus(running=False, pid=stopped.pid, notice="Stopped." if stopped.pid else None)


async def without_daemon(data: Path, work: Callable[[], Awaitable[T]]) -> T:
    """Stop the daemon, then run `work`, which needs the data directory for itself.

    A client may start a daemon before the work begins; it is then stopped again.

    Raises:
        DataDirectoryBusy: the directory stayed in use for `BUSY_SECONDS`.
        AllmaError: the work failed.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        await stop_daemon(data)
        try:
            return await work()
        except DataDirectoryBusy:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(PAUSE_SECONDS)


def _request(data: Path, command: str) -> Reply | None:
    try:
        return control(data, command)
    except Unreachable:
        return None
