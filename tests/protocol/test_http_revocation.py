"""What a client has open ends when its token is revoked, when it expires, and with signing out."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from allma_server._internal.credential_uses import CredentialUses
from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.protocols.http.validity import run_while_valid
from allma_server.types import LOCAL, Credential
from tests.protocol.http_server import (
    ACCEPTED,
    EVENTS,
    OPENING,
    browser,
    events,
    served,
    token_of,
)
from tests.protocol.test_http import refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED = {"question": "How long is the glacier?", "model": "slow"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(engine: Engine) -> AsyncGenerator[str]:
    async with served(engine) as url:
        yield url


async def generating(engine: Engine, count: int) -> None:
    """Wait until so many answers are being generated."""
    async with asyncio.timeout(60):
        while engine.chat.generating != count:  # type: ignore[attr-defined]  # noqa: ASYNC110
            await asyncio.sleep(0)


async def revoke(engine: Engine, name: str) -> None:
    await BY_NAME["tokens.revoke"](Call(engine, LOCAL), {"name": name})


@pytest.mark.parametrize("reason", ["revoked", "signed out"])
async def test_a_stream_ends_with_its_credential(engine: Engine, url: str, reason: str) -> None:
    token = await token_of(engine, "tom")
    async with browser(url) as page:
        page.headers["origin"] = url
        await page.post("/api/login", json={"token": token})
        async with page.stream("POST", "/api/ask?call=1", json=ASKED, headers=EVENTS) as response:
            came = events(response)
            while (await anext(came))["kind"] != "chunk":
                pass
            if reason == "revoked":
                await revoke(engine, "tom")
            else:
                assert (await page.post("/api/logout")).status_code == 200
            last = [event async for event in came][-1]
        assert (last["kind"], last["code"]) == ("error", "unauthorized")
        refused(await page.get("/api/me"), 401, "unauthorized")
    await generating(engine, 0)


async def test_a_stream_ends_when_its_credential_expires() -> None:
    sent: list[Any] = []

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        kind = (b"content-type", b"text/event-stream")
        await send({"type": "http.response.start", "status": 200, "headers": [kind]})
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    credential = Credential(1, "token", LOCAL, seconds_left=0.01)
    scope = {"type": "http", "path": "/api/ask"}
    await run_while_valid(stream, credential, CredentialUses(), scope, NotImplemented, send)
    assert not sent[-1]["more_body"]
    assert '"code": "unauthorized"' in sent[-1]["body"].decode()


async def test_requests_and_sessions_end_when_their_token_is_revoked(
    engine: Engine, url: str
) -> None:
    params = {"name": "ask", "arguments": ASKED}
    calling: dict[str, Any] = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}
    async with browser(url, await token_of(engine, "uma")) as uma, asyncio.TaskGroup() as tasks:
        begun = await uma.post("/mcp", json=OPENING, headers=ACCEPTED)
        session = {**ACCEPTED, "mcp-session-id": begun.headers["mcp-session-id"]}
        waiting = tasks.create_task(uma.post("/api/ask", json=ASKED))
        called = tasks.create_task(uma.post("/mcp", json=calling, headers=session))
        await generating(engine, 2)
        async with uma.stream("GET", "/mcp", headers=session) as listening:
            await revoke(engine, "uma")
            assert [line async for line in listening.aiter_lines()] == []
        refused(await waiting, 401, "unauthorized")
        assert '"result"' not in (await called).text
        await generating(engine, 0)
