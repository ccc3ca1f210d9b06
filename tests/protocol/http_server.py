"""The HTTP server in this process, on a real socket, and its clients."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from allma_server.config import Config
from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.protocols.http.app import open_app
from allma_server.protocols.http.listener import connections, listen, url_of
from allma_server.protocols.http.origins import names_of
from allma_server.types import LOCAL
from tests.protocol.wire import LATEST_LEGACY

JSON = {"content-type": "application/json"}
EVENTS = {**JSON, "accept": "text/event-stream"}
ACCEPTED = {"accept": "application/json, text/event-stream"}
"""What a client of MCP accepts."""

OPENING = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": LATEST_LEGACY,
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    },
}
"""The first message of a session of the handshake era."""


@asynccontextmanager
async def served(engine: Engine, **settings: Any) -> AsyncGenerator[str]:
    """Serve an engine; yield the address."""
    config = Config(data_dir=engine.config.data_dir, **settings)
    listening, stop = listen("127.0.0.1", 0), asyncio.Event()

    async def provider() -> Engine:
        return engine

    async def serve() -> None:
        # A task of its own: a fixture begins and ends in two.
        names = names_of(config.http_host, config.http_names, config.cors_origins)
        async with (
            open_app(provider, names, config.rate_limit) as serving,
            connections(serving.app, listening, serving.stopping),
        ):
            await stop.wait()

    serving = engine.tasks.create_task(serve())
    try:
        yield url_of(listening)
    finally:
        stop.set()
        await serving


@asynccontextmanager
async def browser(url: str, token: str | None = None) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a server, with a token or without."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as client:
        yield client


async def token_of(engine: Engine, name: str, **arguments: Any) -> str:
    """The secret of a new token, which replaces an earlier one of the user."""
    call = Call(engine, LOCAL)
    known = await BY_NAME["tokens.list"](call, {})
    if any(token.name == name for token in known.tokens):
        await BY_NAME["tokens.revoke"](call, {"name": name})
    added = await BY_NAME["tokens.add"](call, {"name": name, **arguments})
    return added.token


async def events(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The events of a stream."""
    async for line in response.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
