"""What went wrong between Allma and a model server, as errors with a next step."""

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

LONGEST_REASON = 300

_RIGHT_SERVER = "Is this the address of the right server, and is its version recent?"

# The last is how Ollama tells that a text was too much for the model's runner, which ended.
_TOO_LONG = re.compile(
    r"context (length|size|window)|maximum context|too large to process|/embeddings?\": EOF", re.I
)
_UNSUITABLE = re.compile(r"does not support|not supported by", re.I)
_MISSING = re.compile(r"\bmodel\b.*\bnot found\b|\bno such model\b", re.I)
_SENT_ON = (300, 301, 302, 303, 305, 307, 308)
_UPSTREAM = (502, 504, 521, 522, 523, 524, 530)
"""What a proxy answers for a server that is down behind it."""


@contextmanager
def translated(
    provider: Provider, silence: str, broken: type[ProviderError] | None = None
) -> Generator[None]:
    """Raises what httpx raises as a ProviderError, as `broken` where that is given.

    `silence` is what to say when the time is over, such as "said nothing for 30 seconds".
    """
    name, url = provider.name, provider.url
    try:
        yield
    except httpx.UnsupportedProtocol as exc:
        raise bad_address(provider) from exc
    except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
        raise ProviderUnreachable(f"{name} is not running at {url}.", provider.if_down) from exc
    except (httpx.TimeoutException, TimeoutError) as exc:
        raise (broken or ProviderUnreachable)(
            f"{name} {silence}.", "The machine may be overloaded, or the model too large for it."
        ) from exc
    except httpx.RequestError as exc:
        raise (broken or ProviderUnreachable)(
            f"The connection to {name} at {url} was lost.", "Try again; its log may say why."
        ) from exc


def refusal(
    provider: Provider, response: httpx.Response, body: bytes, model: str | None, key: str | None
) -> ProviderError:
    """What an answer with another status than success means."""
    name, url, status = provider.name, provider.url, response.status_code
    if status in _SENT_ON:
        return _redirected(provider, response)
    if status < 400:
        return _contentless(provider, response)
    reason = reason_in(_json(body), key)
    if status in (401, 403):
        told = f": {reason}" if reason else ""
        message = (
            f"{name} at {url} refused the API key ({status}{told})."
            if key
            else f"{name} at {url} asks for an API key ({status}{told})."
        )
        return ApiKeyRefused(message, how_to_set(provider.id))
    if status in _UPSTREAM:
        return ProviderUnreachable(
            f"{name} at {url} cannot be reached: the server in front of it answers {status}.",
            provider.if_down,
        )
    return failure(provider, status, reason, model)


def failure(
    provider: Provider, status: int, reason: str | None, model: str | None
) -> ProviderError:
    """What an error means. Servers tell most causes apart in words only."""
    name = provider.name
    if status in (429, 503):
        return ProviderBusy(f"{name} is busy: {reason or status}.", "Try again in a moment.")
    if reason is None:
        return ProviderError(
            f"{name} at {provider.url} answered {status} without a reason.", _RIGHT_SERVER
        )
    if _TOO_LONG.search(reason):
        return InputTooLong(
            f"The text is too long for {model}: {reason}.",
            "Send less of it, or use a model or a server with a longer context.",
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
    return ProviderError(f"{name} answered: {reason}.", "Its log may say more.")


def unexpected(provider: Provider) -> ProviderError:
    """An answer that is not what was asked for at all."""
    return ProviderError(
        f"{provider.name} at {provider.url} answered with something unexpected.", _RIGHT_SERVER
    )


def bad_address(provider: Provider) -> InvalidArgument:
    """An address to which nothing can be sent."""
    return InvalidArgument(
        f"{without_password(provider.address)!r} is not the address of a server.",
        "It looks like http://host:port.",
    )


def reason_in(error: Any, key: str | None = None) -> str | None:
    """The sentence in what a server gives as its error, however it is wrapped; not the key."""
    for _ in range(5):
        if isinstance(error, list) and error:
            error = cast(list[Any], error)[0]
        elif isinstance(error, dict):
            told = cast(dict[str, Any], error)
            error = next((told[k] for k in ("error", "message", "detail", "msg") if told.get(k)), 0)
    if not isinstance(error, str):
        return None
    return one_line(error.replace(key, "…") if key else error)


def one_line(text: str) -> str | None:
    """Text of a server as part of a sentence: short, without line ends and control characters."""
    shown = "".join(
        " " if c.isspace() else c
        for c in text[: 4 * LONGEST_REASON]
        if c.isspace() or unicodedata.category(c)[0] != "C"
    )
    words = " ".join(shown.split())
    if len(words) > LONGEST_REASON:
        words = words[:LONGEST_REASON].rstrip() + "…"
    return words.rstrip(". ") or None


def _redirected(provider: Provider, response: httpx.Response) -> ProviderError:
    target = one_line(response.headers.get("location", ""))
    where = f" to {without_password(target.partition('?')[0])}" if target else ""
    return ProviderError(
        f"{provider.name} at {provider.url} sends its callers on{where}; nothing was sent there.",
        f"If that is the server you mean, set {provider.id}_url to it.",
    )


def _contentless(provider: Provider, response: httpx.Response) -> ProviderError:
    """A status that is neither success nor an error, such as 304 Not Modified."""
    status = " ".join(filter(None, [str(response.status_code), _phrase(response)]))
    return ProviderError(
        f"{provider.name} at {provider.url} answered {status}, which is no answer to what it was "
        "asked.",
        "A cache or proxy in front of it may do so. " + _RIGHT_SERVER,
    )


def _phrase(response: httpx.Response) -> str | None:
    """What the standard calls the status: a server may call it anything."""
    try:
        return HTTPStatus(response.status_code).phrase
    except ValueError:
        return None


def _json(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError:
        return None
