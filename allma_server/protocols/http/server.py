"""HTTP as a protocol of the engine: a connection asks for a server, which runs as long as it.

The first line of the client is a JSON object with settings; the server answers with lines:

    ← {"listening": "http://127.0.0.1:8642"}      or {"error": {code, message, hint}} and the end
    → the end of its input                        stops the server
    ← {"stopped": true}

With `"until_idle": SECONDS` among the settings, it also stops when no request came for so long.

So the server is in the process of the engine that all clients share, which is not idle meanwhile.
"""

import asyncio
import ipaddress
import json
import logging
from collections.abc import Mapping
from typing import Any, cast

from allma_server._internal.tasks import background_tasks
from allma_server.config import SERVER, load_config
from allma_server.errors import AllmaError, InvalidArgument, as_dict
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.http.app import open_app
from allma_server.protocols.http.listener import connections, listen, url_of
from allma_server.protocols.http.metrics import Metrics
from allma_server.protocols.http.origins import names_of
from allma_server.protocols.stdio import Writer

_log = logging.getLogger(__name__)


async def serve_http(
    engine: EngineProvider,
    reader: asyncio.StreamReader,
    writer: Writer,
    client: ClientContext,
) -> None:
    """Serve HTTP until the client closes its input."""
    try:
        given = _given(await reader.readline())
        await _serve(engine, reader, writer, given)
    except AllmaError as error:
        await _send(writer, {"error": as_dict(error)})


async def _serve(
    engine: EngineProvider,
    reader: asyncio.StreamReader,
    writer: Writer,
    given: Mapping[str, Any],
) -> None:
    settings = {key: given[key] for key in SERVER & given.keys()}
    config = await asyncio.to_thread(load_config, settings)
    opened = await engine()
    if not is_loopback(config.http_host) and not await opened.catalog.tokens():
        raise InvalidArgument(
            f"{config.http_host} can be reached from other machines, and nobody has a token.",
            "Make one first: `allma tokens add NAME --can read`.",
        )
    listening = await asyncio.to_thread(listen, config.http_host, config.http_port)
    url = url_of(listening)
    names = names_of(config.http_host, config.http_names, config.cors_origins)
    with listening:
        async with (
            open_app(engine, names, config.rate_limit) as serving,
            connections(serving.app, listening, serving.stopping),
        ):
            opened.urls.append(url)
            _log.info("listening at %s", url)
            try:
                await _send(writer, {"listening": url})
                await _ended(reader, serving.metrics, given.get("until_idle"))
            finally:
                opened.urls.remove(url)
    await _send(writer, {"stopped": True})


def is_loopback(host: str) -> bool:
    """Return whether an address can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


async def _ended(reader: asyncio.StreamReader, metrics: Metrics, until_idle: float | None) -> None:
    """Return when the client has closed its input, or when no request came for so long."""
    async with background_tasks() as tasks:
        ends = [tasks.create_task(_closed(reader))]
        if until_idle is not None:
            ends.append(tasks.create_task(_unused(metrics, until_idle)))
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)


async def _closed(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 10):
        pass


async def _unused(metrics: Metrics, seconds: float) -> None:
    while (left := seconds - metrics.idle_seconds()) > 0:  # noqa: ASYNC110
        await asyncio.sleep(left)


def _given(line: bytes) -> Mapping[str, Any]:
    """Return what a client sends; the settings of the engine hold where it sends none.

    Raises:
        InvalidArgument: it is not JSON.
    """
    try:
        given: object = json.loads(line)
    except ValueError as exc:
        raise InvalidArgument("The settings are not JSON.") from exc
    return cast(dict[str, Any], given) if isinstance(given, dict) else {}


async def _send(writer: Writer, message: dict[str, Any]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")
    await writer.drain()
