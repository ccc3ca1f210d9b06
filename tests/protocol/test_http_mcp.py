"""MCP over HTTP, with the library's client, in both eras."""

from collections.abc import AsyncGenerator

import httpx2
import pytest
import pytest_asyncio
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from allma_server.engine import Engine
from tests.protocol.http_server import (
    ACCEPTED,
    OPENING,
    browser,
    events,
    served,
    token_of,
)
from tests.protocol.test_http import refused
from tests.protocol.wire import envelope

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(engine: Engine) -> AsyncGenerator[str]:
    async with served(engine, cors_origins="https://wiki.example.org") as url:
        yield url


async def test_the_librarys_client_works_with_a_token(engine: Engine, url: str, mode: str) -> None:
    headers = {"authorization": f"Bearer {await token_of(engine, 'ann')}"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        assert len((await client.list_tools()).tools) == 8
        found = await client.call_tool("search", {"query": "glacier"})
        assert found.structured_content and found.structured_content["passages"]
        refusal = await client.call_tool("models", {"action": "delete", "name": "echo"})
        assert refusal.is_error
        assert refusal.structured_content
        assert refusal.structured_content["code"] == "permission_denied"
        reports: list[str] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            reports.append(message or "")

        answer = await client.call_tool(
            "ask", {"question": "How long is the glacier?"}, progress_callback=note
        )
        assert answer.structured_content and answer.structured_content["text"]
        assert reports
        resources = (await client.list_resources()).resources
        read = await client.read_resource(str(resources[-1].uri))
        assert read.contents
        with pytest.raises(MCPError):
            await client.read_resource("allma://document/999999")


async def test_a_session_belongs_to_the_credential_that_began_it(engine: Engine, url: str) -> None:
    ann, bob = await token_of(engine, "ann"), await token_of(engine, "bob")
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}
    async with browser(url, ann) as mine, browser(url, bob) as other, browser(url) as nobody:
        began = await mine.post("/mcp", json=OPENING, headers=ACCEPTED)
        session = {**ACCEPTED, "mcp-session-id": began.headers["mcp-session-id"]}
        assert (await mine.post("/mcp", json=call, headers=session)).status_code == 200
        assert (await other.post("/mcp", json=call, headers=session)).status_code == 404
        assert (await other.delete("/mcp", headers=session)).status_code == 404
        refused(await nobody.post("/mcp", json=call, headers=session), 401, "unauthorized")
        assert (await mine.delete("/mcp", headers=session)).status_code == 200
        assert (await mine.post("/mcp", json=call, headers=session)).status_code == 404


async def test_conversations_are_not_shared_between_requests_of_two_users(
    engine: Engine, url: str
) -> None:
    modern = {
        **ACCEPTED,
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "conversations",
    }
    arguments = {"action": "list"}
    params = {"name": "conversations", "arguments": arguments, "_meta": envelope()}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    totals: list[int] = []
    for name in ("carl", "dora"):
        async with browser(url, await token_of(engine, name)) as client:
            if name == "carl":
                await client.post("/api/ask", json={"question": "How long is the glacier?"})
            async with client.stream("POST", "/mcp", json=call, headers=modern) as response:
                assert response.status_code == 200
                if response.headers["content-type"].startswith("text/event-stream"):
                    answer = [event async for event in events(response)][-1]
                else:
                    await response.aread()
                    answer = response.json()
            totals.append(answer["result"]["structuredContent"]["total"])
    assert totals == [1, 0]
