"""The shell's client, and the same without a daemon: how a command reaches an engine.

Whoever holds a session sees results only, the dataclasses of `model`, and hears of progress
through `ports.Progress`.
"""

import asyncio
import inspect
import json
import os
import socket
import threading
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

from allma_server.daemon.link import NoSockets, Refused, Unreachable, connect
from allma_server.errors import InvalidArgument, StorageError, from_dict
from allma_server.locations import question_settings
from allma_server.protocols.framing import LARGEST_MESSAGE, Frames, Malformed, Messages
from allma_server.protocols.shell import WIRE

if TYPE_CHECKING:
    from allma_server.config import Config
    from allma_server.ports import Progress


class Session(Protocol):
    """An open way to an engine."""

    async def run(
        self, operation: str, arguments: Mapping[str, Any], progress: "Progress | None" = None
    ) -> Any:
        """The result of an operation, by its name in `operations.BY_NAME`.

        Raises:
            AllmaError: whatever the operation foresees.
        """
        ...


@asynccontextmanager
async def open_session(
    config: "Config", *, solo: bool = False, verbose: bool = False
) -> AsyncGenerator[Session]:
    """A session over the data directory of `config`, with its daemon, which is started if need be.

    When `solo`, or where no sockets can be used, the engine runs in this process, and `verbose`
    shows its warnings.

    Raises:
        StorageError: there is no daemon and none could be started; or, without one, the data
            directory is owned by another process, too new, or not usable.
    """
    if not solo:
        try:
            link = await _connected(config)
        except NoSockets:
            pass
        else:
            async with shell_client(link) as client:
                yield client
            return
    async with _in_process(config, verbose) as session:
        yield session


async def _connected(config: "Config") -> socket.socket:
    """A connection to the daemon; who stops waiting for it waits no more."""
    hello = {
        "door": "shell",
        "wire": WIRE,
        "cwd": working_folder(),
        "settings": question_settings(),
    }
    given_up = threading.Event()
    try:
        return await asyncio.to_thread(connect, config.data_dir, hello, given_up.is_set)
    except NoSockets:
        raise
    except Refused as exc:
        raise StorageError(str(exc), exc.hint) from exc
    except Unreachable as exc:
        raise StorageError(f"Allma's engine cannot be started: {exc}.") from exc
    finally:
        given_up.set()


def working_folder() -> str | None:
    """The current folder; None when it is gone."""
    try:
        return os.getcwd()
    except OSError:
        return None


@asynccontextmanager
async def shell_client(link: socket.socket) -> AsyncGenerator["ShellClient"]:
    """A client over a connection that the daemon has said yes to; closing it cancels its work."""
    opened = (
        asyncio.open_connection if link.family == socket.AF_INET else asyncio.open_unix_connection
    )
    reader, writer = await opened(sock=link)
    try:
        yield ShellClient(reader, writer)
    finally:
        writer.close()


class ShellClient:
    """Runs operations in a daemon, one after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._messages = Messages(reader, Frames())
        self._writer = writer
        self._last = 0

    async def run(
        self, operation: str, arguments: Mapping[str, Any], progress: "Progress | None" = None
    ) -> Any:
        """The operation's result, in the types of the model.

        Raises:
            AllmaError: whatever the operation foresees.
            InvalidArgument: the arguments are larger than a message may be.
            StorageError: the daemon ended meanwhile.
        """
        self._last += 1
        id = self._last
        request = {"jsonrpc": "2.0", "id": id, "method": operation, "params": dict(arguments)}
        body = json.dumps(request).encode()
        if len(body) > LARGEST_MESSAGE:
            raise InvalidArgument(
                f"The arguments have {len(body):,} bytes; at most {LARGEST_MESSAGE:,} are taken."
            )
        try:
            self._writer.write(Frames.frame(body))
            await self._writer.drain()
        except ConnectionError:
            pass  # what it still said before it ended comes first
        while (message := await self._messages.next()) is not None:
            if isinstance(message, Malformed):
                raise StorageError("Allma's engine answered with something unexpected.")
            if message.get("id") == id:
                if (error := message.get("error")) is not None:
                    raise from_dict(error["data"])
                return _typed(operation, message["result"])
            if progress is not None and message.get("params", {}).get("id") == id:
                await _tell(progress, message["params"])
        raise StorageError("Allma's engine stopped during this.", "Try again: it starts anew.")


async def _tell(progress: "Progress", said: Mapping[str, Any]) -> None:
    from pydantic import TypeAdapter

    from allma_server.types import Citation

    match said:
        case {"report": [done, total, message]}:
            await progress.report(done, total, message)
        case {"started": [conversation_id, message_id]}:
            await progress.started(conversation_id, message_id)
        case {"text": delta}:
            await progress.text(delta)
        case {"sources": citations}:
            await progress.sources(TypeAdapter(list[Citation]).validate_python(citations))
        case _:
            pass


def _typed(operation: str, result: Any) -> Any:
    from pydantic import TypeAdapter

    from allma_server.operations import BY_NAME

    wanted = inspect.signature(BY_NAME[operation].run, eval_str=True).return_annotation
    return cast(Any, TypeAdapter(wanted)).validate_python(result)


@asynccontextmanager
async def _in_process(config: "Config", verbose: bool) -> AsyncGenerator[Session]:
    # The engine and its operations are most of the program; the shell's help does without them.
    from allma_server._internal.logs import logging_to
    from allma_server.engine import open_engine
    from allma_server.operations import BY_NAME, Call, NullProgress
    from allma_server.protocols.folders import bases
    from allma_server.types import LOCAL

    class InProcess:
        async def run(
            self, operation: str, arguments: Mapping[str, Any], progress: "Progress | None" = None
        ) -> Any:
            folders = bases(working_folder())
            call = Call(engine, LOCAL, progress or NullProgress(), folders=folders)
            return await BY_NAME[operation](call, arguments)

    with logging_to(config.data_dir, verbose=verbose):
        async with open_engine(config) as engine:
            yield InProcess()
