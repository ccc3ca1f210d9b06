"""The shell's side of a daemon: operations over the socket, and the daemon's own controls."""

import asyncio
import inspect
import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import TypeAdapter

from allma_server.daemon.link import Unreachable, connect, dial, greet
from allma_server.errors import StorageError, from_dict
from allma_server.locations import meeting_place
from allma_server.model import Citation, DaemonClient, DaemonStatus
from allma_server.operations import BY_NAME, Silent
from allma_server.ports import Progress

LONGEST_LINE = 1 << 26
STOP_SECONDS = 20.0


class RemoteSession:
    """Runs operations in a daemon. Made by `reach`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def run(
        self, operation: str, arguments: Mapping[str, Any], progress: Progress | None = None
    ) -> Any:
        """The operation's result, in the types of the model.

        Raises:
            AllmaError: whatever the operation foresees.
            StorageError: the daemon ended meanwhile.
        """
        listener = progress or Silent()
        asked = {"operation": operation, "arguments": dict(arguments)}
        self._writer.write(json.dumps(asked).encode() + b"\n")
        await self._writer.drain()
        while line := await self._reader.readline():
            said = json.loads(line)
            match said:
                case {"report": [done, total, message]}:
                    await listener.report(done, total, message)
                case {"started": [conversation_id, message_id]}:
                    await listener.started(conversation_id, message_id)
                case {"text": delta}:
                    await listener.text(delta)
                case {"sources": citations}:
                    adapter = TypeAdapter(list[Citation])
                    await listener.sources(adapter.validate_python(citations))
                case {"error": error}:
                    raise from_dict(error)
                case _:
                    return _typed(operation, said["result"])
        raise StorageError("Allma's engine stopped during this.", "Try again: it starts anew.")

    async def close(self) -> None:
        """Ends the connection, and with it whatever is under way."""
        self._writer.close()


async def reach(data: Path) -> RemoteSession | None:
    """A session with the daemon of `data`; None when none is running."""
    try:
        link = await asyncio.to_thread(connect, data, {"door": "shell"}, start=False)
    except Unreachable:
        return None
    if link.family == socket.AF_INET:
        reader, writer = await asyncio.open_connection(sock=link, limit=LONGEST_LINE)
    else:
        reader, writer = await asyncio.open_unix_connection(sock=link, limit=LONGEST_LINE)
    return RemoteSession(reader, writer)


async def daemon_status(data: Path, command: Literal["status", "stop"] = "status") -> DaemonStatus:
    """What a running daemon says of itself; after `stop`, once it has left its place."""
    said = await asyncio.to_thread(_control, data, command)
    if said is None:
        return DaemonStatus(running=False)
    if command == "stop":
        await asyncio.to_thread(_wait_until_gone, data)
    return DaemonStatus(
        running=command != "stop",
        pid=said["pid"],
        build=said["stamp"],
        uptime_seconds=said["uptime_seconds"],
        clients=[DaemonClient(client["door"], client["pid"]) for client in said["clients"]],
    )


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


def _control(data: Path, command: str) -> dict[str, Any] | None:
    try:
        place = meeting_place(data)
    except OSError:
        return None
    link = dial(place)
    if link is None:
        return None
    with link:
        return greet(link, place, {"door": "control", "command": command})


def _wait_until_gone(data: Path) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while _control(data, "status") is not None and time.monotonic() < deadline:
        time.sleep(0.05)


def _typed(operation: str, result: Any) -> Any:
    wanted = inspect.signature(BY_NAME[operation].run, eval_str=True).return_annotation
    return cast(Any, TypeAdapter(wanted)).validate_python(result)
