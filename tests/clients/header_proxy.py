"""Passes HTTP requests on with a header added, for clients that can send none of their own."""

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

METHODS = ["GET", "POST", "DELETE", "OPTIONS"]
OF_A_CONNECTION = {"connection", "transfer-encoding", "content-length", "date", "server"}


def app_for(address: str, name: str, value: str) -> Starlette:
    """Return an app that asks `address` and streams its answers."""
    client = httpx.AsyncClient(base_url=address, timeout=None, trust_env=False)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with client:
            yield

    async def forward(request: Request) -> StreamingResponse:
        # The Host and Origin that the client sent are what is tested.
        headers = [(k, v) for k, v in request.headers.items() if k not in OF_A_CONNECTION]
        asked = client.build_request(
            request.method,
            request.url.path,
            headers=[*headers, (name, value)],
            content=await request.body(),
        )
        answer = await client.send(asked, stream=True)
        kept = {k: v for k, v in answer.headers.items() if k not in OF_A_CONNECTION}
        return StreamingResponse(
            answer.aiter_raw(),
            answer.status_code,
            kept,
            background=BackgroundTask(answer.aclose),
        )

    return Starlette(
        routes=[Route("/{path:path}", forward, methods=METHODS)],
        lifespan=lifespan,
    )


if __name__ == "__main__":
    descriptor, *rest = sys.argv[1:]
    listening = socket.socket(fileno=int(descriptor))
    config = uvicorn.Config(app_for(*rest), log_level="warning")
    asyncio.run(uvicorn.Server(config).serve([listening]))
