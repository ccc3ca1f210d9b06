"""Requests to one model server."""

import asyncio
import ipaddress
import json
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any, TypeVar, cast

import httpx
from httpx_sse import EventSource, ServerSentEvent
from pydantic import BaseModel, ValidationError

from allma_server.errors import AnswerInterrupted, ProviderError
from allma_server.providers.api_keys import ApiKey
from allma_server.providers.http.failures import (
    bad_address,
    failure,
    map_errors,
    reason_in,
    status_error,
    unexpected,
)
from allma_server.providers.http.provider import Provider
from allma_server.providers.http.reading import StreamTimeouts, read_body, read_lines
from allma_server.providers.http.transport import ProviderTransport, proxy_for

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 30.0

MAX_VALUES = 300_000
"""Values in one JSON text, counted by its commas; a batch of the longest vectors fits. Values of
two bytes each would take fifty times as much memory as their text."""

AnswerT = TypeVar("AnswerT", bound=BaseModel)


class ProviderClient:
    """Requests to one model server. All methods raise ProviderError or a subclass."""

    def __init__(self, provider: Provider, http: httpx.AsyncClient) -> None:
        self.provider = provider
        self._http = http
        self._key = ApiKey(provider.id)

    async def call(
        self,
        method: str,
        path: str,
        answer: type[AnswerT],
        body: object = None,
        *,
        model: str | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> AnswerT:
        """Return the JSON response as the model `answer`; it must be complete within `seconds`."""
        content = await self.send(method, path, body, model=model, seconds=seconds)
        return self.parse(answer, content)

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        model: str | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> bytes:
        """Return the bytes of the response; they must be complete within `seconds`."""
        timed_out = f"did not answer within {seconds:g} seconds"
        with map_errors(self.provider, timed_out):
            async with (
                asyncio.timeout(seconds),
                self._open(method, path, body, seconds) as response,
            ):
                content = await read_body(response, self.provider)
                if not response.is_success:
                    raise self._status_error(response, content, model)
        return content

    async def lines(
        self, path: str, body: object, *, model: str, timeouts: StreamTimeouts
    ) -> AsyncGenerator[str]:
        """Yield the non-empty lines of a streamed response; closing it closes the connection."""
        async with aclosing(self._stream(path, body, model, timeouts)) as lines:
            async for line in lines:
                if text := line.decode("utf-8", "replace").strip():
                    yield text

    async def events(
        self, path: str, body: object, *, model: str, timeouts: StreamTimeouts
    ) -> AsyncGenerator[ServerSentEvent]:
        """Yield the events of a streamed response; closing it closes the connection."""
        async with aclosing(self._stream(path, body, model, timeouts)) as lines:
            stream = httpx.Response(
                200, headers={"Content-Type": "text/event-stream"}, content=_as_events(lines)
            )
            async with aclosing(EventSource(stream).aiter_sse()) as events:
                async for event in events:
                    yield event

    def parse(self, answer: type[AnswerT], content: bytes | str) -> AnswerT:
        """Validate JSON of the server as the model `answer`."""
        comma = "," if isinstance(content, str) else b","
        if content.count(comma) > MAX_VALUES:  # type: ignore[arg-type]
            raise unexpected(self.provider)
        try:
            return answer.model_validate_json(content)
        except ValidationError:
            # The details may be long, and are of no use even in the log.
            raise unexpected(self.provider) from None

    def stream_error(self, error: Any, model: str, *, has_begun: bool) -> ProviderError:
        """Return the exception for an error that the server sent in a stream.

        Args:
            error: as the server sent it.
            model: the model that was asked.
            has_begun: whether some of the answer came before.
        """
        reason = reason_in(error, self._key.value)
        if has_begun:
            detail = f": {reason}." if reason else "."
            return AnswerInterrupted(
                f"{self.provider.name} broke off the answer{detail}",
                "Ask again to have it repeated.",
            )
        code = cast(dict[str, object], error).get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        return failure(self.provider, status, reason, model)

    async def _stream(
        self, path: str, body: object, model: str, timeouts: StreamTimeouts
    ) -> AsyncGenerator[bytes]:
        timed_out = timeouts.description
        async with AsyncExitStack() as stack:
            with map_errors(self.provider, timed_out):
                seconds = max(0.0, timeouts.deadline - time.monotonic())
                async with asyncio.timeout(seconds):
                    response = await stack.enter_async_context(
                        self._open("POST", path, body, seconds)
                    )
            if not response.is_success:
                with map_errors(self.provider, timed_out):
                    async with asyncio.timeout(ANSWER_SECONDS):
                        content = await read_body(response, self.provider)
                raise self._status_error(response, content, model)
            async with aclosing(read_lines(response, self.provider, timeouts)) as lines:
                async for line in lines:
                    yield line

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, body: object, seconds: float
    ) -> AsyncGenerator[httpx.Response]:
        """Send a request and return the response before its body is read.

        If the server asks for an API key, the key is looked up and the request sent again.
        """
        response = await self._send(method, path, body, seconds, await self._key.get())
        try:
            if response.status_code in (401, 403) and (key := await self._key.refresh()):
                await response.aclose()
                response = await self._send(method, path, body, seconds, key)
            yield response
        finally:
            await response.aclose()

    async def _send(
        self, method: str, path: str, body: object, seconds: float, key: str | None
    ) -> httpx.Response:
        headers = {"Accept-Encoding": "identity"}
        content = None
        if body is not None:
            # Half of a surrogate pair, cut by a client, cannot be encoded and becomes "?".
            content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
            headers["Content-Type"] = "application/json"
        if key:
            headers["Authorization"] = f"Bearer {key}"
        timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
        request = self._http.build_request(
            method, path, content=content, headers=headers, timeout=timeout
        )
        # A key takes precedence over a name and password in the address.
        return await self._http.send(
            request, stream=True, auth=None if key else httpx.USE_CLIENT_DEFAULT
        )

    def _status_error(
        self, response: httpx.Response, content: bytes, model: str | None
    ) -> ProviderError:
        return status_error(self.provider, response, content, model, self._key.value)


