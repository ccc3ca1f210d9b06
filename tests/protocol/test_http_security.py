"""Requests that must be refused, clients that misbehave, and the limits of each client."""

import asyncio
import json
import logging
import socket
import threading
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from allma_server.engine import Engine
from allma_server.errors import InvalidArgument
from allma_server.operations import BY_NAME, Call
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.http import bounds, listener
from allma_server.protocols.http.listener import listen
from allma_server.protocols.http.server import is_loopback, serve_http
from allma_server.types import LOCAL
from tests.protocol.http_server import EVENTS, JSON, browser, events, served, token_of
from tests.protocol.test_http import refused
from tests.protocol.wire import connected

pytestmark = pytest.mark.asyncio(loop_scope="module")

WIKI = "https://wiki.example.org"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(engine: Engine) -> AsyncGenerator[str]:
    async with served(engine, cors_origins=WIKI, http_names="allma.example.org") as url:
        yield url


@pytest_asyncio.fixture(loop_scope="module")
async def client(url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with browser(url) as opened:
        yield opened


async def run(engine: Engine, operation: str, **arguments: Any) -> Any:
    return await BY_NAME[operation](Call(engine, LOCAL), arguments)


async def test_a_credential_must_be_a_valid_token(
    engine: Engine, client: httpx.AsyncClient
) -> None:
    token = await token_of(engine, "ann")
    expired = await token_of(engine, "old", days=1e-9)
    revoked = await token_of(engine, "gone")
    await run(engine, "tokens.revoke", name="gone")
    code = (await run(engine, "login")).code
    cookie = (await client.post("/api/login", json={"token": token})).cookies["allma_visit"]
    client.cookies.clear()
    wrong = ["x", f"{token}x", token[:-1], expired, revoked, code, cookie, "ann", token.upper()]
    for secret in wrong:
        answer = await client.get("/api/me", headers={"authorization": f"Bearer {secret}"})
        refused(answer, 401, "unauthorized")
        assert len(secret) < 9 or secret not in answer.text
    for header in (token, f"Basic {token}", f"Token {token}"):
        refused(await client.get("/api/me", headers={"authorization": header}), 401, "unauthorized")
    for query in (f"?token={token}", f"?access_token={token}"):
        refused(await client.get(f"/api/me{query}"), 401, "unauthorized")
    sent = {"cookie": f"allma_visit={token}"}
    refused(await client.get("/api/me", headers=sent), 401, "unauthorized")
    known = await client.get("/api/me", headers={"authorization": f"Bearer {token}"})
    assert known.json()["name"] == "ann"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::2]", "", "10.0.0.1",
     "evil@localhost", "localhost, evil.example"],
)  # fmt: skip
async def test_another_host_is_refused(client: httpx.AsyncClient, host: str) -> None:
    refused(await client.get("/health", headers={"host": host}), 421, "wrong_host")


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost.evil.example", "file://", "localhost",
     f"{WIKI}.evil.example", "https://evil.example#http://localhost"],
)  # fmt: skip
async def test_another_origin_is_refused(client: httpx.AsyncClient, origin: str) -> None:
    answer = await client.get("/health", headers={"origin": origin})
    refused(answer, 403, "wrong_origin")
    assert "access-control-allow-origin" not in answer.headers


async def test_only_named_pages_of_other_servers_may_ask(client: httpx.AsyncClient) -> None:
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    allowed = await client.options("/api/search", headers={"origin": WIKI, **asked})
    assert allowed.headers["access-control-allow-origin"] == WIKI
    assert "access-control-allow-credentials" not in allowed.headers
    other = await client.options("/api/search", headers={"origin": "https://evil.example", **asked})
    assert other.status_code == 400
    assert "access-control-allow-origin" not in other.headers
    unauthorized = await client.post("/api/search", json={}, headers={"origin": WIKI})
    refused(unauthorized, 401, "unauthorized")
    assert unauthorized.headers["access-control-allow-origin"] == WIKI
    behind_a_proxy = await client.get("/health", headers={"host": "allma.example.org"})
    assert behind_a_proxy.status_code == 200


