"""HTTP to model servers: opens a client, and turns whatever goes wrong into Allma's errors.

The one home of httpx. Answers are read into pydantic models, so that nothing untyped goes further.
"""

import asyncio
import ipaddress
import json
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from allma_server.config import Config
from allma_server.errors import (
    AnswerInterrupted,
    InputTooLong,
    InvalidArgument,
    ModelNotFound,
    ModelUnsuitable,
    ProviderBusy,
    ProviderError,
    ProviderUnreachable,
)

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 30.0

AnswerT = TypeVar("AnswerT", bound=BaseModel)

# The last is how Ollama tells that a text was too much for the model's runner, which ended.
_TOO_LONG = re.compile(
    r"context (length|size|window)|maximum context|too large to process|/embeddings?\": EOF", re.I
)
_UNSUITABLE = re.compile(r"does not support|not supported by", re.I)


@dataclass(frozen=True, slots=True)
class Provider:
    """A model server, as people are told of it; `{model}` in `if_missing` is the model's name."""

    name: str
    url: str
    if_down: str
    if_missing: str


def ollama(config: Config) -> Provider:
    """The Ollama server of the settings."""
    return Provider(
        "Ollama",
        config.ollama_url,
        "Start it with `ollama serve` (or the Ollama app), or set ollama_url to where it runs.",
        "Download it with `allma models pull {model}`.",
    )


def openai(config: Config) -> Provider:
    """The OpenAI-compatible server of the settings.

    Raises:
        InvalidArgument: its address is not set.
    """
    if config.openai_url is None:
        raise InvalidArgument(
            "The address of the OpenAI-compatible server is not set.",
            "`allma config set openai_url http://127.0.0.1:8080/v1`, for example.",
        )
    return Provider(
        "The OpenAI-compatible server",
        config.openai_url,
        "Start it, or set openai_url to where it runs (the address usually ends in /v1).",
        "`allma models list` shows what it serves.",
    )


class ProviderClient:
    """Calls to one model server. All methods raise ProviderError or one of its kinds."""

    def __init__(self, provider: Provider, http: httpx.AsyncClient) -> None:
        self.provider = provider
        self._http = http

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
        """The server's JSON answer; `seconds` may pass in silence before it comes."""
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
        with self._translated(seconds):
            response = await self._http.send(self._request(method, path, body, seconds))
        if response.is_error:
            raise self._refusal(response, model)
        return response.content

    async def lines(
        self,
        path: str,
        body: object,
        *,
        model: str,
        first: float,
        between: float,
        broken: type[ProviderError] = AnswerInterrupted,
    ) -> AsyncGenerator[str]:
        """A streamed answer, line by line without blanks; closing it closes the connection.

        `first` seconds may pass before the first line, `between` before each other. What goes
        wrong after the first line is raised as `broken`.
        """
        with self._translated(first):
            request = self._request("POST", path, body, first)
            response = await self._http.send(request, stream=True)
        try:
            if response.is_error:
                with self._translated(first):
                    await response.aread()
                raise self._refusal(response, model)
            rest, seconds, kind = response.aiter_lines(), first, None
            while True:
                with self._translated(seconds, kind):
                    async with asyncio.timeout(seconds):
                        line = await anext(rest, None)
                if line is None:
                    return
                if line.strip():
                    yield line
                seconds, kind = between, broken
        finally:
            await response.aclose()

    def read(self, answer: type[AnswerT], content: bytes | str) -> AnswerT:
        """JSON of the server as the model `answer`."""
        try:
            return answer.model_validate_json(content)
        except ValidationError as exc:
            raise ProviderError(
                f"{self.provider.name} at {self.provider.url} answered with something unexpected.",
                "Is this the address of the right server, and is its version recent?",
            ) from exc

    def _request(self, method: str, path: str, body: object, seconds: float) -> httpx.Request:
        return self._http.build_request(
            method,
            path,
            # Half a surrogate pair, cut by some client, has no UTF-8 form and becomes "?".
            content=None
            if body is None
            else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
            headers={} if body is None else {"Content-Type": "application/json"},
            timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS),
        )

    @contextmanager
    def _translated(
        self, seconds: float, kind: type[ProviderError] | None = None
    ) -> Generator[None]:
        """Raises what httpx raises as a ProviderError, as `kind` where that is given."""
        name, url = self.provider.name, self.provider.url
        try:
            yield
        except httpx.UnsupportedProtocol as exc:
            raise _bad_address(self.provider) from exc
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise ProviderUnreachable(
                f"{name} is not running at {url}.", self.provider.if_down
            ) from exc
        except (httpx.TimeoutException, TimeoutError) as exc:
            raise (kind or ProviderUnreachable)(
                f"{name} said nothing for {seconds:g} seconds.",
                "The machine may be overloaded, or the model too large for it.",
            ) from exc
        except httpx.RequestError as exc:
            raise (kind or ProviderUnreachable)(
                f"The connection to {name} at {url} was lost.", "Try again; its log may say why."
            ) from exc

    def _refusal(self, response: httpx.Response, model: str | None) -> ProviderError:
        return failure(self.provider, response.status_code, response.text, model)


