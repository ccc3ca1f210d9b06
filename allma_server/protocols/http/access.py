"""Who sends a request, and how many they may send.

A program sends its token as `Authorization: Bearer`, a browser the cookie that it got for a code
or a token. Each client has its own limit: the credential, or the address without one.
"""

import math
import time
from dataclasses import dataclass

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from allma_server.errors import AllmaError
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.http.origins import Names
from allma_server.protocols.http.refusals import failure, refusal
from allma_server.protocols.http.validity import run_while_valid
from allma_server.types import Credential

COOKIE = "allma_visit"

LOGIN = "/api/login"
HEALTH = "/health"

_READING = ("GET", "HEAD")
_DATA = ("/api", "/mcp", "/ready", "/metrics")


@dataclass(frozen=True, slots=True)
class Visitor:
    """The client of a request: a credential, and where its requests are counted."""

    credential: Credential
    key: str


class Rate:
    """Counts the requests of each client in a moving window."""

    def __init__(self, limit: str) -> None:
        self._limit = parse(limit)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def wait_seconds(self, client: str) -> int | None:
        """Count a request; return after how many seconds the client may try again, if it must."""
        if self._limiter.hit(self._limit, client):
            return None
        reset = self._limiter.get_window_stats(self._limit, client).reset_time
        return max(1, math.ceil(reset - time.time()))


class Access:
    """Gives each request its `Visitor`, and refuses those without a credential or over the limit.

    A request ends when its credential does.

    The page's own files hold no data, and a browser must load them before it can log in.
    """

    def __init__(self, app: ASGIApp, engine: EngineProvider, names: Names, rate: Rate) -> None:
        self._app = app
        self._engine = engine
        self._names = names
        self._rate = rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            refused = await self._refused(scope)
        except AllmaError as error:
            refused = failure(error)
        if refused is not None or "visitor" not in scope["state"]:
            await (refused or self._app)(scope, receive, send)
            return
        uses = (await self._engine()).credential_uses
        credential = visitor(scope).credential
        await run_while_valid(self._app, credential, uses, scope, receive, send)

    async def _refused(self, scope: Scope) -> JSONResponse | None:
        """Set the request's visitor; return the response that refuses the request, if any."""
        headers = Headers(scope=scope)
        credential = await self._credential(headers) if scope["path"] != HEALTH else None
        client = scope.get("client")
        key = f"token {credential.id}" if credential else f"address {client and client[0]}"
        if (seconds := self._rate.wait_seconds(key)) is not None:
            return refusal(
                429,
                "rate_limited",
                "Too many requests.",
                f"Try again in {seconds} s.",
                {"Retry-After": str(seconds)},
            )
        if credential is None:
            return None if _is_public(scope) else _unauthorized(headers)
        if credential.kind == "browser" and not self._is_from_the_page(scope, headers):
            return refusal(
                403, "wrong_origin", "A change with a cookie must come from the server's own page."
            )
        scope["state"]["visitor"] = Visitor(credential, key)
        return None

    async def _credential(self, headers: Headers) -> Credential | None:
        catalog = (await self._engine()).catalog
        given = headers.getlist("authorization")
        if given:
            scheme, _, token = given[0].partition(" ")
            if len(given) > 1 or scheme.lower() != "bearer":
                return None
            return await catalog.credential("token", token.strip())
        cookie = _cookie(headers)
        return await catalog.credential("browser", cookie) if cookie else None

    def _is_from_the_page(self, scope: Scope, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None:
            return scope["method"] in _READING
        return self._names.is_own_origin(origin)


def visitor(scope: Scope) -> Visitor:
    """Return the client of a request that `Access` let pass with a credential."""
    found: Visitor = scope["state"]["visitor"]
    return found


def _cookie(headers: Headers) -> str | None:
    return cookie_parser(headers.get("cookie", "")).get(COOKIE)


def _is_public(scope: Scope) -> bool:
    path = scope["path"]
    if path in (HEALTH, LOGIN):
        return True
    is_data = any(path == each or path.startswith(f"{each}/") for each in _DATA)
    return scope["method"] in _READING and not is_data


def _unauthorized(headers: Headers) -> JSONResponse:
    sent = "authorization" in headers or COOKIE in headers.get("cookie", "")
    message = "The token or cookie is not valid." if sent else "This request has no token."
    return refusal(
        401,
        "unauthorized",
        message,
        "`allma tokens add NAME` makes a token; send it as Authorization: Bearer TOKEN.",
        {"WWW-Authenticate": "Bearer"},
    )
