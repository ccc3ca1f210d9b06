"""MCP, driven byte by byte and by the library's own client."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, types
from mcp.shared.exceptions import MCPError

from allma_server import __version__
from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.operations.text import LONGEST_TEXT
from allma_server.protocols import deadline, framing
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.mcp import calls, connection, resources, serve_mcp
from allma_server.providers.chat import scripted
from allma_server.types import LOCAL
from tests.protocol.wire import LATEST_LEGACY, MODERN, Lines, connected, envelope, transport

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def raw(provider: EngineProvider, **options: Any) -> AsyncGenerator[Lines]:
    async with connected(partial(serve_mcp, provider, client=ClientContext(LOCAL, **options))) as (
        reader,
        writer,
        _,
    ):
        yield Lines(reader, writer)


@asynccontextmanager
async def legacy(provider: EngineProvider, **options: Any) -> AsyncGenerator[Lines]:
    async with raw(provider, **options) as wire:
        await wire.initialize()
        yield wire


@asynccontextmanager
async def library(provider: EngineProvider, mode: str, **options: Any) -> AsyncGenerator[Client]:
    async with connected(partial(serve_mcp, provider, client=ClientContext(LOCAL))) as (
        reader,
        writer,
        _,
    ):
        async with Client(transport(reader, writer), mode=mode, **options) as opened:
            yield opened


@pytest.fixture(params=["auto", "legacy"])
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


# --- beginnings -------------------------------------------------------------------------------


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


# --- tools ------------------------------------------------------------------------------------


async def test_there_are_eight_tools_with_short_descriptions(
    provider: EngineProvider, mode: str
) -> None:
    async with library(provider, mode) as opened:
        listed = (await opened.list_tools()).tools
    arguments = {tool.name: set(tool.input_schema["properties"]) for tool in listed}
    expected = {
        "search": {"query", "top_k", "path", "workspace"},
        "ask": {"question", "conversation_id", "use_rag", "model", "top_k", "workspace"},
        "read": {"source", "start_line", "end_line", "neighbors"},
        "index": {"action", "path"},
        "documents": {"workspace", "state", "cursor"},
        "conversations": {"action", "id", "title"},
        "models": {"action", "name"},
        "status": {"job_id"},
    }
    assert list(arguments) == list(expected)
    for name, names in expected.items():
        assert names <= arguments[name]
    hints = {tool.name: tool.annotations for tool in listed if tool.annotations}
    assert [n for n, a in hints.items() if a.read_only_hint] == [
        "search", "read", "documents", "status"
    ]  # fmt: skip
    # The index can be made again from the files, a conversation cannot.
    assert [n for n, a in hints.items() if a.destructive_hint] == ["conversations", "models"]
    outputs = {tool.name: tool.output_schema for tool in listed if tool.output_schema}
    assert set(outputs) == {"search", "ask", "read"}
    for tool in listed:
        assert tool.description and len(tool.description) < 1024
        assert not {"$ref", "anyOf", "oneOf", "allOf", "title"} & _keys(tool.input_schema)


def _keys(schema: Any) -> set[str]:
    """The keywords of a schema, without the names of its properties."""
    found = set(schema)
    for value in schema.get("properties", {}).values():
        found |= _keys(value)
    return found


@pytest.mark.parametrize("version", ["2024-11-05", LATEST_LEGACY])
async def test_the_list_of_tools_stays_under_six_thousand_characters(
    provider: EngineProvider, version: str
) -> None:
    async with raw(provider) as wire:
        await wire.initialize(version)
        wire.begin("tools/list")
        line = await wire.reader.readline()
    assert len(line) < 6000


async def test_a_search_returns_text_data_and_links(provider: EngineProvider, mode: str) -> None:
    async with library(provider, mode) as opened:
        result = await opened.call_tool("search", {"query": "how long is the glacier", "top_k": 1})
    assert not result.is_error
    text, link = result.content
    assert text.type == "text" and link.type == "resource_link"
    data = result.structured_content
    assert data is not None
    [passage] = data["passages"]
    place = f"1. {passage['path']}:{passage['start_line']}-{passage['end_line']}"
    assert text.text.startswith(place)
    assert "twenty three kilometres" in text.text and "twenty three" in passage["text"]
    assert link.uri == f"allma://document/{passage['document_id']}"


async def test_a_search_of_an_empty_index_names_the_next_step(tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path, embedder="hashing/words-256")
    async with open_engine(config) as empty:

        async def provider() -> Engine:
            return empty

        async with legacy(provider) as wire:
            found = await wire.tool("search", query="glacier")
    assert "No documents indexed" in found["content"][0]["text"]
    assert "`allma index DIR`" in found["structuredContent"]["notice"]


async def test_old_protocol_versions_get_no_links(provider: EngineProvider) -> None:
    async with raw(provider) as wire:
        await wire.initialize("2025-03-26")
        found = await wire.tool("search", query="glacier")
    assert [block["type"] for block in found["content"]] == ["text"]


async def test_an_answer_is_streamed_as_progress_and_ends_with_its_sources(
    provider: EngineProvider, mode: str
) -> None:
    heard: list[tuple[float, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    async with library(provider, mode) as opened:
        result = await opened.call_tool(
            "ask", {"question": "How long is the glacier?"}, progress_callback=on_progress
        )
    data = result.structured_content
    assert data is not None and data["mode"] == "generated"
    assert "".join(message or "" for _, message in heard) == data["text"]
    assert [p for p, _ in heard] == sorted({p for p, _ in heard})
    text = result.content[0]
    assert text.type == "text" and text.text.startswith(data["text"])
    assert "Sources:\n[1] " in text.text and data["conversation_id"] in text.text


async def test_cancelling_a_call_stops_the_model_and_keeps_the_connection(
    provider: EngineProvider, engine: Engine
) -> None:
    async with legacy(provider) as wire:
        id = wire.begin_call("ask", token="t", question="glacier?", model="slow")
        await wire.note(lambda note: "message" in note["params"])
        assert engine.chat.generating == 1  # type: ignore[attr-defined]
        wire.notify("notifications/cancelled", {"requestId": id})
        await wire.tool("status")
        assert engine.chat.generating == 0  # type: ignore[attr-defined]
        assert id not in wire._answers


async def test_the_conversation_is_reported_before_the_answer(provider: EngineProvider) -> None:
    async with legacy(provider) as wire:
        id = wire.begin_call("ask", token="t", question="glacier told?")
        answer = (await wire.answer(id))["result"]["structuredContent"]
        shown = await wire.tool("conversations", action="show", id=answer["conversation_id"])
        first = wire.notes[0]["params"]
    question = shown["structuredContent"]["messages"][0]
    assert first["_meta"]["allma/started"] == {
        "conversation_id": answer["conversation_id"],
        "message_id": question["id"],
    }
    assert "message" not in first


async def test_a_slow_answer_is_returned_in_part_and_continues_in_its_conversation(
    provider: EngineProvider, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "CALL_SECONDS", 0.3)
    monkeypatch.setattr(scripted, "PAUSE_SECONDS", 0.0003)
    async with legacy(provider) as wire:
        part = await wire.tool("ask", question="glaciers in part?", model="slow")
        data = part["structuredContent"]
        assert data["state"] == "running" and data["text"]
        assert data["conversation_id"] in part["content"][0]["text"]
        assert engine.chat.generating == 1  # type: ignore[attr-defined]
        async with asyncio.timeout(20):
            while True:
                id = data["conversation_id"]
                shown = await wire.tool("conversations", action="show", id=id)
                messages = shown["structuredContent"]["messages"]
                if len(messages) == 2:
                    break
    assert messages[1]["content"].startswith(data["text"][:200])


async def test_a_slow_read_only_call_is_stopped_at_the_deadline(
    provider: EngineProvider, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(calls, "CALL_SECONDS", 0.2)
    monkeypatch.setattr(type(engine.catalog), "document_page", hang)
    async with legacy(provider) as wire:
        result = await wire.tool("documents")
    assert result["isError"] and result["structuredContent"]["code"] == "took_too_long"


async def test_long_indexing_returns_a_job_that_status_shows(
    provider: EngineProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "JOB_SECONDS", 0.0)
    (tmp_path / "a.md").write_text("# A moraine\n\nStones that ice has left.\n")
    async with legacy(provider) as wire:
        begun = await wire.tool("index", action="add", path=str(tmp_path))
        job = begun["structuredContent"]["id"]
        assert f'job_id "{job}"' in begun["content"][0]["text"]
        async with asyncio.timeout(20):
            while True:
                state = await wire.tool("status", job_id=job)
                if state["structuredContent"]["state"] == "done":
                    break
        assert state["structuredContent"]["report"]["indexed"] == 1
        removed = await wire.tool("index", action="remove", path=str(tmp_path))
        assert removed["structuredContent"]["documents"] == 1


async def test_a_silent_call_reports_progress_regularly() -> None:
    heard: list[tuple[float, str]] = []
    enough = asyncio.Event()

    async def send(progress: float, total: float | None, message: str) -> None:
        heard.append((progress, message))
        if len(heard) == 3:
            enough.set()

    async def announce(progress: float, conversation_id: str, message_id: str) -> None: ...

    relay = deadline.ProgressRelay(send, announce)
    await relay.report(0, None, "Waiting for the model")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(deadline, "KEEP_ALIVE_SECONDS", 0.1)
        async with relay.sending():
            await enough.wait()
    assert {message for _, message in heard} == {"Waiting for the model"}
    assert [p for p, _ in heard] == sorted({p for p, _ in heard})


# --- what clients and models add or leave out -------------------------------------------------


async def test_unknown_arguments_are_ignored_with_a_note(
    provider: EngineProvider,
) -> None:
    async with legacy(provider) as wire:
        result = await wire.tool("search", query="glacier", task_progress="- [ ] look", topk=1)
        plain = await wire.tool("search", query="glacier")
    assert not result.get("isError")
    assert result["structuredContent"]["passages"] == plain["structuredContent"]["passages"]
    assert "Ignored: 'task_progress', 'topk'." in result["content"][-1]["text"]
    assert not any("Ignored" in block.get("text", "") for block in plain["content"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"topK": 1},
        {"top_k": 1, "path": "", "workspace": ""},
        {"top_k": "1", "action": None},
        {"top_k": 1, "limit": 7},
    ],
)
async def test_arguments_are_accepted_as_models_write_them(
    provider: EngineProvider, arguments: dict[str, Any]
) -> None:
    async with legacy(provider) as wire:
        result = await wire.tool("search", query="how long is the glacier", **arguments)
    assert not result.get("isError"), result["content"]
    assert len(result["structuredContent"]["passages"]) == 1


async def test_null_members_count_as_absent(provider: EngineProvider) -> None:
    async with raw(provider) as wire:
        await wire.result(
            "initialize",
            {
                "protocolVersion": LATEST_LEGACY,
                "capabilities": {"roots": None, "elicitation": None},
                "clientInfo": {"name": "test", "version": "0", "title": None},
                "_meta": None,
            },
        )
        wire.notify("notifications/initialized", None)
        call = {
            "name": "status",
            "arguments": None,
            "_meta": {"progressToken": None},
            "task": None,
        }
        assert not (await wire.result("tools/call", call)).get("isError")
        assert (await wire.result("tools/list", {"cursor": None}))["tools"]


async def test_a_passage_can_be_read_by_the_chunk_id_in_the_text(
    provider: EngineProvider,
) -> None:
    async with legacy(provider) as wire:
        text = (await wire.tool("search", query="how long is the glacier"))["content"][0]["text"]
        number = re.search(r"\(chunk (\d+), ", text)
        assert number is not None
        read = await wire.tool("read", source=number[1])
    assert "twenty three kilometres" in read["content"][0]["text"]


async def test_a_long_result_is_truncated_and_says_how_to_continue(
    provider: EngineProvider, engine: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "long"
    folder.mkdir()
    lines = [f"Line {n} of the long book about lanterns." for n in range(1, 1001)]
    (folder / "book.txt").write_text("\n".join(lines))
    await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(folder)]})
    async with legacy(provider) as wire:
        read = await wire.tool("read", source=str(folder / "book.txt"))
        last = read["structuredContent"]["end_line"]
        rest = await wire.tool("read", source=str(folder / "book.txt"), start_line=last + 1)
        told = await wire.tool("search", query="lanterns", action="explain", top_k=20)
    assert len(json.dumps(read)) < 40_000 and len(json.dumps(told)) < 40_000
    assert f"more from line {last + 1}" in read["content"][0]["text"]
    assert read["structuredContent"]["text"].split("\n")[-1] == lines[last - 1]
    assert rest["structuredContent"]["text"].split("\n")[0] == lines[last]
    await BY_NAME["forget"](Call(engine, LOCAL), {"path": str(folder)})


async def test_relative_paths_are_resolved_against_the_client_s_folder(
    provider: EngineProvider, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "bell.md").write_text("# Bell\n\nThe bell weighs nine tons.\n")
    async with legacy(provider, cwd=str(tmp_path)) as wire:
        assert not (await wire.tool("index", action="add", path="docs")).get("isError")
        read = await wire.tool("read", source="docs/bell.md")
        found = await wire.tool("search", query="how heavy is the bell", workspace="./docs")
        uri = found["structuredContent"]["passages"][0]["uri"]
        same = await wire.tool("read", source=uri)
        gone = await wire.tool("index", action="remove", path="docs")
    assert "nine tons" in read["structuredContent"]["text"]
    assert same["structuredContent"]["path"] == read["structuredContent"]["path"]
    assert gone["structuredContent"]["documents"] == 1


# --- failures ---------------------------------------------------------------------------------


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


# --- folders ----------------------------------------------------------------------------------


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


# --- consent ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("says", "left"), [("accept", []), ("decline", [1]), ("cancel", [1])])
async def test_the_user_is_asked_before_a_conversation_is_deleted(
    provider: EngineProvider, engine: Engine, mode: str, says: str, left: list[int]
) -> None:
    asked: list[str] = []

    async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult.model_validate({"action": says, "content": {}})

    async with library(provider, mode, elicitation_callback=answer) as client:
        said = await client.call_tool("ask", {"question": "How wide is the glacier?"})
        assert said.structured_content is not None
        id = said.structured_content["conversation_id"]
        deleted = await client.call_tool("conversations", {"action": "delete", "id": id})
        page = await client.call_tool("conversations", {"action": "list", "query": "wide"})
    assert not deleted.is_error
    assert len(asked) == 1 and "How wide is the glacier?" in asked[0]
    assert page.structured_content is not None
    assert [1 for c in page.structured_content["conversations"] if c["id"] == id] == left
    if left:
        assert "declined" in getattr(deleted.content[0], "text")  # noqa: B009
        await BY_NAME["conversations.delete"](Call(engine, LOCAL), {"id": id})


async def test_a_confirmation_is_valid_only_for_its_own_request(
    provider: EngineProvider, engine: Engine
) -> None:
    meta = envelope(elicitation={})
    ids = [(await engine.catalog.begin_turn(None, "Of ice")).conversation_id for _ in range(2)]
    async with raw(provider) as wire:

        async def delete(id: str, **more: Any) -> Any:
            arguments = {"action": "delete", "id": id}
            params = {"name": "conversations", "arguments": arguments, "_meta": meta, **more}
            return await wire.result("tools/call", params)

        asked = await delete(ids[0])
        assert asked["resultType"] == "input_required"
        [key] = asked["inputRequests"]
        agreed = {"inputResponses": {key: {"action": "accept", "content": {}}}}
        other = await delete(ids[1], **agreed)
        assert other["resultType"] == "input_required"
        done = await delete(ids[0], **agreed)
    assert "Deleted conversation" in done["content"][0]["text"]
    await BY_NAME["conversations.delete"](Call(engine, LOCAL), {"id": ids[1]})


@pytest.mark.parametrize("refused", [{"elicitation/create"}, set[str]()], ids=["error", "nothing"])
async def test_nothing_is_deleted_if_the_client_does_not_confirm(
    provider: EngineProvider, engine: Engine, refused: set[str]
) -> None:
    turn = await engine.catalog.begin_turn(None, "Of snow")
    async with raw(provider) as wire:
        await wire.initialize(capabilities={"elicitation": {}})
        wire.refused |= refused
        wire.replies["elicitation/create"] = {}
        result = await wire.tool("conversations", action="delete", id=turn.conversation_id)
    assert result["structuredContent"]["state"] == "declined"
    await BY_NAME["conversations.delete"](Call(engine, LOCAL), {"id": turn.conversation_id})


# --- resources, prompts, completion -----------------------------------------------------------


async def test_documents_conversations_and_status_can_be_read(
    provider: EngineProvider, mode: str
) -> None:
    async with library(provider, mode) as opened:
        asked = await opened.call_tool("ask", {"question": "How long is the glacier?"})
        assert asked.structured_content is not None
        listed = (await opened.list_resources()).resources
        document = next(r.uri for r in listed if r.name.endswith("glacier.md"))
        templates = (await opened.list_resource_templates()).resource_templates
        assert {t.uri_template for t in templates} == {
            "allma://document/{id}", "allma://conversation/{id}"
        }  # fmt: skip
        conversation = f"allma://conversation/{asked.structured_content['conversation_id']}"
        texts = {}
        for uri in (document, conversation, "allma://status"):
            [whole] = (await opened.read_resource(uri)).contents
            texts[uri] = getattr(whole, "text")  # noqa: B009
    assert "melt water" in texts[document]
    assert texts[conversation].startswith("# How long is the glacier?")
    assert json.loads(texts["allma://status"])["version"] == __version__


@pytest.mark.parametrize(("mode", "code"), [("legacy", -32002), ("auto", -32602)])
@pytest.mark.parametrize("uri", ["allma://document/999", "allma://nothing", "file:///etc/passwd"])
async def test_an_unknown_resource_has_the_error_code_of_the_protocol_version(
    provider: EngineProvider, mode: str, code: int, uri: str
) -> None:
    async with library(provider, mode) as opened:
        with pytest.raises(MCPError) as failed:
            await opened.read_resource(uri)
    assert failed.value.error.code == code


async def test_prompts_contain_passages_as_data(provider: EngineProvider, mode: str) -> None:
    async with library(provider, mode) as opened:
        asked = await opened.get_prompt("ask_workspace", {"question": "How long is the glacier?"})
        listed = (await opened.list_resources()).resources
        path = next(r.name for r in listed if r.name.endswith("melt.py"))
        summary = await opened.get_prompt("summarize_document", {"path": path})
        with pytest.raises(MCPError, match="needs the argument 'path'"):
            await opened.get_prompt("summarize_document", {})
    text = asked.messages[0].content
    assert text.type == "text"
    assert "twenty three" in text.text and "never instructions" in text.text
    assert text.text.endswith("Question: How long is the glacier?")
    text = summary.messages[0].content
    assert text.type == "text" and "Turn ice into water" in text.text


async def test_ids_and_paths_are_completed(provider: EngineProvider) -> None:
    async def complete(wire: Lines, ref: dict[str, str], name: str, value: str) -> list[str]:
        params = {"ref": ref, "argument": {"name": name, "value": value}}
        return (await wire.result("completion/complete", params))["completion"]["values"]

    document = {"type": "ref/resource", "uri": "allma://document/{id}"}
    prompt = {"type": "ref/prompt", "name": "summarize_document"}
    async with legacy(provider) as wire:
        ids = await complete(wire, document, "id", "")
        assert ids and await complete(wire, document, "id", ids[0]) == [ids[0]]
        [path] = await complete(wire, prompt, "path", "GLACIER")
        assert path.endswith("glacier.md")
        assert await complete(wire, prompt, "style", "") == []


async def test_subscribers_are_notified_of_changes_in_both_eras(provider: EngineProvider) -> None:
    async with legacy(provider) as wire:
        await wire.result("resources/subscribe", {"uri": "test://not-yet"})
        await wire.result("resources/subscribe", {"uri": "allma://status"})
        await wire.tool("index", action="sync")
        note = await wire.note(lambda n: n["method"] == "notifications/resources/updated")
        assert note["params"]["uri"] == "allma://status"
        await wire.result("resources/unsubscribe", {"uri": "allma://status"})
    async with library(provider, "auto") as opened:
        async with opened.listen(resource_subscriptions=["allma://status"]) as changes:
            await opened.call_tool("index", {"action": "sync"})
            async for change in changes:
                assert getattr(change, "uri") == "allma://status"  # noqa: B009
                break


async def test_a_subscriber_is_notified_when_another_client_changes_a_document(
    provider: EngineProvider, engine: Engine, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "POLL_SECONDS", 0.02)
    changing = notes / "changing.md"
    changing.write_text("# Ice\n")
    await BY_NAME["sync"](Call(engine, LOCAL), {})
    document = await engine.catalog.document(str(changing))
    assert document is not None
    uri = f"allma://document/{document.id}"
    async with legacy(provider) as old, library(provider, "auto") as new:
        await old.result("resources/subscribe", {"uri": uri})
        async with new.listen(resource_subscriptions=[uri]) as changes:
            await new.call_tool("status", {})
            changing.write_text("# Ice\n\nIt melts.\n")
            await BY_NAME["sync"](Call(engine, LOCAL), {})
            async for change in changes:
                assert getattr(change, "uri") == uri  # noqa: B009
                break
        note = await old.note(lambda n: n["method"] == "notifications/resources/updated")
        assert note["params"]["uri"] == uri
    changing.unlink()
    await BY_NAME["sync"](Call(engine, LOCAL), {})


async def test_a_result_stays_below_the_limit_of_clients(
    provider: EngineProvider, tmp_path: Path
) -> None:
    (tmp_path / "long.md").write_text("\n".join(f"Line {n} of the ice." for n in range(9000)))
    async with legacy(provider) as wire:
        await wire.tool("index", action="add", path=str(tmp_path))
        result = await wire.tool("read", source=str(tmp_path / "long.md"))
        assert len(result["content"][0]["text"]) <= LONGEST_TEXT
        found = await wire.tool("search", query="ice", top_k=50)
        assert len(found["content"][0]["text"]) <= LONGEST_TEXT
        await wire.tool("index", action="remove", path=str(tmp_path))
