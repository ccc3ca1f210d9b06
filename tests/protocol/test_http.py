"""HTTP: operations as JSON and as events, the page, login, and refusals."""

from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, OPERATIONS, Call
from allma_server.types import LOCAL, Right
from tests.protocol.http_server import EVENTS, JSON, browser, events, served, token_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = {"question": "How long is the glacier?"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(engine: Engine) -> AsyncGenerator[str]:
    async with served(engine) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="module")
async def ann(engine: Engine, url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with browser(url, await token_of(engine, "ann")) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def nobody(url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with browser(url) as client:
        yield client


def refused(response: httpx.Response, status: int, code: str) -> None:
    """A refusal has a status, a code, a sentence, and nothing else."""
    assert response.status_code == status, response.text
    error = response.json()
    assert error["code"] == code
    assert error["message"].endswith(".")
    assert set(error) == {"code", "message", "hint"}


async def test_an_operation_takes_and_returns_json(ann: httpx.AsyncClient) -> None:
    found = await ann.post("/api/search", json={"query": "glacier", "topK": 1})
    assert found.status_code == 200
    [passage] = found.json()["passages"]
    assert passage["start_line"] == 1
    camel = await ann.post("/api/search?names=camel", json={"query": "glacier"})
    assert camel.json()["passages"][0]["startLine"] == 1


async def test_an_answer_comes_as_events(ann: httpx.AsyncClient) -> None:
    async with ann.stream("POST", "/api/ask", json=QUESTION, headers=EVENTS) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        came = [event async for event in events(response)]
    kinds = [event["kind"] for event in came]
    assert kinds[0] == "started"
    assert kinds[-2:] == ["sources", "done"]
    result = came[-1]["result"]
    assert "".join(event["text"] for event in came if event["kind"] == "chunk") == result["text"]
    assert came[0]["conversation_id"] == result["conversation_id"]


async def test_events_have_the_names_that_were_asked_for(ann: httpx.AsyncClient) -> None:
    address = "/api/ask?names=camel"
    async with ann.stream("POST", address, json=QUESTION, headers=EVENTS) as response:
        came = [event async for event in events(response)]
    assert came[0]["conversationId"] == came[-1]["result"]["conversationId"]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/search", b'{"query": " "}', 400, "invalid_argument"),
        ("/api/search", b"{", 400, "invalid_argument"),
        ("/api/search", b"[]", 400, "invalid_argument"),
        ("/api/search", b'{"query": NaN}', 400, "invalid_argument"),
        ("/api/read", b'{"source": "/no/such"}', 404, "document_not_found"),
        ("/api/export", b'{"path": "/tmp/x"}', 403, "permission_denied"),
        ("/api/nothing", b"{}", 404, "not_found"),
        ("/nothing", b"{}", 405, "method_not_allowed"),
        ("/api/search", b" " * (1 << 21), 413, "too_large"),
    ],
)
async def test_a_refused_request_gets_a_code_and_a_sentence(
    ann: httpx.AsyncClient, path: str, body: bytes, status: int, code: str
) -> None:
    refused(await ann.post(path, content=body, headers=JSON), status, code)


@pytest.mark.parametrize("path", ["/ready", "/metrics", "/api/me", "/api/openapi.json", "/mcp"])
async def test_everything_but_health_and_the_page_needs_a_token(
    nobody: httpx.AsyncClient, ann: httpx.AsyncClient, path: str
) -> None:
    answer = await nobody.get(path)
    refused(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert (await ann.get(path)).status_code in (200, 400)
    assert (await nobody.get("/health")).json() == {"status": "ok"}
    page = await nobody.get("/")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_the_document_describes_every_operation(ann: httpx.AsyncClient) -> None:
    document = (await ann.get("/api/openapi.json")).json()
    assert {f"/api/{each.name}" for each in OPERATIONS if each.needs != Right.OWNER} == set(
        document["paths"]
    )


async def test_a_code_logs_a_browser_in_once(engine: Engine, url: str) -> None:
    made = await BY_NAME["login"](Call(engine, LOCAL), {})
    own = {"origin": url}
    async with browser(url) as page:
        login = await page.post("/api/login", json={"code": made.code}, headers=own)
        cookie = login.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie
        assert (await page.get("/api/me")).json()["name"] == "local"
        status = await page.post("/api/status", json={}, headers=own)
        assert status.status_code == 200
        refused(await page.post("/api/status", json={}), 403, "wrong_origin")
        assert (await page.post("/api/logout", headers=own)).status_code == 200
        refused(await page.get("/api/me"), 401, "unauthorized")
    async with browser(url) as other:
        refused(await other.post("/api/login", json={"code": made.code}), 401, "unauthorized")
