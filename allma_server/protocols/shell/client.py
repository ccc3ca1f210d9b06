"""The client of the shell's protocol, and its stand-in without a daemon.

A command opens a session, runs operations by name, and gets the dataclasses of `types`; progress
arrives through `ports.Progress`.
"""

import asyncio
import json
import os
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from allma_server import types
from allma_server.daemon.link import NoSockets, Refused, Unreachable, connect, connect_running
from allma_server.errors import InvalidArgument, StorageError, from_dict
from allma_server.locations import question_settings
from allma_server.protocols.framing import LARGEST_MESSAGE, Frames, Malformed, Messages
from allma_server.protocols.shell import LOOK_SECONDS, WIRE

if TYPE_CHECKING:
    from allma_server.config import Config
    from allma_server.ports import Progress


class Session(Protocol):
    """A connection to an engine, in the daemon or in this process."""

    async def run(
        self, operation: str, arguments: Mapping[str, Any], progress: "Progress | None" = None
    ) -> Any:
        """Run an operation by its name in `operations.BY_NAME` and return its result.

        Raises:
            AllmaError: the operation failed.
        """
        ...


@asynccontextmanager
async def open_session(
    data: Path,
    settings: "Callable[[], Config]",
    *,
    solo: bool = False,
    verbose: bool = False,
) -> AsyncGenerator[Session]:
    """Open a session on the data directory `data`; start its daemon if none is running.

    With `solo`, or where sockets cannot be used, the engine runs in this process with `settings`,
    and `verbose` shows its warnings.

    Raises:
        StorageError: no daemon is running and none can be started; or, without a daemon, the data
            directory is in use by another process, too new, or unusable.
    """
    if not solo:
        try:
            link = await connected(data, {"protocol": "shell", "wire": WIRE})
        except NoSockets:
            pass
        else:
            async with shell_client(link) as client:
                yield client
            return
    async with _in_process(settings(), verbose) as session:
        yield session


@asynccontextmanager
async def running_session(data: Path) -> AsyncGenerator[Session | None]:
    """Open a session with the daemon of `data` if one is running; yield None if none is."""
    hello = {"protocol": "shell", "wire": WIRE, "cwd": working_folder()}
    link = await asyncio.to_thread(connect_running, data, hello)
    if link is None:
        yield None
        return
    async with shell_client(link) as client:
        yield client


async def connected(data: Path, protocol: Mapping[str, object]) -> socket.socket:
    """Connect to the daemon of `data`; cancelling also ends the thread that waits for it.

    `protocol`: what the hello says of the protocol.

    Raises:
        NoSockets: sockets cannot be used here.
        StorageError: no daemon is running and none can be started.
    """
    hello = {**protocol, "cwd": working_folder(), "settings": question_settings()}
    given_up = threading.Event()
    try:
        return await asyncio.to_thread(connect, data, hello, given_up.is_set)
    except NoSockets:
        raise
    except Refused as exc:
        raise StorageError(str(exc), exc.hint) from exc
    except Unreachable as exc:
        raise StorageError(f"Cannot start the engine: {exc}.") from exc
    finally:
        given_up.set()


def working_folder() -> str | None:
    """Return the current folder; None if it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return None


@asynccontextmanager
async def shell_client(link: socket.socket) -> AsyncGenerator["ShellClient"]:
    """Open a client on a connection that the daemon accepted; closing it cancels its requests."""
    async with streams_of(link) as (reader, writer):
        yield ShellClient(reader, writer)


@asynccontextmanager
async def streams_of(
    link: socket.socket,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Read from and write to a connection until the block ends, which closes it."""
    opened = (
        asyncio.open_connection if link.family == socket.AF_INET else asyncio.open_unix_connection
    )
    reader, writer = await opened(sock=link)
    try:
        yield reader, writer
    finally:
        writer.close()


class ShellClient:
    """Runs operations in the daemon, one at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._messages = Messages(reader, Frames())
        self._writer = writer
        self._last = 0

    async def run(
        self, operation: str, arguments: Mapping[str, Any], progress: "Progress | None" = None
    ) -> Any:
        """Run an operation and return its result, as its own dataclass.

        Raises:
            AllmaError: the operation failed.
            InvalidArgument: the arguments are larger than a message may be.
            StorageError: the daemon stopped before it answered.
        """
        self._last += 1
        id = self._last
        request = {"jsonrpc": "2.0", "id": id, "method": operation, "params": dict(arguments)}
        body = json.dumps(request).encode()
        if len(body) > LARGEST_MESSAGE:
            raise InvalidArgument(
                f"The arguments have {len(body):,} bytes; the limit is {LARGEST_MESSAGE:,}."
            )
        try:
            self._writer.write(Frames.frame(body))
            await self._writer.drain()
        except ConnectionError:
            pass  # read what it sent before it stopped
        while (message := await self._messages.next()) is not None:
            if isinstance(message, Malformed):
                raise StorageError("The engine sent a response that cannot be read.")
            if message.get("id") == id:
                if (error := message.get("error")) is not None:
                    raise from_dict(error["data"])
                return _typed(message)
            sent = message.get("params", {})
            if progress is not None and sent.get("id") == id:
                await _report(progress, sent)
        raise StorageError(
            "The engine stopped before it answered.", "Try again: it will be started again."
        )


async def _report(progress: "Progress", sent: Mapping[str, Any]) -> None:
    match sent:
        case {"report": [done, total, message]}:
            await progress.report(done, total, message)
        case {"started": [conversation_id, message_id]}:
            await progress.started(conversation_id, message_id)
        case {"thinking": delta}:
            await progress.thinking(delta)
        case {"text": delta}:
            await progress.text(delta)
        case {"sources": citations}:
            await progress.sources(msgspec.convert(citations, list[types.Citation]))
        case _:
            pass


def _typed(message: Mapping[str, Any]) -> Any:
    """Return the result of a response as its own dataclass."""
    return msgspec.convert(message["result"], getattr(types, message["type"]))


@asynccontextmanager
async def _in_process(config: "Config", verbose: bool) -> AsyncGenerator[Session]:
    # Imported late: the engine and its operations are most of the program, and help needs neither.
    from allma_server._internal.logs import logging_to
    from allma_server.engine import open_engine
    from allma_server.operations import BY_NAME, Call, NullProgress
    from allma_server.protocols.folders import bases, workspace_at
    from allma_server.types import LOCAL

    class InProcess:
        async def run(
            self, operation: str, arguments: Mapping[str, Any], progress: "Progress | None" = None
        ) -> Any:
            folder = working_folder()
            call = Call(
                engine,
                LOCAL,
                progress or NullProgress(),
                workspaces=await workspace_at(engine, folder),
                look_seconds=LOOK_SECONDS,
                folders=bases(folder),
            )
            return await BY_NAME[operation](call, arguments)

    with logging_to(config.data_dir, verbose=verbose):
        async with open_engine(config) as engine:
            yield InProcess()
