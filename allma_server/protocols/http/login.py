"""Browsers: exchange a code or a token for a cookie, and log out.

The cookie is HttpOnly and SameSite=Strict. The code comes in the address's fragment, which no
server or log sees, and is valid once.
"""

import json

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from allma_server.engine import Engine
from allma_server.errors import AllmaError
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.http.access import COOKIE, visitor
from allma_server.protocols.http.refusals import failure, refusal

VISIT_SECONDS = 12 * 3600
"""Seconds after which a browser has to log in again."""


class Login:
    """Begins and ends visits of browsers."""

    def __init__(self, engine: EngineProvider) -> None:
        self._engine = engine

    async def begin(self, request: Request) -> Response:
        """Set the cookie, for `{"code": …}` or `{"token": …}`."""
        secret = await _secret(request)
        if secret is None:
            return refusal(400, "invalid_argument", 'Send {"code": "…"} or {"token": "…"}.')
        try:
            catalog = (await self._engine()).catalog
            cookie = await catalog.begin_visit(secret, VISIT_SECONDS)
        except AllmaError as error:
            return failure(error)
        if cookie is None:
            return refusal(
                401, "unauthorized", "The code or token is not valid.", "A code is valid once, "
                "for a minute: run `allma open` again.",
            )  # fmt: skip
        response = JSONResponse({"expires_in": VISIT_SECONDS})
        secure = request.headers.get("origin", "").startswith("https://")
        response.set_cookie(
            COOKIE, cookie, VISIT_SECONDS, httponly=True, samesite="strict", secure=secure
        )
        return response

    async def end(self, request: Request) -> Response:
        """Delete the cookie, here and in the browser."""
        try:
            engine, credential = await self._engine(), visitor(request.scope).credential
            await engine.catalog.end_visit(credential)
        except AllmaError as error:
            return failure(error)
        # Afterwards, because this request is one of them. A token stays valid.
        ids = [credential.id] if credential.kind == "browser" else []
        ended = BackgroundTask(_end, engine, ids)
        response = JSONResponse({}, background=ended)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response


async def _end(engine: Engine, credential_ids: list[int]) -> None:
    engine.credential_uses.end(credential_ids)


async def _secret(request: Request) -> str | None:
    """Return the code or the token in the body; None for any other body."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return None
    try:
        parsed: object = json.loads(await request.body())
    except (ValueError, RecursionError):
        return None
    match parsed:
        case {"code": str() as secret} | {"token": str() as secret}:
            return secret
        case _:
            return None
