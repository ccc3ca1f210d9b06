"""AI clients that speak MCP, byte by byte or by the library's own client."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from mcp import Client

from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.mcp import serve_mcp
from allma_server.types import LOCAL
from tests.protocol.wire import Lines, connected, transport


@asynccontextmanager
async def raw(provider: EngineProvider, **options: Any) -> AsyncGenerator[Lines]:
    async with connected(partial(serve_mcp, provider, client=ClientContext(LOCAL, **options))) as (
        reader,
        writer,
        _,
    ):
        yield Lines(reader, writer)


@asynccontextmanager
async def legacy(provider: EngineProvider, **options: Any) -> AsyncGenerator[Lines]:
    async with raw(provider, **options) as wire:
        await wire.initialize()
        yield wire


@asynccontextmanager
async def library(provider: EngineProvider, mode: str, **options: Any) -> AsyncGenerator[Client]:
    async with connected(partial(serve_mcp, provider, client=ClientContext(LOCAL))) as (
        reader,
        writer,
        _,
    ):
        async with Client(transport(reader, writer), mode=mode, **options) as opened:
            yield opened
