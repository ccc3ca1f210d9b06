"""A scripted server, for responses that a correct model server never sends."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Exchange:
    """One request, and the means to answer it."""

    method: str
    path: str
    body: Any
    writer: asyncio.StreamWriter
    headers: dict[str, str] = field(default_factory=dict[str, str])

    async def answer(self, body: object, status: int = 200, kind: str = "application/json") -> None:
        content = body if isinstance(body, str) else json.dumps(body)
        await self._head(status, kind, f"Content-Length: {len(content.encode())}")
        await self.send(content)

    async def begin(self, kind: str = "application/x-ndjson") -> None:
        """Begins a stream that ends when the connection does."""
        await self._head(200, kind, "Connection: close")

    async def lines(self, *objects: object) -> None:
        await self.send("".join(json.dumps(o) + "\n" for o in objects))

    async def send(self, text: str) -> None:
        self.writer.write(text.encode())
        await self.writer.drain()

    def reset(self) -> None:
        """Breaks the connection as a crash does: the client gets a reset, not an end."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def _head(self, status: int, kind: str, *more: str) -> None:
        lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {kind}", *more, "", ""]
        await self.send("\r\n".join(lines))


Script = Callable[[Exchange], Awaitable[None]]


@dataclass(slots=True)
class Wire:
    """The scripted server's address, and what it was asked.

    `received` is for a test to set when something has reached the client.
    """

    url: str
    seen: list[Exchange] = field(default_factory=list)
    received: asyncio.Event = field(default_factory=asyncio.Event)

    def bodies(self, path: str) -> list[Any]:
        return [exchange.body for exchange in self.seen if exchange.path == path]


@asynccontextmanager
async def serving(script: Script, port: int = 0) -> AsyncGenerator[Wire]:
    """A server whose every request is answered by `script`, at a free port unless one is named."""
    wire = Wire("")
    open_connections: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.add(writer)
        try:
            while (exchange := await _request(reader, writer)) is not None:
                wire.seen.append(exchange)
                await script(exchange)
                if exchange.path in ("/api/chat", "/api/pull", "/chat/completions"):
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            open_connections.discard(writer)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    host, port = server.sockets[0].getsockname()[:2]
    wire.url = f"http://{host}:{port}"
    try:
        yield wire
    finally:
        server.close()
        for writer in list(open_connections):
            writer.transport.abort()


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *fields = head.split("\r\n")
    method, path, _ = first.split(" ")
    pairs = [line.split(": ", 1) for line in fields if line]
    headers = {name.lower(): value for name, value in pairs}
    content = await reader.readexactly(int(headers.get("content-length", 0)))
    return Exchange(method, path, json.loads(content) if content else None, writer, headers)
