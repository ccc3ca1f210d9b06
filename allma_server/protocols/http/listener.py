"""The listening socket and its connections, each bounded in time and number."""

import asyncio
import contextlib
import errno
import json
import logging
import socket
from collections.abc import AsyncGenerator, Generator
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from allma_server.errors import InvalidArgument

MAX_CONNECTIONS = 512

HEADER_SECONDS = 10.0
"""Seconds for a client to send the head of its first or next request."""

GRACE_SECONDS = 3
"""Seconds for running requests to end when the server stops."""

HEAD_BYTES = 1 << 16

_log = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Raises:
        InvalidArgument: the address is in use or not one of this machine.
    """
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listening = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise InvalidArgument(f"There is no address {host!r}: {exc}.", _HINT) from exc
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(MAX_CONNECTIONS)
        listening.setblocking(False)
    except OSError as exc:
        listening.close()
        raise _unusable(host, port, exc) from exc
    return listening


_HINT = "Choose another with --host, or the setting http_host."


def _unusable(host: str, port: int, exc: OSError) -> InvalidArgument:
    if exc.errno == errno.EADDRINUSE:
        return InvalidArgument(
            f"Port {port} of {host} is in use.",
            "Choose another with --port, or the setting http_port; 0 takes a free one.",
        )
    if exc.errno == errno.EACCES:
        return InvalidArgument(f"Port {port} is not permitted.", "Choose one above 1023.")
    return InvalidArgument(f"Cannot listen at {host}: {exc.strerror}.", _HINT)


def url_of(listening: socket.socket) -> str:
    """Return the address of a server for clients on this machine."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def connections(
    app: ASGIApp, listening: socket.socket, stopping: asyncio.Event
) -> AsyncGenerator[None]:
    """Serve an application until the block ends; then its streams end with an event."""
    config = uvicorn.Config(
        app,
        http=_BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=int(HEADER_SECONDS),
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve([listening]))
        try:
            yield
        finally:
            stopping.set()
            server.should_exit = True
            # Also when this is cancelled, so that streams end with an event.
            await asyncio.wait({serving}, timeout=GRACE_SECONDS + 1)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield  # signals belong to the process, which has other clients


class _BoundedProtocol(H11Protocol):
    """A connection that is closed when the head of a request does not come in time."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(503, "too_many_connections", "Too many connections are open.")
        else:
            self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "invalid_request", "The request is not valid HTTP.")

    def _expect_head(self) -> None:
        self._stop_waiting()
        if self.conn.their_state is h11.IDLE:
            self._waiting = self.loop.call_later(HEADER_SECONDS, self._too_late)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _too_late(self) -> None:
        self._refuse(408, "request_timeout", "The request was not complete in time.")

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"code": code, "message": message, "hint": None}).encode()
        head = (
            f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