async def test_another_page_cannot_use_a_cookie(engine: Engine, url: str) -> None:
    async with browser(url) as page:
        code = (await run(engine, "login")).code
        await page.post("/api/login", json={"code": code}, headers={"origin": url})
        for headers in ({}, {"origin": WIKI}):
            refused(await page.post("/api/status", json={}, headers=headers), 403, "wrong_origin")
        form = await page.post("/api/status", data={"a": "b"}, headers={"origin": url})
        refused(form, 400, "invalid_argument")


async def test_what_belongs_to_another_user_does_not_exist(
    engine: Engine, url: str, notes: Path
) -> None:
    ann, bob = await token_of(engine, "ann"), await token_of(engine, "bob", can="write")
    async with browser(url, ann) as mine, browser(url, bob) as other:
        asked = await mine.post("/api/ask", json={"question": "How long is the glacier?"})
        id, message = asked.json()["conversation_id"], asked.json()["message_id"]
        for name, arguments in (
            ("conversations.show", {"id": id}),
            ("conversations.rename", {"id": id, "title": "mine"}),
            ("conversations.delete", {"id": id}),
            ("conversations.export", {"id": id}),
            ("ask", {"question": "more", "conversation_id": id}),
            ("ask", {"question": "more", "replaces": message}),
        ):
            answer = await other.post(f"/api/{name}", json=arguments)
            refused(answer, 404, "conversation_not_found")
        assert (await other.post("/api/conversations.list", json={})).json()["total"] == 0
        job = await engine.ingestion.run([], Call(engine, LOCAL).progress, deadline=0)
        answer = await other.post("/api/jobs.cancel", json={"job_id": getattr(job, "id", "")})
        refused(answer, 404, "job_not_found")
        for name, arguments in (
            ("export", {"path": str(notes / "copy")}),
            ("models.delete", {"name": "echo"}),
            ("tokens.add", {"name": "eve", "can": "admin"}),
        ):
            refused(await other.post(f"/api/{name}", json=arguments), 403, "permission_denied")
        refused(
            await other.post("/api/ingest", json={"paths": ["/etc"]}), 404, "document_not_found"
        )


