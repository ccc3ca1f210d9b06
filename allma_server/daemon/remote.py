"""The shell's side of a daemon: operations over the socket, and the daemon's own controls."""

import asyncio
import inspect
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter

from allma_server.daemon.link import Unreachable, connect, dial, greet
from allma_server.errors import StorageError, by_code
from allma_server.locations import meeting_place
from allma_server.model import Citation
from allma_server.operations import BY_NAME, Silent
from allma_server.ports import Progress

LONGEST_LINE = 1 << 26


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
                case {"text": delta}:
                    await listener.text(delta)
                case {"sources": citations}:
                    adapter = TypeAdapter(list[Citation])
                    await listener.sources(adapter.validate_python(citations))
                case {"error": error}:
                    raise by_code(error["code"])(error["message"], error["hint"])
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


def control(data: Path, command: str) -> dict[str, Any] | None:
    """What a running daemon says of itself; `stop` makes it leave. None when none is running.

    Blocks for a moment.
    """
    try:
        place = meeting_place(data)
    except OSError:
        return None
    link = dial(place)
    if link is None:
        return None
    with link:
        return greet(link, place, {"door": "control", "command": command})


def _typed(operation: str, result: Any) -> Any:
    wanted = inspect.signature(BY_NAME[operation].run, eval_str=True).return_annotation
    return cast(Any, TypeAdapter(wanted)).validate_python(result)
