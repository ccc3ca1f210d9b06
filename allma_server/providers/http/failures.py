"""Map failures of a model server to Allma's errors with a next step."""

import re
import unicodedata
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, cast

import httpx
from pydantic_core import from_json

from allma_server._internal.addresses import without_password
from allma_server.errors import (
    ApiKeyRefused,
    InputTooLong,
    InvalidArgument,
    ModelNotFound,
    ModelUnsuitable,
    ProviderBusy,
    ProviderError,
    ProviderUnreachable,
)
from allma_server.providers.api_keys import how_to_set
from allma_server.providers.http.provider import Provider

MAX_REASON_LENGTH = 300

_CHECK_ADDRESS = "Check that this is the address of the right server and its version is recent."

# The last one is Ollama's error when its runner ends because a text is too long.
_TOO_LONG = re.compile(
    r"context (length|size|window)|maximum context|too large to process|/embeddings?\": EOF", re.I
)
_UNSUITABLE = re.compile(r"does not support|not supported by", re.I)
_MISSING = re.compile(r"\bmodel\b.*\bnot found\b|\bno such model\b", re.I)
_REDIRECTS = (300, 301, 302, 303, 305, 307, 308)
_GATEWAY_ERRORS = (502, 504, 521, 522, 523, 524, 530)
"""Statuses of a proxy whose server is down."""


@contextmanager
def map_errors(
    provider: Provider, timed_out: str, error: type[ProviderError] | None = None
) -> Generator[None]:
    """Raise the exceptions of the HTTP libraries as a ProviderError.

    Args:
        provider: named in the messages.
        timed_out: what a timeout means, such as "sent nothing for 30 seconds".
        error: the class to raise once an answer has begun; None for ProviderUnreachable.
    """
    name, url = provider.name, provider.url
    try:
        yield
    except httpx.UnsupportedProtocol as exc:
        raise bad_address(provider) from exc
    except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
        raise ProviderUnreachable(f"{name} is not running at {url}.", provider.if_down) from exc
    except (httpx.TimeoutException, TimeoutError) as exc:
        raise (error or ProviderUnreachable)(
            f"{name} {timed_out}.", "The machine may be overloaded, or the model too large for it."
        ) from exc
    except httpx.RequestError as exc:
        raise (error or ProviderUnreachable)(
            f"The connection to {name} at {url} was lost.", "Try again, or see its log."
        ) from exc


def status_error(
    provider: Provider, response: httpx.Response, body: bytes, model: str | None, key: str | None
) -> ProviderError:
    """Return the exception for a response whose status is not success."""
    name, url, status = provider.name, provider.url, response.status_code
    if status in _REDIRECTS:
        return _redirect_error(provider, response)
    if status < 400:
        return _other_status_error(provider, response)
    reason = reason_in(_json(body), key)
    if status in (401, 403):
        detail = f": {reason}" if reason else ""
        message = (
            f"{name} at {url} refused the API key ({status}{detail})."
            if key
            else f"{name} at {url} asks for an API key ({status}{detail})."
        )
        return ApiKeyRefused(message, how_to_set(provider.id))
    if status in _GATEWAY_ERRORS:
        return ProviderUnreachable(
            f"{name} at {url} cannot be reached: the server in front of it answers {status}.",
            provider.if_down,
        )
    return failure(provider, status, reason, model)


def failure(
    provider: Provider, status: int, reason: str | None, model: str | None
) -> ProviderError:
    """Return the exception for an error; most causes are only recognisable by its words."""
    name = provider.name
    if status in (429, 503):
        return ProviderBusy(f"{name} is busy: {reason or status}.", "Try again in a moment.")
    if reason is None:
        return ProviderError(
            f"{name} at {provider.url} answered {status} without a reason.", _CHECK_ADDRESS
        )
    if _TOO_LONG.search(reason):
        return InputTooLong(
            f"The text is too long for {model}: {reason}.",
            "Shorten the text, or use a model or server with a longer context.",
        )
    if model and (status == 404 or _MISSING.search(reason)):
        return ModelNotFound(
            f"{name} does not have the model {model}.", provider.if_missing.format(model=model)
        )
    if _UNSUITABLE.search(reason) and model:
        return ModelUnsuitable(
            f"The model {model} cannot do this: {reason}.",
            "`allma models list` shows what each model can do.",
        )
    return ProviderError(f"{name} answered: {reason}.", "See its log.")


def unexpected(provider: Provider) -> ProviderError:
    """Return the exception for a response that is not what the API specifies."""
    return ProviderError(
        f"{provider.name} at {provider.url} sent an unexpected response.", _CHECK_ADDRESS
    )


def bad_address(provider: Provider) -> InvalidArgument:
    """Return the exception for an address that is not valid."""
    return InvalidArgument(
        f"{without_password(provider.address)!r} is not the address of a server.",
        "Write http://host:port.",
    )


def reason_in(error: Any, key: str | None = None) -> str | None:
    """Return the message in a server's error, however nested, without the API key."""
    for _ in range(5):
        if isinstance(error, list) and error:
            error = cast(list[Any], error)[0]
        elif isinstance(error, dict):
            fields = cast(dict[str, object], error)
            names = ("error", "message", "detail", "msg")
            error = next((fields[name] for name in names if fields.get(name)), None)
    if not isinstance(error, str):
        return None
    return one_line(error.replace(key, "…") if key else error)


def one_line(text: str) -> str | None:
    """Return a server's text for use in a sentence: short, in one line, without control codes."""
    shown = "".join(
        " " if c.isspace() else c
        for c in text[: 4 * MAX_REASON_LENGTH]
        if c.isspace() or unicodedata.category(c)[0] != "C"
    )
    words = " ".join(shown.split())
    if len(words) > MAX_REASON_LENGTH:
        words = words[:MAX_REASON_LENGTH].rstrip() + "…"
    return words.rstrip(". ") or None


def _redirect_error(provider: Provider, response: httpx.Response) -> ProviderError:
    target = one_line(response.headers.get("location", ""))
    where = f" to {without_password(target.partition('?')[0])}" if target else ""
    return ProviderError(
        f"{provider.name} at {provider.url} redirects{where}; redirects are not followed.",
        f"If that is the right server, set {provider.id}_url to it.",
    )


def _other_status_error(provider: Provider, response: httpx.Response) -> ProviderError:
    """Return the exception for a status such as 304 Not Modified."""
    status = " ".join(filter(None, [str(response.status_code), _phrase(response)]))
    return ProviderError(
        f"{provider.name} at {provider.url} answered {status}, which is not a response to the "
        "request.",
        "A cache or proxy may be the cause. " + _CHECK_ADDRESS,
    )


def _phrase(response: httpx.Response) -> str | None:
    """Return the standard phrase of the status; a server may send any other."""
    try:
        return HTTPStatus(response.status_code).phrase
    except ValueError:
        return None


def _json(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError:
        return None
