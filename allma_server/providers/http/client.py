"""Calls to one model server."""

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
    reason_in,
    refusal,
    translated,
    unexpected,
)
from allma_server.providers.http.interim import bound_interim
from allma_server.providers.http.provider import Provider
from allma_server.providers.http.reading import Listening, read_body, read_lines

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 30.0

MOST_VALUES = 300_000
"""Values in one JSON text, by its commas: a batch of the longest vectors fits. Of two bytes each,
the values of a text that is not too large would take fifty times its memory."""

AnswerT = TypeVar("AnswerT", bound=BaseModel)


class ProviderClient:
    """Calls to one model server. All methods raise ProviderError or one of its kinds."""

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
        """The server's JSON answer, all of which has to come within `seconds`."""
        content = await self.send(method, path, body, model=model, seconds=seconds)
        return self.read(answer, content)

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        model: str | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> bytes:
        """The bytes of the server's answer."""
        silence = f"did not answer within {seconds:g} seconds"
        with translated(self.provider, silence):
            async with (
                asyncio.timeout(seconds),
                self._answered(method, path, body, seconds) as response,
            ):
                content = await read_body(response, self.provider)
                if not response.is_success:
                    raise self._refused(response, content, model)
        return content

    async def lines(
        self, path: str, body: object, *, model: str, listening: Listening
    ) -> AsyncGenerator[str]:
        """A streamed answer, line by line without blanks; closing it closes the connection."""
        async with aclosing(self._stream(path, body, model, listening)) as lines:
            async for line in lines:
                if text := line.decode("utf-8", "replace").strip():
                    yield text

    async def events(
        self, path: str, body: object, *, model: str, listening: Listening
    ) -> AsyncGenerator[ServerSentEvent]:
        """A streamed answer as server-sent events; closing it closes the connection."""
        async with aclosing(self._stream(path, body, model, listening)) as lines:
            stream = httpx.Response(
                200, headers={"Content-Type": "text/event-stream"}, content=_as_events(lines)
            )
            async with aclosing(EventSource(stream).aiter_sse()) as events:
                async for event in events:
                    yield event

    def read(self, answer: type[AnswerT], content: bytes | str) -> AnswerT:
        """JSON of the server as the model `answer`."""
        comma = "," if isinstance(content, str) else b","
        if content.count(comma) > MOST_VALUES:  # type: ignore[arg-type]
            raise unexpected(self.provider)
        try:
            return answer.model_validate_json(content)
        except ValidationError:
            # What stands there may be long, and is of no use to anybody: not even in the log.
            raise unexpected(self.provider) from None

    def broken_off(self, error: Any, model: str, *, begun: bool) -> ProviderError:
        """What an error in the middle of a stream means, or in the place of its beginning."""
        reason = reason_in(error, self._key.value)
        if begun:
            told = f": {reason}." if reason else "."
            return AnswerInterrupted(
                f"{self.provider.name} broke off the answer{told}", "Ask again to have it repeated."
            )
        code = cast(dict[str, Any], error).get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        return failure(self.provider, status, reason, model)

    async def _stream(
        self, path: str, body: object, model: str, listening: Listening
    ) -> AsyncGenerator[bytes]:
        silence = listening.silence
        async with AsyncExitStack() as stack:
            with translated(self.provider, silence):
                seconds = max(0.0, listening.deadline - time.monotonic())
                async with asyncio.timeout(seconds):
                    response = await stack.enter_async_context(
                        self._answered("POST", path, body, seconds)
                    )
            if not response.is_success:
                with translated(self.provider, silence):
                    async with asyncio.timeout(ANSWER_SECONDS):
                        content = await read_body(response, self.provider)
                raise self._refused(response, content, model)
            async with aclosing(read_lines(response, self.provider, listening)) as lines:
                async for line in lines:
                    yield line

    @asynccontextmanager
    async def _answered(
        self, method: str, path: str, body: object, seconds: float
    ) -> AsyncGenerator[httpx.Response]:
        """The head of an answer. A key that the server asks for is looked up, and sent."""
        response = await self._sent(method, path, body, seconds, await self._key.get())
        try:
            if response.status_code in (401, 403) and (key := await self._key.renewed()):
                await response.aclose()
                response = await self._sent(method, path, body, seconds, key)
            yield response
        finally:
            await response.aclose()

    async def _sent(
        self, method: str, path: str, body: object, seconds: float, key: str | None
    ) -> httpx.Response:
        headers = {"Accept-Encoding": "identity"}
        content = None
        if body is not None:
            # Half a surrogate pair, cut by some client, has no UTF-8 form and becomes "?".
            content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
            headers["Content-Type"] = "application/json"
        if key:
            headers["Authorization"] = f"Bearer {key}"
        timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
        request = self._http.build_request(
            method, path, content=content, headers=headers, timeout=timeout
        )
        # A key goes before a name and password in the address.
        return await self._http.send(
            request, stream=True, auth=None if key else httpx.USE_CLIENT_DEFAULT
        )

    def _refused(
        self, response: httpx.Response, content: bytes, model: str | None
    ) -> ProviderError:
        return refusal(self.provider, response, content, model, self._key.value)


@asynccontextmanager
async def open_client(provider: Provider) -> AsyncGenerator[ProviderClient]:
    """A client of the model server; nothing is asked of it yet.

    Raises:
        InvalidArgument: the address is not an HTTP address.
    """
    try:
        url = httpx.URL(provider.address)
        if url.scheme not in ("http", "https") or not url.host:
            raise bad_address(provider)
        http = httpx.AsyncClient(
            base_url=url.copy_with(username=None, password=None),
            auth=(url.username, url.password) if url.username else None,
            # Reading all certificates takes tens of milliseconds, for nothing without TLS.
            verify=await asyncio.to_thread(httpx.create_ssl_context)
            if url.scheme == "https"
            else False,
            # A proxy set for the internet must not get what is meant for this machine.
            trust_env=not _is_loopback(url.host),
            # What is meant for one server, key and documents, is not sent on to another.
            follow_redirects=False,
        )
    except (httpx.InvalidURL, ValueError) as exc:
        raise bad_address(provider) from exc
    bound_interim(http, provider)
    async with http:
        yield ProviderClient(provider, http)


async def _as_events(lines: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The lines of a stream of events; errors that stand there bare become events as well."""
    async for line in lines:
        if line.startswith(b"error:"):
            yield b"\nevent: error\ndata:" + line.removeprefix(b"error:") + b"\n\n"
        elif line.startswith(b"{"):
            yield b"\ndata:" + line + b"\n\n"
        else:
            yield line + b"\n"
    # The last event counts also where the server leaves out the blank line after it.
    yield b"\n\n"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
