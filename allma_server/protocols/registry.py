"""The protocols that a connection can speak. To add one: its package, and its name here."""

import asyncio
from importlib import import_module
from typing import Protocol, cast

from allma_server._internal.imports import imported
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.stdio import Writer

PROTOCOLS = {
    "lsp": ("allma_server.protocols.lsp", "serve_lsp"),
    "mcp": ("allma_server.protocols.mcp", "serve_mcp"),
    "http": ("allma_server.protocols.http.server", "serve_http"),
    "shell": ("allma_server.protocols.shell.server", "serve_shell"),
}
"""The module and the function that serve a connection, by the protocol's name."""


class Serve(Protocol):
    """Serves one client until it closes the connection; may return an exit status."""

    async def __call__(
        self,
        engine: EngineProvider,
        reader: asyncio.StreamReader,
        writer: Writer,
        client: ClientContext,
    ) -> int | None: ...


async def serve_protocol(
    name: str,
    engine: EngineProvider,
    reader: asyncio.StreamReader,
    writer: Writer,
    client: ClientContext,
) -> int:
    """Serve one connection in the named protocol; return the exit status of the program.

    Only this protocol is imported: each takes a second, while other connections are served.
    """
    module, function = PROTOCOLS[name]
    await imported(module)
    serve = cast(Serve, getattr(import_module(module), function))
    return await serve(engine, reader, writer, client) or 0
