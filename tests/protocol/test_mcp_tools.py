"""The tools of MCP, their arguments and results."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from mcp import types

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.protocols import deadline
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.mcp import calls, connection
from allma_server.providers.chat import scripted
from allma_server.types import LOCAL
from tests.protocol.ai_client import legacy, library, raw
from tests.protocol.wire import LATEST_LEGACY, envelope

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
    statuses = ("Reading", "Waiting", "Working")
    words = [message for _, message in heard if message and not message.startswith(statuses)]
    assert "".join(words) == data["text"]
    assert [p for p, _ in heard] == sorted({p for p, _ in heard})
    text = result.content[0]
    assert text.type == "text" and text.text.startswith(data["text"])
    assert "Sources:\n[1] " in text.text and data["conversation_id"] in text.text


async def test_cancelling_a_call_stops_the_model_and_keeps_the_connection(
    provider: EngineProvider, engine: Engine
) -> None:
    async with legacy(provider) as wire:
        id = wire.begin_call("ask", token="t", question="glacier?", model="slow")
        await wire.note(lambda note: note["params"].get("message", "").startswith("You"))
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
    monkeypatch.setattr(calls, "CALL_SECONDS", 1.0)
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
