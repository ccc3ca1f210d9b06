"""Clients that speak the protocols byte by byte, in this process, over real sockets."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
from mcp import types
from mcp.shared.message import SessionMessage

from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.shell.client import ShellClient, shell_client
from allma_server.protocols.shell.server import serve_shell
from allma_server.protocols.stdio import MESSAGE_LIMIT, Writer
from allma_server.types import LOCAL, Principal

Message = dict[str, Any]
Serve = Callable[[asyncio.StreamReader, Writer], Awaitable[Any]]

LATEST_LEGACY = "2025-11-25"
MODERN = "2026-07-28"


def envelope(**capabilities: Any) -> Message:
    """What every request of the modern era says of its client."""
    return {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }


@asynccontextmanager
async def connected(
    serve: Serve, *, limit: int = MESSAGE_LIMIT
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter, "asyncio.Task[Any]"]]:
    """The client's end of a connection to `serve`, which must end when the client leaves."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours, limit=MESSAGE_LIMIT)
    server_reader, server_writer = await asyncio.open_connection(sock=theirs, limit=limit)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(_until_done(serve, server_reader, server_writer))
        try:
            yield reader, writer, serving
        finally:
            writer.close()
            async with asyncio.timeout(10):
                await asyncio.wait({serving})


async def _until_done(
    serve: Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Any:
    try:
        return await serve(reader, writer)
    finally:
        writer.close()


class Wire:
    """What both clients share: requests by number, and everything else that came meanwhile.

    `deadline`: seconds to wait for an answer; a real model on a busy machine takes its time.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        seconds: float = 20,
    ) -> None:
        self.deadline = seconds
        self.reader = reader
        self.writer = writer
        self.notes: list[Message] = []
        self.asked: list[Message] = []
        self.replies: dict[str, Any] = {}
        self.refused: set[str] = set()
        self.silent = False
        self._answers: dict[Any, Message] = {}
        self._next = 0

    def frame(self, body: bytes) -> bytes:
        raise NotImplementedError

    async def receive(self) -> Message | None:
        raise NotImplementedError

    def send(self, message: Mapping[str, Any]) -> None:
        self.writer.write(self.frame(json.dumps(message).encode()))

    def notify(self, method: str, params: Any = None) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params or {}})

    def begin(self, method: str, params: Any = None) -> int:
        self._next += 1
        message = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": params or {}}
        self.send(message)
        return self._next

    async def request(self, method: str, params: Any = None) -> Message:
        return await self.answer(self.begin(method, params))

    async def result(self, method: str, params: Any = None) -> Any:
        answer = await self.request(method, params)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    async def answer(self, id: int | str | None) -> Message:
        """The answer to a request; None for what is answered without an id."""
        await self.until(lambda: id in self._answers)
        return self._answers.pop(id)

    async def note(self, wanted: Callable[[Message], bool]) -> Message:
        """The first notification that fits, past or to come."""
        await self.until(lambda: any(wanted(note) for note in self.notes))
        return next(note for note in self.notes if wanted(note))

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(self.deadline):
            while not done():
                message = await self.receive()
                assert message is not None, f"the server left; notes: {self.notes}"
                self._take(message)

    def _take(self, message: Message) -> None:
        if "method" not in message:
            self._answers[message["id"]] = message
        elif "id" in message:
            self.asked.append(message)
            if self.silent:
                return
            reply: Message = {"result": self.replies.get(message["method"])}
            if message["method"] in self.refused:
                reply = {"error": {"code": -32601, "message": "Method not found"}}
            self.send({"jsonrpc": "2.0", "id": message["id"], **reply})
        else:
            self.notes.append(message)


class Lines(Wire):
    """MCP's framing."""

    def frame(self, body: bytes) -> bytes:
        return body + b"\n"

    async def receive(self) -> Message | None:
        line = await self.reader.readline()
        return json.loads(line) if line else None

    async def initialize(
        self, version: str = LATEST_LEGACY, capabilities: Mapping[str, Any] | None = None
    ) -> Message:
        client = {"name": "test", "version": "0"}
        result = await self.result(
            "initialize",
            {
                "protocolVersion": version,
                "capabilities": capabilities or {},
                "clientInfo": client,
            },
        )
        self.notify("notifications/initialized")
        return result

    async def call(self, name: str, /, token: str | None = None, **arguments: Any) -> Message:
        return await self.answer(self.begin_call(name, token, **arguments))

    def begin_call(self, name: str, /, token: str | None = None, **arguments: Any) -> int:
        params: Message = {"name": name, "arguments": arguments}
        if token is not None:
            params["_meta"] = {"progressToken": token}
        return self.begin("tools/call", params)

    async def tool(self, name: str, /, **arguments: Any) -> Message:
        answer = await self.call(name, **arguments)
        assert "error" not in answer, answer["error"]
        return answer["result"]


class Frames(Wire):
    """LSP's framing."""

    def frame(self, body: bytes) -> bytes:
        return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)

    async def receive(self) -> Message | None:
        length = 0
        while header := await self.reader.readline():
            if header == b"\r\n":
                return json.loads(await self.reader.readexactly(length))
            if header.startswith(b"Content-Length"):
                length = int(header.split(b":")[1])
        return None

    async def initialize(
        self,
        *,
        capabilities: Mapping[str, Any] | None = None,
        options: Any = None,
        folders: tuple[str, ...] = (),
        process_id: int | None = None,
    ) -> Message:
        result = await self.result(
            "initialize",
            {
                "processId": process_id,
                "rootUri": None,
                "capabilities": capabilities or {},
                "initializationOptions": options,
                "workspaceFolders": [{"uri": f"file://{f}", "name": f} for f in folders],
            },
        )
        self.notify("initialized")
        return result

    def begin_command(self, name: str, argument: Any = None) -> int:
        arguments = [] if argument is None else [argument]
        return self.begin("workspace/executeCommand", {"command": name, "arguments": arguments})

    async def command(self, name: str, argument: Any = None) -> Any:
        answer = await self.answer(self.begin_command(name, argument))
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def chunks(self, token: int | str) -> list[Message]:
        """What came for a token, in order."""
        return [
            note["params"]["value"]
            for note in self.notes
            if note["method"] == "$/progress" and note["params"]["token"] == token
        ]


@asynccontextmanager
async def shell(
    provider: EngineProvider, principal: Principal = LOCAL, **context: Any
) -> AsyncGenerator[ShellClient]:
    """The shell's client, over a connection of its own."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=theirs)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(
            _until_done(
                partial(serve_shell, provider, client=ClientContext(principal, **context)),
                reader,
                writer,
            )
        )
        async with shell_client(ours) as client:
            yield client
        async with asyncio.timeout(10):
            await asyncio.wait({serving})


@asynccontextmanager
async def transport(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncGenerator[Any]:
    """A connection as the MCP library's own client wants it."""
    into, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, out = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        async with into:
            while line := await reader.readline():
                message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
                await into.send(SessionMessage(message))

    async def write() -> None:
        async with out:
            async for item in out:
                data = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                writer.write(data.encode() + b"\n")

    with into, incoming, outgoing, out:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            tasks.start_soon(write)
            try:
                yield incoming, outgoing
            finally:
                tasks.cancel_scope.cancel()
