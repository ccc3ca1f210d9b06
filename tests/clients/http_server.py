"""The MCP server over streamable HTTP, for a test suite that needs this transport."""

import asyncio
import socket
import sys
from collections import defaultdict

import uvicorn

from allma_server._internal.tasks import background_tasks
from allma_server.config import load_config
from allma_server.engine import Engine, open_engine
from allma_server.protocols.client import ClientContext
from allma_server.protocols.mcp import make_server
from allma_server.protocols.mcp.connection import Context
from allma_server.protocols.mcp.session import Session, make_session
from allma_server.types import LOCAL


async def serve_http(listening: socket.socket) -> None:
    """Serve one engine, with the settings of the environment, until the process ends."""
    async with open_engine(load_config()) as engine, background_tasks() as background:

        async def provider() -> Engine:
            return engine

        # Requests of the modern era have no session id; they share one session.
        sessions: defaultdict[str, Session] = defaultdict(
            lambda: make_session(provider, background, ClientContext(LOCAL))
        )

        async def session_of(context: Context) -> Session:
            headers = context.request.headers if context.request is not None else {}
            return sessions[headers.get("mcp-session-id", "")]

        app = make_server(session_of).streamable_http_app()
        await uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve([listening])
        for session in sessions.values():
            await session.close()


if __name__ == "__main__":
    asyncio.run(serve_http(socket.socket(fileno=int(sys.argv[1]))))
