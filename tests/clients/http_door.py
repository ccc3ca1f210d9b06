"""The MCP door's own handlers over HTTP, for a suite that speaks nothing else."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from allma_server.config import load_config
from allma_server.engine import Engine, open_engine
from allma_server.protocols.client import ClientContext
from allma_server.protocols.mcp import server
from allma_server.protocols.mcp.connection import Client
from allma_server.protocols.mcp.handlers import Handlers, make_handlers
from allma_server.types import LOCAL


async def serve_http(listening: socket.socket) -> None:
    """Serves one engine, with the settings of the environment, until it is told to end."""
    async with open_engine(load_config()) as engine, asyncio.TaskGroup() as background:

        async def source() -> Engine:
            return engine

        parts = make_handlers(Client(source, background, ClientContext(LOCAL)))

        def at_once(method: Callable[[Handlers], Callable[..., Awaitable[Any]]]) -> Any:
            return method(parts)

        app = server._server(at_once).streamable_http_app()  # type: ignore[arg-type]
        await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve([listening])


if __name__ == "__main__":
    asyncio.run(serve_http(socket.socket(fileno=int(sys.argv[1]))))