@pytest.mark.parametrize(
    "path",
    ["/../pyproject.toml", "/..%2f..%2fapp.py", "/%2e%2e/app.py", "/....//app.py", "//etc/passwd",
     "/api/../app.py", "/index.html/../../app.py", "/%00", "/static/../../../etc/passwd"],
)  # fmt: skip
async def test_the_page_serves_only_its_own_files(url: str, path: str) -> None:
    head, body = await raw(url, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert head.split()[1] in {b"400", b"401", b"404", b"405"}
    assert json.loads(body)["code"]


async def raw(url: str, data: bytes) -> tuple[bytes, bytes]:
    """Send bytes; return head and body of the response, or what came before the end."""
    address = httpx.URL(url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(data)
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            length = httpx.Headers(
                [tuple(line.split(b": ", 1)) for line in head.split(b"\r\n")[1:] if line]  # type: ignore[misc]
            ).get("content-length", "0")
            return head, await reader.readexactly(int(length))
    finally:
        writer.close()


async def test_a_client_that_sends_slowly_is_disconnected(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.3)
    token = await token_of(engine, "ann")
    async with served(engine) as url:
        head, body = await raw(url, b"GET /health HTTP/1.1\r\nHost: loc")
        assert (head.split()[1], json.loads(body)["code"]) == (b"408", "request_timeout")
        start = f"POST /api/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        head, body = await raw(url, f"{start}Content-Length: 10\r\n\r\n{{".encode())
        assert (head.split()[1], json.loads(body)["code"]) == (b"408", "request_timeout")


async def test_many_connections_do_not_stop_the_others(
    url: str, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = httpx.URL(url)
    opened = [await asyncio.open_connection(address.host, address.port) for _ in range(200)]
    try:
        assert (await client.get("/health")).status_code == 200
        monkeypatch.setattr(listener, "MAX_CONNECTIONS", 100)
        head, body = await raw(url, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (head.split()[1], json.loads(body)["code"]) == (b"503", "too_many_connections")
    finally:
        for _, writer in opened:
            writer.close()


async def test_a_client_over_its_limit_does_not_slow_the_others(engine: Engine) -> None:
    ann, bob = await token_of(engine, "ann"), await token_of(engine, "bob")
    async with served(engine, rate_limit="5/minute", cors_origins=WIKI) as url:
        async with browser(url, ann) as greedy, browser(url, bob) as modest, browser(url) as nobody:
            codes = [(await greedy.get("/api/me")).status_code for _ in range(8)]
            assert codes == [200] * 5 + [429] * 3
            limited = await greedy.get("/api/me", headers={"origin": WIKI})
            refused(limited, 429, "rate_limited")
            assert 0 < int(limited.headers["retry-after"]) <= 60
            assert limited.headers["access-control-allow-origin"] == WIKI
            assert (await modest.get("/api/me")).status_code == 200
            assert [(await nobody.get("/api/me")).status_code for _ in range(7)].count(429) == 2


async def test_tokens_are_in_no_log_and_no_error(
    engine: Engine, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = await token_of(engine, "ann")
    async with browser(url, token) as ann:
        said = [
            await ann.post("/api/search", json={"query": "glacier"}),
            await ann.post("/api/tokens.list", json={}),
            await ann.post("/api/search", content=b"{", headers=JSON),
            await ann.post("/mcp", content=b"{", headers=JSON),
            await ann.get("/metrics"),
        ]
    listed = await run(engine, "tokens.list")
    assert token not in "".join(each.text for each in said) + str(listed) + caplog.text
    stored = await engine.catalog._db.rows("SELECT * FROM credentials")
    assert token not in str([tuple(row) for row in stored])


async def test_an_answer_is_kept_when_the_browser_goes_away(engine: Engine, url: str) -> None:
    async with browser(url, await token_of(engine, "ann")) as ann:
        asked = {"question": "How long is the glacier?", "model": "slow"}
        async with ann.stream("POST", "/api/ask?call=1", json=asked, headers=EVENTS) as response:
            came = events(response)
            id = (await anext(came))["conversation_id"]
            while (await anext(came))["kind"] != "chunk":
                pass
        assert engine.chat.generating == 1  # type: ignore[attr-defined]
        stopped = await ann.post("/api/cancel", json={"call": "1"})
        assert stopped.json() == {"cancelled": True}
        messages: list[Any] = []
        async with asyncio.timeout(20):
            while len(messages) < 2:
                shown = await ann.post("/api/conversations.show", json={"id": id})
                messages = shown.json()["messages"]
        assert [message["role"] for message in messages] == ["user", "assistant"]


async def test_looking_up_an_address_does_not_block_the_engine(
    provider: EngineProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up, may_answer = socket.getaddrinfo, threading.Event()

    def slow(*arguments: Any, **options: Any) -> Any:
        assert may_answer.wait(10), "the event loop waits for it"
        return look_up(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    serve = partial(serve_http, provider, client=ClientContext(LOCAL))
    async with connected(serve) as (reader, writer, _):
        asyncio.get_running_loop().call_later(0.01, may_answer.set)
        writer.write(b'{"http_port": 0}\n')
        async with asyncio.timeout(20):
            assert "listening" in json.loads(await reader.readline())
            writer.write_eof()
            assert json.loads(await reader.readline()) == {"stopped": True}


async def test_a_port_in_use_is_told_in_a_sentence() -> None:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(InvalidArgument, match=f"Port {port} of 127.0.0.1 is in use"):
            listen("127.0.0.1", port)
    with pytest.raises(InvalidArgument, match="no address"):
        listen("no.such.host.invalid", 0)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.168.1.5", False), ("allma.example.org", False)],
)  # fmt: skip
async def test_only_loopback_is_served_without_any_token(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


async def test_streams_end_with_an_event_when_the_server_stops(engine: Engine) -> None:
    token = await token_of(engine, "ann")
    asked = {"question": "How long is the glacier?", "model": "slow"}
    server = served(engine)
    url = await server.__aenter__()
    async with browser(url, token) as ann, asyncio.TaskGroup() as tasks:
        async with ann.stream("POST", "/api/ask", json=asked, headers=EVENTS) as response:
            came = events(response)
            while (await anext(came))["kind"] != "chunk":
                pass
            tasks.create_task(server.__aexit__(None, None, None))
            last = [event async for event in came][-1]
    assert last["code"] == "server_stopping"
    assert engine.chat.generating  # type: ignore[attr-defined]
