"""The application: its addresses, and what each request passes through.

From the outside: CORS, so that refusals have its headers too; security headers; Host and Origin;
credential and rate; size and time; then the address.
"""

import asyncio
import mimetypes
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from allma_server.errors import AllmaError
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.http.access import HEALTH, LOGIN, Access, Rate, visitor
from allma_server.protocols.http.api import Api
from allma_server.protocols.http.bounds import Bounded
from allma_server.protocols.http.login import Login
from allma_server.protocols.http.metrics import Metrics
from allma_server.protocols.http.openapi import openapi
from allma_server.protocols.http.origins import CheckedOrigin, Names
from allma_server.protocols.http.refusals import failed, failure, not_found, wrong_method
from allma_server.protocols.mcp.streamable import Handle, streamable_mcp

PAGE = Path(__file__).parent / "page"

_MCP_HEADERS = ("mcp-session-id", "mcp-protocol-version", "mcp-method", "mcp-name", "last-event-id")

_SECURITY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Serving(NamedTuple):
    """An application, the event that ends its streams, and its figures."""

    app: ASGIApp
    stopping: asyncio.Event
    metrics: Metrics


@asynccontextmanager
async def open_app(engine: EngineProvider, names: Names, rate: str) -> AsyncGenerator[Serving]:
    """Open the application of a server, until the block ends.

    Args:
        engine: what all requests use.
        names: the names of the server, and the web pages that may use it.
        rate: the requests of each client, such as 600/minute.
    """
    stopping = asyncio.Event()
    origins = sorted(names.origins)
    async with streamable_mcp(engine, sorted(names.hosts), origins) as mcp:
        metrics, page = Metrics(), await asyncio.to_thread(_page)
        middleware = [
            Middleware(CheckedOrigin, names=names),
            Middleware(Access, engine=engine, names=names, rate=Rate(rate)),
            Middleware(Bounded),
        ]
        inner = Starlette(
            routes=_routes(engine, mcp, metrics, page, stopping),
            middleware=middleware,
            exception_handlers={404: not_found, 405: wrong_method, 500: failed},
        )
        app = CORSMiddleware(
            _with_security_headers(metrics.counting(inner)),
            allow_origins=origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", *_MCP_HEADERS],
            expose_headers=["mcp-session-id", "retry-after", "www-authenticate"],
        )
        yield Serving(app, stopping, metrics)


def _routes(
    engine: EngineProvider,
    mcp: Handle,
    metrics: Metrics,
    page: StaticFiles,
    stopping: asyncio.Event,
) -> list[Route | Mount]:
    api, login = Api(engine, stopping), Login(engine)

    async def ready(request: Request) -> Response:
        try:
            await (await engine()).catalog.workspaces()
        except AllmaError as error:
            return failure(error)
        return JSONResponse({"status": "ready"})

    return [
        Route(HEALTH, _health),
        Route("/ready", ready),
        Route("/metrics", metrics.show),
        Route(LOGIN, login.begin, methods=["POST"]),
        Route("/api/logout", login.end, methods=["POST"]),
        Route("/api/me", api.me),
        Route("/api/openapi.json", _document),
        Route("/api/cancel", api.cancel, methods=["POST"]),
        Route("/api/upload", api.upload, methods=["POST"]),
        Route("/api/{operation}", api.run, methods=["POST"]),
        Route("/mcp", _Mcp(mcp), methods=["GET", "POST", "DELETE"]),
        Mount("/", page),
    ]


def _page() -> StaticFiles:
    mimetypes.init()  # reads files
    return StaticFiles(directory=PAGE, html=True)


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _document(request: Request) -> Response:
    return JSONResponse(openapi())


class _Mcp:
    """MCP, for the client of each request."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handle(scope, receive, send, visitor(scope).credential)


def _with_security_headers(app: ASGIApp) -> ASGIApp:
    added = [(name.encode(), value.encode()) for name, value in _SECURITY.items()]

    async def secured(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        await app(scope, receive, sending)

    return secured
