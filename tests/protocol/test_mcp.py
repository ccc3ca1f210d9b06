"""MCP: the life of a connection, folders and failures."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from allma_server import __version__
from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.protocols import framing
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.types import LOCAL
from tests.protocol.ai_client import legacy, library, raw
from tests.protocol.wire import LATEST_LEGACY, MODERN, envelope

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        (MODERN, LATEST_LEGACY),
        ("2099-01-01", LATEST_LEGACY),
    ],
)
async def test_every_protocol_version_with_a_handshake_can_search(
    provider: EngineProvider, offered: str, spoken: str
) -> None:
    async with raw(provider) as wire:
        result = await wire.initialize(offered)
        assert result["protocolVersion"] == spoken
        assert result["serverInfo"]["name"] == "allma"
        assert result["serverInfo"]["version"] == __version__
        found = await wire.tool("search", query="glacier")
        assert "glacier.md:" in found["content"][0]["text"]


async def test_a_modern_client_needs_no_handshake(provider: EngineProvider) -> None:
    async with raw(provider) as wire:
        discovered = await wire.result("server/discover", {"_meta": envelope()})
        assert MODERN in discovered["supportedVersions"]
        params = {"name": "search", "arguments": {"query": "glacier"}, "_meta": envelope()}
        found = await wire.result("tools/call", params)
        assert found["structuredContent"]["passages"]


async def test_a_client_that_discovers_and_then_initializes_starts_a_new_session(
    provider: EngineProvider,
) -> None:
    async with raw(provider) as wire:
        await wire.result("server/discover", {"_meta": envelope()})
        assert (await wire.initialize())["protocolVersion"] == LATEST_LEGACY
        assert (await wire.tool("search", query="glacier"))["structuredContent"]["passages"]


async def test_the_handshake_and_the_list_of_tools_do_not_open_the_engine() -> None:
    async def provider() -> Engine:
        raise AssertionError("the engine was asked for")

    async with raw(provider) as wire:
        await wire.initialize()
        await wire.result("tools/list")
        await wire.result("resources/templates/list")
        await wire.result("prompts/list")
        await wire.result("ping")


async def test_a_workspace_is_indexed_at_the_first_call_and_not_before(
    provider: EngineProvider, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "firn.md").write_text("# Firn\n\nSnow that has survived a summer.\n")
    async with legacy(provider, workspaces=(str(tmp_path),)) as wire:
        await wire.result("tools/list")
        assert str(tmp_path) not in [w.path for w in await engine.catalog.workspaces()]
        found = await wire.tool("search", query="snow glacier")
        places = [p["path"] for p in found["structuredContent"]["passages"]]
        assert places == [str(tmp_path / "firn.md")]
        everywhere = await wire.tool("search", query="snow glacier", workspace="all")
        assert len(everywhere["structuredContent"]["passages"]) > 1
        await wire.tool("index", action="remove", path=str(tmp_path))


@pytest.mark.parametrize("folder", ["/no/such/folder", "/"])
async def test_every_search_reports_a_workspace_that_cannot_be_indexed(
    provider: EngineProvider, folder: str
) -> None:
    async with legacy(provider, workspaces=(folder,)) as wire:
        found = await wire.tool("search", query="glacier")
    assert found["structuredContent"]["passages"]
    assert folder in found["structuredContent"]["notice"]
    assert folder in found["content"][0]["text"]


async def test_roots_limit_a_search_only_if_they_are_indexed(
    provider: EngineProvider, engine: Engine, notes: Path, tmp_path: Path
) -> None:
    (tmp_path / "serac.md").write_text("# Serac\n\nA tower of glacier ice.\n")
    await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(tmp_path)]})
    for hint, expected in [(str(notes), {notes}), ("/elsewhere", {notes, tmp_path})]:
        async with legacy(provider, project_folder=hint) as wire:
            found = await wire.tool("search", query="glacier ice")
        workspaces = {Path(p["workspace"]) for p in found["structuredContent"]["passages"]}
        assert workspaces == expected
    await BY_NAME["forget"](Call(engine, LOCAL), {"path": str(tmp_path)})


async def test_roots_are_requested_if_declared_and_only_narrow_searches(
    provider: EngineProvider, engine: Engine, notes: Path, tmp_path: Path
) -> None:
    (tmp_path / "serac.md").write_text("# Serac\n\nA tower of glacier ice.\n")
    await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(tmp_path)]})
    async with raw(provider) as wire:
        wire.replies["roots/list"] = {"roots": [{"uri": tmp_path.as_uri()}]}
        await wire.initialize(capabilities={"roots": {}})
        await wire.tool("status")
        await wire.until(lambda: bool(wire.asked))
        await wire.result("ping")
        found = await wire.tool("search", query="glacier ice")
    workspaces = {Path(p["workspace"]) for p in found["structuredContent"]["passages"]}
    assert workspaces == {tmp_path}
    await BY_NAME["forget"](Call(engine, LOCAL), {"path": str(tmp_path)})


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("search", {}, "search needs the argument 'query'."),
        (
            "search",
            {"q": "x"},
            "search needs the argument 'query'. Ignored: 'q'. search takes:",
        ),
        ("search", {"question": "x"}, "search needs the argument 'query'."),
        ("search", {"query": ""}, "The query is empty"),
        (
            "search",
            {"query": "x", "top_k": "many"},
            "top_k must be a whole number",
        ),
        ("search", {"query": ["x"]}, "query must be a string."),
        ("index", {"action": "add"}, "index with action 'add' needs the argument 'path'."),
        ("index", {}, "index needs an action: add, sync, remove."),
        ("index", {"action": 7}, "index needs an action: add, sync, remove."),
        ("models", {"action": "show"}, "models with action 'show' needs the argument 'name'."),
        ("documents", {"state": "lost"}, "state must be 'indexed', 'skipped' or 'failed'."),
        ("index", {"action": "add", "path": "/no/such"}, "There is no file or folder at"),
        ("index", {"action": "add", "path": "/"}, "/"),
        ("conversations", {"action": "show", "id": "none"}, "There is no conversation 'none'."),
    ],
)
async def test_an_expected_error_is_a_sentence_for_the_model(
    provider: EngineProvider, tool: str, arguments: dict[str, Any], sentence: str
) -> None:
    async with legacy(provider) as wire:
        result = await wire.tool(tool, **arguments)
    assert result["isError"]
    assert sentence.lower() in result["content"][0]["text"].lower()
    error = result["structuredContent"]
    assert set(error) == {"code", "message", "hint"} and error["code"]


async def test_arguments_of_other_actions_and_nulls_are_ignored(provider: EngineProvider) -> None:
    async with legacy(provider) as wire:
        result = await wire.tool("models", action="list", name="echo")
        assert not result.get("isError")
        result = await wire.tool("search", query="glacier", top_k=None, workspace=None)
        assert not result.get("isError")


async def test_an_unexpected_error_reveals_no_details(
    provider: EngineProvider, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> Any:
        raise RuntimeError("a secret")

    monkeypatch.setattr(engine.chat, "list", broken)
    monkeypatch.setattr(type(engine.catalog), "conversation_page", broken)
    async with legacy(provider) as wire:
        wire_answers = [
            await wire.call("models", action="list"),
            await wire.request(
                "completion/complete",
                {
                    "ref": {"type": "ref/resource", "uri": "allma://conversation/{id}"},
                    "argument": {"name": "id", "value": ""},
                },
            ),
        ]
    assert wire_answers[0]["result"]["isError"]
    assert wire_answers[0]["result"]["structuredContent"]["code"] == "internal_error"
    assert wire_answers[1]["error"]["code"] == -32603
    assert "secret" not in json.dumps(wire_answers)
    assert "Traceback" not in json.dumps(wire_answers)


@pytest.mark.parametrize(
    ("line", "code", "id"),
    [
        (b"{nonsense", -32700, None),
        (b"\xff\xfe", -32700, None),
        (b"[" * 100_000, -32700, None),
        (b"[]", -32600, None),
        (b"7", -32600, None),
        (b'{"id": 5, "method": "ping"}', -32600, 5),
        (b'{"jsonrpc": "2.0", "id": 5}', -32600, 5),
        (b'{"jsonrpc": "2.0", "id": 5, "method": 7}', -32600, 5),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}', -32600, None),
        (b'{"jsonrpc": "2.0", "id": "a", "method": "ping", "params": 3}', -32602, "a"),
        (b'{"jsonrpc": "2.0", "id": "a", "method": "ping", "params": [3]}', -32600, "a"),
        (b'{"jsonrpc": "2.0", "id": "a", "method": "no/such"}', -32601, "a"),
        (b'{"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": {}}', -32602, "a"),
    ],
    ids=lambda value: value[:60].decode("ascii", "replace") if isinstance(value, bytes) else None,
)
async def test_an_invalid_message_is_answered_and_the_next_one_is_served(
    provider: EngineProvider, line: bytes, code: int, id: str | int | None
) -> None:
    async with legacy(provider) as wire:
        wire.writer.write(line + b"\n")
        assert (await wire.answer(id))["error"]["code"] == code
        assert await wire.result("ping") == {}


async def test_unknown_tools_and_prompts_are_invalid_parameters(
    provider: EngineProvider, mode: str
) -> None:
    async with library(provider, mode) as opened:
        with pytest.raises(MCPError, match="Unknown tool: nope"):
            await opened.call_tool("nope", {})
        with pytest.raises(MCPError, match="Unknown prompt: nope"):
            await opened.get_prompt("nope", {})


@pytest.mark.parametrize("line", ['{"id": "big", "x": "%s"}', '{"x": "%s", "id": "big"}'])
async def test_a_line_over_the_limit_is_refused_by_its_id_and_the_next_one_is_served(
    provider: EngineProvider, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(framing, "LARGEST_LINE", 1 << 16)
    async with legacy(provider) as wire:
        wire.writer.write((line % ("x" * (1 << 18)) + "\n").encode())
        error = (await wire.answer("big"))["error"]
        assert error["code"] == -32600 and "the limit is 65,536" in error["message"]
        assert await wire.result("ping") == {}


async def test_calls_in_flight_are_answered_after_the_client_closed_its_input(
    provider: EngineProvider,
) -> None:
    async with legacy(provider) as wire:
        id = wire.begin_call("search", query="glacier")
        wire.writer.write_eof()
        assert "result" in await wire.answer(id)


async def test_disconnecting_cancels_the_calls_of_the_client(
    provider: EngineProvider, engine: Engine
) -> None:
    async with legacy(provider) as wire:
        wire.begin_call("ask", token="t", question="glacier?", model="slow")
        await wire.note(lambda note: note["method"] == "notifications/progress")
    async with legacy(provider) as wire:
        await wire.tool("status")
    assert engine.chat.generating == 0  # type: ignore[attr-defined]


async def test_eight_clients_of_both_eras_share_an_engine(provider: EngineProvider) -> None:
    async def one(mode: str) -> int:
        async with library(provider, mode) as opened:
            found = await opened.call_tool("search", {"query": "glacier"})
            assert found.structured_content is not None
            return len(found.structured_content["passages"])

    async with asyncio.TaskGroup() as tasks:
        found = [tasks.create_task(one(mode)) for mode in ["auto", "legacy"] * 4]
    assert len({task.result() for task in found}) == 1
