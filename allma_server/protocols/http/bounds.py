"""Limits of a request: its size, and the time to send it and to read the response."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from allma_server.protocols.http.refusals import refusal

BODY_BYTES = 1 << 20
LARGER: Mapping[str, int] = {"/mcp": 4 << 20, "/api/upload": 64 << 20}
"""Bytes of the largest body, by the path, where it is not `BODY_BYTES`."""

BODY_SECONDS = 20.0
SLOWER: Mapping[str, float] = {"/api/upload": 300.0}
"""Seconds for a client to send a whole body, by the path, where it is not `BODY_SECONDS`."""

SEND_SECONDS = 60.0
"""Seconds for a client to take a part of a response."""

_CLOSE = {"Connection": "close"}

_log = logging.getLogger(__name__)


class Bounded:
    """Reads the whole body of a request before it is handled, and ends responses nobody reads."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        if (body := await _body(scope, receive)) is None:
            return
        app = body if isinstance(body, JSONResponse) else self._app
        whole = b"" if isinstance(body, JSONResponse) else body
        with suppress(_Unread):
            await app(scope, _replay(whole, receive), _bounded(send))


class _Unread(Exception):
    """The client does not read the response."""


def _bounded(send: Send) -> Send:
    async def bounded(message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)
        except TimeoutError as exc:
            _log.info("a client did not read its response; its connection is closed")
            raise _Unread from exc

    return bounded


async def _body(scope: Scope, receive: Receive) -> bytes | JSONResponse | None:
    """Return the body, the response that refuses it, or None if the client has left."""
    most = LARGER.get(scope["path"], BODY_BYTES)
    declared = Headers(scope=scope).get("content-length", "0")
    too_large = refusal(
        413,
        "too_large",
        f"The request has more than {most:,} bytes.",
        None,
        _CLOSE,
    )
    if declared.isdigit() and int(declared) > most:
        return too_large
    body = bytearray()
    try:
        async with asyncio.timeout(SLOWER.get(scope["path"], BODY_SECONDS)):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if len(body) > most:
                    return too_large
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        return refusal(
            408, "request_timeout", "The request was not complete in time.", None,
            _CLOSE,
        )  # fmt: skip


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once, then waits for the client to leave."""
    unread = True

    async def replay() -> Message:
        nonlocal unread
        if unread:
            unread = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay
