"""An operation returns the same through every protocol as without one."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic.alias_generators import to_snake

from allma_server._internal.logs import AUDIT
from allma_server.engine import Engine
from allma_server.errors import AllmaError, as_dict
from allma_server.operations import BY_NAME, OPERATIONS, Call, Operation, jsonable
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.lsp import serve_lsp
from allma_server.protocols.mcp import serve_mcp
from allma_server.protocols.shell.client import ShellClient
from allma_server.protocols.tools import TOOLS
from allma_server.types import LOCAL, Job
from tests.protocol.http_server import browser, served
from tests.protocol.wire import Frames, Lines, connected, shell

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What differs from one call to the next, whoever makes it.
VOLATILE = {
    "code", "conversation_id", "created_at", "done", "expires_at", "first_token_ms", "id",
    "indexed_at", "message_id", "pending", "retrieval_ms", "search_ms", "seconds", "token",
    "total_ms", "updated_at",
}  # fmt: skip

SAMPLES: dict[str, Any] = {
    "query": "how long is the glacier",
    "question": "How long is the glacier?",
    "path": "NOTES",
    "source": "NOTES/glacier.md",
    "id": "CONVERSATION",
    "title": "A title for parity",
    "job_id": "JOB",
    "name": "echo",
    "top_k": 2,
    "state": "indexed",
}
"""What an argument of this name is given, in the operations that need it."""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "search": {"query": SAMPLES["query"], "top_k": 2},
    "explain": {"query": SAMPLES["query"], "top_k": 1},
    "eval": {"questions": "EXTRA/questions.jsonl", "top_k": 1},
    "read": {"source": SAMPLES["source"], "start_line": 3},
    "ingest": {"paths": ["EXTRA"]},
    "sync": {"path": "NOTES"},
    "forget": {"path": "EXTRA"},
    "documents": {"state": "indexed"},
    "conversations.list": {"query": "glacier"},
    "models.pull": {"name": "broken"},
    "models.delete": {"name": "broken"},
    "export": {"path": "COPY"},
    "tokens.add": {"name": "ann", "days": 1},
    "tokens.revoke": {"name": "ann"},
}
"""Where the samples of what is required are not enough."""

TOOL_OF = {o.name: (tool, action) for tool in TOOLS for action, o in tool.operations.items()}
NOT_TOOLS = {
    "eval", "jobs.cancel", "doctor", "repair", "export", "tokens.add", "tokens.list",
    "tokens.revoke", "login", "share", "unshare", "shares",
}  # fmt: skip
"""Operations that are no tool: the contract has eight, and people do these."""

NOT_HTTP = {"login"}
"""What has no address: at /api/login a browser uses the code that this operation makes."""


IN_CLUSTER = {"share", "unshare"}
"""What needs a cluster: tests/unit/sharing/ runs one."""


def sampled(operation: Operation) -> dict[str, Any]:
    """Arguments for an operation, from its signature: what it requires, and nothing else."""
    if operation.name in ARGUMENTS:
        return ARGUMENTS[operation.name]
    required = [n for n, field in operation.arguments.model_fields.items() if field.is_required()]
    return {name: SAMPLES[name] for name in required}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(engine: Engine) -> AsyncGenerator[httpx.AsyncClient]:
    """The engine's owner in a browser, over HTTP."""
    async with served(engine) as url, browser(url) as client:
        client.headers["origin"] = url
        made = await BY_NAME["login"](Call(engine, LOCAL), {})
        assert (await client.post("/api/login", json={"code": made.code})).status_code == 200
        yield client


@asynccontextmanager
async def every(provider: EngineProvider) -> AsyncGenerator[tuple[Frames, Lines, ShellClient]]:
    async with (
        shell(provider) as client,
        connected(partial(serve_lsp, provider, client=ClientContext(LOCAL))) as (
            lsp_reader,
            lsp_writer,
            _,
        ),
        connected(partial(serve_mcp, provider, client=ClientContext(LOCAL))) as (
            mcp_reader,
            mcp_writer,
            _,
        ),
    ):
        lsp, mcp = Frames(lsp_reader, lsp_writer), Lines(mcp_reader, mcp_writer)
        await lsp.initialize()
        await mcp.initialize()
        yield lsp, mcp, client


def steady(value: Any) -> Any:
    """A result without what differs each time, its names in snake_case."""
    if isinstance(value, dict):
        named = {to_snake(key): steady(part) for key, part in value.items()}
        return {key: part for key, part in named.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [steady(part) for part in value]
    if isinstance(value, str):
        return re.sub(r"\b[0-9a-f]{12,16}\b", "ID", value)
    return value


async def prepared(engine: Engine, name: str, notes: Path, extra: Path) -> dict[str, Any]:
    """The arguments of an operation, with everything there that they name."""
    call = Call(engine, LOCAL)
    found: dict[str, str] = {"NOTES": str(notes), "EXTRA": str(extra)}
    if name in ("ingest", "forget"):
        (extra / "a.md").write_text("# Ice\n\nWater that is cold.\n")
        if name == "forget":
            await BY_NAME["ingest"](call, {"paths": [str(extra)]})
        else:
            try:
                await BY_NAME["forget"](call, {"path": str(extra)})
            except AllmaError:
                pass
    arguments = sampled(BY_NAME[name])
    if "CONVERSATION" in arguments.values():
        asked = await BY_NAME["ask"](call, {"question": "parity?", "use_rag": False})
        found["CONVERSATION"] = asked.conversation_id
    if "JOB" in arguments.values():
        job = await engine.ingestion.run([], call.progress, deadline=0)
        assert isinstance(job, Job)
        while (await engine.ingestion.job(job.id)).state != "done":  # noqa: ASYNC110
            await asyncio.sleep(0)
        found["JOB"] = job.id
    if name == "eval":
        asked = {"question": "how long is the glacier", "path": "glacier.md"}
        (extra / "questions.jsonl").write_text(json.dumps(asked))
    if name == "export":
        copy = extra / "copy"
        copy.unlink(missing_ok=True)
        found["COPY"] = str(copy)
    if name.startswith("tokens."):
        with suppress(AllmaError):
            await BY_NAME["tokens.revoke"](call, {"name": "ann"})
        if name != "tokens.add":
            await BY_NAME["tokens.add"](call, {"name": "ann"})
    if name == "models.delete":
        await BY_NAME["models.pull"](call, {"name": "broken"})
    if name in ("status", "doctor"):
        # After an earlier `forget` or `repair`, the indexes may still be building.
        await engine.vectors.wait_until_current()
        await engine.full_text.wait_until_current()

    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return [fill(part) for part in value]
        if isinstance(value, str):
            for word, stands_for in found.items():
                value = value.replace(word, stands_for)
        return value

    return {key: fill(value) for key, value in arguments.items()}


async def test_the_compared_names_are_operations() -> None:
    assert set(ARGUMENTS) | NOT_TOOLS | NOT_HTTP <= set(BY_NAME)
    assert not NOT_TOOLS & set(TOOL_OF)


@pytest.mark.parametrize("name", [o.name for o in OPERATIONS if o.name not in IN_CLUSTER])
async def test_an_operation_returns_the_same_through_every_protocol(
    engine: Engine,
    provider: EngineProvider,
    page: httpx.AsyncClient,
    notes: Path,
    tmp_path: Path,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, AUDIT)

    def is_audited() -> bool:
        """Whether the last line about a change is about this one."""
        lines = [each.getMessage() for each in caplog.records if each.name == AUDIT]
        return lines[-1:] != [] and re.match(rf"local {name} .*: done$", lines[-1]) is not None

    async with every(provider) as (lsp, mcp, client):
        arguments = await prepared(engine, name, notes, tmp_path)
        expected = steady(jsonable(await BY_NAME[name](Call(engine, LOCAL), arguments)))
        assert is_audited() == BY_NAME[name].writes

        arguments = await prepared(engine, name, notes, tmp_path)
        assert steady(await lsp.result(f"allma/{name}", arguments)) == expected
        assert is_audited() == BY_NAME[name].writes

        arguments = await prepared(engine, name, notes, tmp_path)
        assert steady(jsonable(await client.run(name, arguments))) == expected
        assert is_audited() == BY_NAME[name].writes

        arguments = await prepared(engine, name, notes, tmp_path)
        answer = await page.post(f"/api/{name}", json=arguments)
        if name not in NOT_HTTP:
            assert (answer.status_code, steady(answer.json())) == (200, expected)
            assert is_audited() == BY_NAME[name].writes

        if name in TOOL_OF:
            tool, action = TOOL_OF[name]
            arguments = await prepared(engine, name, notes, tmp_path)
            if name == "ingest":
                arguments = {"path": arguments["paths"][0]}
            if action is not None:
                arguments["action"] = action
            result = await mcp.tool(tool.name, **arguments)
            assert not result.get("isError"), result
            assert steady(result["structuredContent"]) == expected
            assert is_audited() == BY_NAME[name].writes


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("search", {"query": " "}),
        ("search", {"query": "x", "top_k": 99}),
        ("ask", {"question": "x", "model": "none"}),
        ("ask", {"question": "x", "model": "broken"}),
        ("ask", {"question": "x", "conversation_id": "none"}),
        ("read", {"source": "/no/such"}),
        ("read", {"source": "glacier", "start_line": 9, "end_line": 2}),
        ("documents", {"state": "lost"}),
    ],
)
async def test_an_expected_error_is_the_same_through_every_protocol(
    engine: Engine,
    provider: EngineProvider,
    page: httpx.AsyncClient,
    name: str,
    arguments: dict[str, Any],
) -> None:
    with pytest.raises(AllmaError) as failed:
        await BY_NAME[name](Call(engine, LOCAL), arguments)
    async with every(provider) as (lsp, mcp, client):
        answer = await lsp.request(f"allma/{name}", arguments)
        result = await mcp.tool(name, **arguments)
        with pytest.raises(type(failed.value)) as reported:
            await client.run(name, arguments)
    expected = steady(as_dict(failed.value))
    assert steady(answer["error"]["data"]) == expected == steady(result["structuredContent"])
    assert steady(as_dict(reported.value)) == expected
    assert result["isError"]
    over_http = await page.post(f"/api/{name}", json=arguments)
    assert over_http.status_code >= 400
    assert steady(over_http.json()) == expected


@pytest.mark.parametrize("name", sorted(IN_CLUSTER))
async def test_what_needs_a_cluster_says_so_through_every_protocol(
    engine: Engine, provider: EngineProvider, page: httpx.AsyncClient, notes: Path, name: str
) -> None:
    arguments = {"path": str(notes)}
    with pytest.raises(AllmaError) as failed:
        await BY_NAME[name](Call(engine, LOCAL), arguments)
    expected = as_dict(failed.value)
    async with every(provider) as (lsp, _, client):
        answer = await lsp.request(f"allma/{name}", arguments)
        with pytest.raises(type(failed.value)) as reported:
            await client.run(name, arguments)
    assert answer["error"]["data"] == expected == as_dict(reported.value)
    assert (await page.post(f"/api/{name}", json=arguments)).json() == expected


async def test_an_unexpected_error_reveals_no_details_in_any_protocol(
    engine: Engine,
    provider: EngineProvider,
    page: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: object) -> Any:
        raise KeyError("a secret")

    monkeypatch.setattr(type(engine.catalog), "document_page", broken)
    async with every(provider) as (lsp, mcp, client):
        answer = await lsp.request("allma/documents")
        result = await mcp.tool("documents")
        with pytest.raises(AllmaError, match="Unexpected error") as reported:
            await client.run("documents", {})
    assert "secret" not in str(reported.value)
    assert answer["error"]["code"] == -32603
    assert result["structuredContent"]["code"] == "internal_error"
    assert answer["error"]["message"] == result["content"][0]["text"]
    over_http = await page.post("/api/documents", json={})
    assert (over_http.status_code, over_http.json()["code"]) == (500, "internal_error")
    assert "secret" not in f"{answer}{result}{over_http.text}"


@pytest.mark.invariant(11)
async def test_cancelling_stops_the_model_through_every_protocol(
    engine: Engine, provider: EngineProvider
) -> None:
    slow = {"question": "x", "model": "slow"}
    async with asyncio.TaskGroup() as tasks, every(provider) as (lsp, mcp, client):
        of_lsp = lsp.begin("allma/ask", slow | {"partialResultToken": "t"})
        of_mcp = mcp.begin_call("ask", token="t", **slow)
        await lsp.until(lambda: any("text" in chunk for chunk in lsp.chunks("t")))
        await mcp.note(lambda note: note["params"].get("message", "").startswith("You"))
        assert engine.chat.generating == 2  # type: ignore[attr-defined]
        lsp.notify("$/cancelRequest", {"id": of_lsp})
        mcp.notify("notifications/cancelled", {"requestId": of_mcp})
        async with asyncio.timeout(5):
            await lsp.answer(of_lsp)
            await mcp.tool("status")
            asking = tasks.create_task(client.run("ask", slow))
            while engine.chat.generating != 1:  # type: ignore[attr-defined]  # noqa: ASYNC110
                await asyncio.sleep(0)
            asking.cancel()
    assert engine.chat.generating == 0  # type: ignore[attr-defined]
