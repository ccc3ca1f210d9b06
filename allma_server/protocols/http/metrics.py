"""Figures for Prometheus: requests by operation and status, their time, and open streams."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from allma_server.operations import BY_NAME

_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._last = time.monotonic()
        self._running = 0
        self._requests = Counter(
            "allma_http_requests", "Requests.", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "allma_http_seconds",
            "Seconds until a response has ended.",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._open = Gauge(
            "allma_http_open_requests", "Requests in progress.", registry=self._registry
        )

    def idle_seconds(self) -> float:
        """Return for how long no request has been in progress."""
        return 0.0 if self._running else time.monotonic() - self._last

    def counting(self, app: ASGIApp) -> ASGIApp:
        """Return the application with its requests counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            route, began, status = _route(scope["path"]), time.monotonic(), "none"

            async def noting(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            with self._open.track_inprogress():
                self._running += 1
                try:
                    await app(scope, receive, noting)
                finally:
                    self._running -= 1
                    self._last = time.monotonic()
                    self._requests.labels(route, status).inc()
                    self._seconds.labels(route).observe(time.monotonic() - began)

        return counted

    async def show(self, request: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


def _route(path: str) -> str:
    """Return one of few names for a path, because each name is a series in Prometheus."""
    first, _, rest = path.strip("/").partition("/")
    if first == "api":
        return f"/api/{rest}" if rest in BY_NAME else "/api"
    return f"/{first}" if first in ("mcp", "health", "ready", "metrics") else "/"
