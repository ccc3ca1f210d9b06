"""Answers that are sent while they are made, and refusals."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

Part = dict[str, Any]


class Refused(Exception):
    """An error answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def refusal(request: Request, refused: Refused) -> Response:
    """The error as Ollama's own API words it, and in OpenAI's form below /v1."""
    if request.url.path.startswith("/v1/"):
        error = {"message": refused.reason, "type": "api_error", "param": None, "code": None}
        return JSONResponse({"error": error}, refused.status)
    return JSONResponse({"error": refused.reason}, refused.status)


class Stream(Response):
    """Sends chunks as they come, and stops what makes them as soon as the client is gone.

    What is refused before the first chunk becomes an error answer.
    """

    def __init__(
        self, chunks: AsyncGenerator[bytes], request: Request, kind: str = "application/x-ndjson"
    ) -> None:
        super().__init__(media_type=kind)
        self._chunks = chunks
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(watch)
            async with aclosing(self._chunks):
                await self._send(scope, receive, send)
            group.cancel_scope.cancel()

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            first = await anext(self._chunks)
        except Refused as exc:
            return await refusal(self._request, exc)(scope, receive, send)
        headers = [(b"content-type", (self.media_type or "").encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async for chunk in self._chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def reply(parts: AsyncGenerator[Part], body: Part, request: Request) -> Response:
    """The parts as lines, or joined to one object where the client wants no stream."""
    if body.get("stream", True):
        return Stream(_lines(parts), request)
    texts: list[str] = []
    thoughts: list[str] = []
    chances: list[Any] = []
    last: Part = {}
    async with aclosing(parts):
        async for last in parts:
            texts.append(_text(last))
            thoughts.append(_message(last).get("thinking", ""))
            chances += last.get("logprobs", ())
    if "message" in last or "response" in last:
        key = "content" if "message" in last else "response"
        _message(last)[key] = "".join(texts)
        if any(thoughts):
            _message(last)["thinking"] = "".join(thoughts)
        if chances:
            last["logprobs"] = chances
    return JSONResponse(last)


async def _lines(parts: AsyncGenerator[Part]) -> AsyncGenerator[bytes]:
    """One JSON object per line; a refusal after the first is the last line."""
    begun = False
    async with aclosing(parts):
        try:
            async for part in parts:
                yield json.dumps(part, separators=(",", ":")).encode() + b"\n"
                begun = True
        except Refused as exc:
            if not begun:
                raise
            yield json.dumps({"error": exc.reason}).encode() + b"\n"


def _message(part: Part) -> Part:
    """The object that holds the text: the message of a chat, else the part itself."""
    return part.get("message", part)


def _text(part: Part) -> str:
    return part["message"]["content"] if "message" in part else part.get("response", "")