@asynccontextmanager
async def open_client(provider: Provider) -> AsyncGenerator[ProviderClient]:
    """Open a client of the model server; no request is sent yet.

    Raises:
        InvalidArgument: the address is not an HTTP address.
    """
    try:
        url = httpx.URL(provider.address)
        if url.scheme not in ("http", "https") or not url.host:
            raise bad_address(provider)
        # A proxy for the internet must not receive requests to this machine.
        proxy = None if _is_loopback(url.host) else await asyncio.to_thread(proxy_for, url)
    except (httpx.InvalidURL, ValueError) as exc:
        raise bad_address(provider) from exc
    # Reading all certificates takes tens of milliseconds, in vain without TLS.
    uses_tls = url.scheme == "https" or (proxy and proxy.url.scheme == "https")
    ssl_context = await asyncio.to_thread(httpx.create_ssl_context) if uses_tls else None
    http = httpx.AsyncClient(
        base_url=url.copy_with(username=None, password=None),
        auth=(url.username, url.password) if url.username else None,
        transport=ProviderTransport(provider, ssl_context, proxy),
        trust_env=False,
        # API key and documents are for this server and are not forwarded to another.
        follow_redirects=False,
    )
    async with http:
        yield ProviderClient(provider, http)


async def _as_events(lines: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Repair a stream of events: errors and objects that are sent as bare lines become events."""
    async for line in lines:
        if line.startswith(b"error:"):
            yield b"\nevent: error\ndata:" + line.removeprefix(b"error:") + b"\n\n"
        elif line.startswith(b"{"):
            yield b"\ndata:" + line + b"\n\n"
        else:
            yield line + b"\n"
    # The last event counts even if the server omits the blank line after it.
    yield b"\n\n"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
