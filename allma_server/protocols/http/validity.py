"""Ends requests whose credential is revoked or expires while they run."""

import asyncio
import json
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from allma_server._internal.credential_uses import CredentialUses
from allma_server.protocols.http.refusals import refusal
from allma_server.types import Credential

LAST_SECONDS = 2.0
"""Seconds for a client to take the last event of a stream."""

_ENDED = {
    "code": "unauthorized",
    "message": "The token or the sign-in was revoked, or has expired.",
    "hint": "`allma tokens add NAME` makes a token.",
}


async def run_while_valid(
    app: ASGIApp,
    credential: Credential,
    uses: CredentialUses,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Serve a request as long as its credential is valid.

    When it no longer is, a request without a response is refused, and a stream ends with an event.
    """
    response = _Response(send)
    limit = asyncio.timeout(credential.seconds_left)
    try:
        async with limit:
            with uses.open(credential.id, lambda: limit.reschedule(0)):
                await app(scope, receive, response.send)
    except TimeoutError:
        if not limit.expired():
            raise
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await _end(response, scope, receive, send)


class _Response:
    """What was sent of a response."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.is_begun = False
        self.is_stream = False
        self.is_complete = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_begun = True
            kind = Headers(raw=message.get("headers", [])).get("content-type", "")
            self.is_stream = kind.startswith("text/event-stream")
        elif message["type"] == "http.response.body":
            self.is_complete = not message.get("more_body", False)
        await self._send(message)


async def _end(response: _Response, scope: Scope, receive: Receive, send: Send) -> None:
    """End a response; one that is neither whole nor a stream stays broken off."""
    if not response.is_begun:
        refused = refusal(401, **_ENDED, headers={"WWW-Authenticate": "Bearer"})
        await refused(scope, receive, send)
    elif response.is_stream and not response.is_complete:
        # MCP's streams carry its own messages only.
        last = b"" if scope["path"] == "/mcp" else _event()
        await send({"type": "http.response.body", "body": last, "more_body": False})


def _event() -> bytes:
    return f"event: error\ndata: {json.dumps({'kind': 'error', **_ENDED})}\n\n".encode()
