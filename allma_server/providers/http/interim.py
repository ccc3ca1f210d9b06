"""A bound on what a server sends before the head of its answer.

HTTP lets any number of interim responses (status 1xx) come first, and httpx skips them without
end. So they are counted where bytes come in from the network.
"""

import re
from typing import Any

import httpx

from allma_server.errors import ProviderError
from allma_server.providers.http.provider import Provider

MOST_INTERIM = 20
"""Interim responses to one request: a server that has something to say sends one or two."""

MOST_INTERIM_BYTES = 1 << 16
"""Of them together; h11 bounds each."""

_INTERIM = re.compile(rb"HTTP/1\.[01] 1(?!01)")
_START = len(b"HTTP/1.1 100")
_END = re.compile(rb"\n\r?\n")


def bound_interim(http: httpx.AsyncClient, provider: Provider) -> None:
    """Has the client, and what it reaches through proxies, raise ProviderError beyond the bound."""
    # httpx has no argument for it.
    for transport in (http._transport, *http._mounts.values()):  # pyright: ignore[reportPrivateUsage]
        if isinstance(transport, httpx.AsyncHTTPTransport):
            pool: Any = transport._pool  # pyright: ignore[reportPrivateUsage]
            pool._network_backend = _Backend(pool._network_backend, provider)


class _Backend:
    """Opens connections whose streams are bounded; the interface is httpcore's."""

    def __init__(self, backend: Any, provider: Provider) -> None:
        self._backend = backend
        self._provider = provider

    async def connect_tcp(self, *arguments: Any, **named: Any) -> "_Stream":
        stream = await self._backend.connect_tcp(*arguments, **named)
        return _Stream(stream, self._provider)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class _Stream:
    """A connection; the interface is httpcore's."""

    def __init__(self, stream: Any, provider: Provider) -> None:
        self._stream = stream
        self._provider = provider
        self._sent()

    def _sent(self) -> None:
        self._begun: bytearray | None = bytearray()  # until the head of the answer begins
        self._number = self._bytes = 0

    async def write(self, *arguments: Any, **named: Any) -> None:
        self._sent()
        await self._stream.write(*arguments, **named)

    async def read(self, *arguments: Any, **named: Any) -> bytes:
        data: bytes = await self._stream.read(*arguments, **named)
        if self._begun is not None:
            self._begun += data
            self._skip_interim(self._begun)
        return data

    def _skip_interim(self, begun: bytearray) -> None:
        while len(begun) >= _START:
            if not _INTERIM.match(begun):
                self._begun = None
                return
            if self._number >= MOST_INTERIM or self._bytes > MOST_INTERIM_BYTES:
                raise ProviderError(
                    f"{self._provider.name} at {self._provider.url} announced its answer again and "
                    f"again (status {begun[9:12].decode('ascii', 'replace')}) without giving one.",
                    "Is this the address of the right server?",
                )
            if (end := _END.search(begun)) is None:
                return
            del begun[: end.end()]
            self._number, self._bytes = self._number + 1, self._bytes + end.end()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(self, *arguments: Any, **named: Any) -> "_Stream":
        return _Stream(await self._stream.start_tls(*arguments, **named), self._provider)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