@asynccontextmanager
async def open_client(provider: Provider) -> AsyncGenerator[ProviderClient]:
    """A client of the model server; nothing is asked of it yet.

    Raises:
        InvalidArgument: the address is not an HTTP address.
    """
    try:
        url = httpx.URL(provider.url)
        if url.scheme not in ("http", "https") or not url.host:
            raise _bad_address(provider)
        http = httpx.AsyncClient(
            base_url=url,
            # Reading all certificates takes tens of milliseconds, for nothing without TLS.
            verify=await asyncio.to_thread(httpx.create_ssl_context)
            if url.scheme == "https"
            else False,
            # A proxy set for the internet must not get what is meant for this machine.
            trust_env=not _is_loopback(url.host),
        )
    except (httpx.InvalidURL, ValueError) as exc:
        raise _bad_address(provider) from exc
    async with http:
        yield ProviderClient(provider, http)


def failure(provider: Provider, status: int, body: str, model: str | None) -> ProviderError:
    """What an error answer means. Servers tell most causes apart in words only."""
    name, reason = provider.name, _reason(body)
    if status in (429, 503):
        return ProviderBusy(f"{name} is busy: {reason or status}.", "Try again in a moment.")
    if status in (401, 403):
        return ProviderError(f"{name} at {provider.url} refused the request ({status}).")
    if reason is None:
        return ProviderError(
            f"{name} at {provider.url} answered {status} without a reason.",
            "Is this the address of the right server, and is its version recent?",
        )
    if _TOO_LONG.search(reason):
        return InputTooLong(f"The text is too long for {model}: {reason}.")
    if status == 404 and model:
        return ModelNotFound(
            f"{name} does not have the model {model}.", provider.if_missing.format(model=model)
        )
    if _UNSUITABLE.search(reason) and model:
        return ModelUnsuitable(
            f"The model {model} cannot do this: {reason}.",
            "`allma models list` shows what each model can do.",
        )
    return ProviderError(f"{name} answered: {reason}.", "Its log may say more.")


class _OpenAIReason(BaseModel):
    message: str


class _Refusal(BaseModel):
    error: str | _OpenAIReason


def _reason(body: str) -> str | None:
    """The sentence in an error answer of Ollama or of an OpenAI-compatible server."""
    try:
        error = _Refusal.model_validate_json(body).error
    except ValidationError:
        return None
    return (error if isinstance(error, str) else error.message).strip().rstrip(".") or None


def _bad_address(provider: Provider) -> InvalidArgument:
    return InvalidArgument(
        f"{provider.url!r} is not the address of a server.", "It looks like http://host:port."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
