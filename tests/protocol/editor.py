"""An editor that speaks LSP byte by byte."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.lsp import serve_lsp
from allma_server.types import LOCAL
from tests.protocol.wire import Frames, connected

BARS = {"window": {"workDoneProgress": True}}


@asynccontextmanager
async def raw(provider: EngineProvider) -> AsyncGenerator[Frames]:
    async with connected(partial(serve_lsp, provider, client=ClientContext(LOCAL))) as (
        reader,
        writer,
        _,
    ):
        yield Frames(reader, writer)


@asynccontextmanager
async def editor(provider: EngineProvider, **options: Any) -> AsyncGenerator[Frames]:
    async with raw(provider) as wire:
        await wire.initialize(**options)
        yield wire


def shown(wire: Frames, method: str) -> list[str]:
    return [n["params"]["message"] for n in wire.notes if n["method"] == method]


def begun(wire: Frames, token: int | str) -> bool:
    return any(chunk["kind"] not in ("started", "status") for chunk in wire.chunks(token))


async def indexed(wire: Frames, folder: Path) -> int:
    status = await wire.result("allma/status")
    return sum(w["documents"] for w in status["workspaces"] if w["path"] == str(folder))
