"""Asks the engine to serve HTTP, as `allma serve` does, and waits."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from allma_server._internal.tasks import background_tasks
from allma_server.config import SERVER, LiveSettings
from allma_server.daemon.link import NoSockets
from allma_server.errors import from_dict
from allma_server.protocols.client import ClientContext
from allma_server.protocols.shell.client import connected, streams_of
from allma_server.types import LOCAL

if TYPE_CHECKING:
    from allma_server.config import Config

AGAIN_SECONDS = 1.0
"""Seconds before the engine is asked again after it has stopped."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def serve(
    config: "Config",
    on_listening: Callable[[str], None],
    stop: asyncio.Event,
    *,
    solo: bool,
    until_idle: bool = False,
) -> None:
    """Have HTTP served until `stop`; if the engine ends before, it is started again.

    Args:
        config: the settings of the server.
        on_listening: called with the address, each time it begins.
        stop: ends the server; its streams end with an event.
        solo: run the engine in this process.
        until_idle: also end with the engine, and when nothing was requested for `idle_minutes`.

    Raises:
        AllmaError: it cannot be served.
    """
    while not stop.is_set():
        try:
            async with _engine(config, solo=solo) as streams:
                await _served(_settings(config, until_idle), streams, on_listening, stop)
        except ConnectionError:
            pass  # the engine has ended
        if until_idle:
            return
        if not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_SECONDS):
                    await stop.wait()


@asynccontextmanager
async def _engine(config: "Config", *, solo: bool) -> AsyncGenerator[Streams]:
    """Connect to the shared engine; with `solo`, or without sockets, to one in this process."""
    if not solo:
        try:
            link = await connected(config.data_dir, {"protocol": "http"})
        except NoSockets:
            pass
        else:
            async with streams_of(link) as streams:
                yield streams
            return
    async with _engine_here(config) as streams:
        yield streams


@asynccontextmanager
async def _engine_here(config: "Config") -> AsyncGenerator[Streams]:
    # Imported late: they are most of the program, and the shared engine has them already.
    from allma_server.protocols.http.server import serve_http
    from allma_server.protocols.in_process import engine_on_demand

    ours, theirs = socket.socketpair()
    settings = LiveSettings({"data_dir": str(config.data_dir)})
    async with (
        engine_on_demand(settings) as engine,
        streams_of(theirs) as (reader, writer),
        streams_of(ours) as streams,
        background_tasks() as tasks,
    ):
        tasks.create_task(serve_http(engine, reader, writer, ClientContext(LOCAL)))
        yield streams


async def _served(
    settings: Mapping[str, object],
    streams: Streams,
    on_listening: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    """Have HTTP served by one engine, until `stop` or until the engine ends."""
    reader, writer = streams
    writer.write(json.dumps(settings).encode() + b"\n")
    await writer.drain()
    reply = await _reply(reader)
    if (error := reply.get("error")) is not None:
        raise from_dict(error)
    if "listening" not in reply:
        return
    on_listening(reply["listening"])
    async with background_tasks() as tasks:
        ended = tasks.create_task(_reply(reader))
        stopped = tasks.create_task(stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done() and "stopped" in ended.result():
            return
        writer.write_eof()
        await ended


def _settings(config: "Config", until_idle: bool) -> Mapping[str, object]:
    settings = config.model_dump(mode="json", include=set(SERVER))
    return {**settings, "until_idle": config.idle_minutes * 60} if until_idle else settings


async def _reply(reader: asyncio.StreamReader) -> Mapping[str, Any]:
    """Return the next line of the engine; empty when it has ended."""
    line = await reader.readline()
    return json.loads(line) if line else {}
