"""A limit on what a server sends before the head of its response.

HTTP allows any number of interim responses (status 1xx) before the response, and the HTTP library
skips them without limit. So they are counted where bytes are read from the network.
"""

# ruff: noqa: ASYNC109 (the interface is httpcore's)

import re
import ssl
from collections.abc import Iterable
from typing import Any, cast

import httpcore

from allma_server.errors import ProviderError
from allma_server.providers.http.provider import Provider

MAX_INTERIM = 20
"""Interim responses to one request; servers send one or two."""

MAX_INTERIM_BYTES = 1 << 16
"""Total bytes of the interim responses to one request; the HTTP library limits each of them."""

_INTERIM = re.compile(rb"HTTP/1\.[01] 1(?!01)")
_START = len(b"HTTP/1.1 100")
_END = re.compile(rb"\n\r?\n")


class LimitedBackend(httpcore.AsyncNetworkBackend):
    """Open connections that raise ProviderError beyond the limit."""

    def __init__(self, provider: Provider) -> None:
        self._backend = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())
        self._provider = provider

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        return _LimitedStream(stream, self._provider)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class _LimitedStream(httpcore.AsyncNetworkStream):
    """A connection that counts the interim responses to each request."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, provider: Provider) -> None:
        self._stream = stream
        self._provider = provider
        self._expect_response()

    def _expect_response(self) -> None:
        self._head: bytearray | None = bytearray()  # None once the final response begins
        self._count = self._bytes = 0

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._expect_response()
        await self._stream.write(buffer, timeout)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(max_bytes, timeout)
        if self._head is not None:
            self._head += data
            self._skip_interim(self._head)
        return data

    def _skip_interim(self, head: bytearray) -> None:
        while len(head) >= _START:
            if not _INTERIM.match(head):
                self._head = None
                return
            if self._count >= MAX_INTERIM or self._bytes > MAX_INTERIM_BYTES:
                raise ProviderError(
                    f"{self._provider.name} at {self._provider.url} sent only interim responses "
                    f"(status {head[9:12].decode('ascii', 'replace')}) and no final response.",
                    "Check that this is the address of the right server.",
                )
            if (end := _END.search(head)) is None:
                return
            del head[: end.end()]
            self._count, self._bytes = self._count + 1, self._bytes + end.end()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _LimitedStream(stream, self._provider)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
