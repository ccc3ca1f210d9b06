"""The connections of one provider's HTTP client: a pool, its proxy, and the limits on responses.

httpx's own transport takes no network backend, which `interim.py` needs, so this one connects
httpx to httpcore by the public interfaces of both.
"""

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Generator
from contextlib import contextmanager
from typing import cast
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from allma_server._internal.addresses import without_password
from allma_server.errors import InvalidArgument, ProviderUnreachable
from allma_server.providers.http.interim import LimitedBackend
from allma_server.providers.http.provider import Provider

KEEPALIVE_SECONDS = 5.0
"""Seconds for which an idle connection stays open; httpx's default."""


class ProviderTransport(httpx.AsyncBaseTransport):
    """Send requests to one model server, through `proxy` if one is given."""

    def __init__(
        self, provider: Provider, ssl_context: ssl.SSLContext | None, proxy: httpx.Proxy | None
    ) -> None:
        self._provider = provider
        self._proxy = proxy
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context,
            httpcore.Proxy(_core_url(proxy.url), auth=proxy.raw_auth) if proxy else None,
            max_connections=100,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=LimitedBackend(provider),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the response before its body is read.

        Raises:
            ProviderError: the server sends too many interim responses, or the proxy's protocol is
                not supported.
            httpx.TransportError: the request or response failed.
        """
        if self._proxy and self._proxy.url.scheme not in ("http", "https"):
            raise ProviderUnreachable(
                f"{self._provider.name} cannot be reached through the proxy "
                f"{without_password(str(self._proxy.url))}: only HTTP proxies are supported.",
                f"Set an HTTP proxy, or NO_PROXY={request.url.host}.",
            )
        with _as_httpx_errors():
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    request.method,
                    _core_url(request.url),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_ResponseStream(response),
            extensions=cast(dict[str, object], response.extensions),  # pyright: ignore[reportUnknownMemberType]
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _ResponseStream(httpx.AsyncByteStream):
    """The body of a response as httpx reads it."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._response.stream
        assert isinstance(stream, AsyncIterable)  # the pool is asynchronous
        with _as_httpx_errors():
            async for part in stream:
                yield part

    async def aclose(self) -> None:
        await self._response.aclose()


def proxy_for(url: httpx.URL) -> httpx.Proxy | None:
    """Return the proxy for an address by the environment or the system's settings.

    May ask the name server on some systems, so it must not run on the event loop.

    Raises:
        InvalidArgument: the proxy's address is not valid.
    """
    proxies = getproxies()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address or proxy_bypass(url.host) or proxy_bypass(url.netloc.decode("ascii")):
        return None
    try:
        return httpx.Proxy(address if "://" in address else f"http://{address}")
    except (httpx.InvalidURL, ValueError) as exc:
        raise InvalidArgument(
            f"{without_password(address)!r} is not the address of a proxy.",
            f"Correct {url.scheme.upper()}_PROXY or ALL_PROXY: http://host:port.",
        ) from exc


def _core_url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


@contextmanager
def _as_httpx_errors() -> Generator[None]:
    """Raise exceptions of httpcore as those of httpx, which have the same names."""
    try:
        yield
    except tuple(_ERRORS) as exc:
        raise _ERRORS[type(exc)](str(exc)) from exc


_ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    error: getattr(httpx, error.__name__)
    for error in (
        httpcore.ConnectTimeout,
        httpcore.ReadTimeout,
        httpcore.WriteTimeout,
        httpcore.PoolTimeout,
        httpcore.ConnectError,
        httpcore.ReadError,
        httpcore.WriteError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
        httpcore.LocalProtocolError,
        httpcore.RemoteProtocolError,
    )
}
