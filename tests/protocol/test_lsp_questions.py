"""Questions of an editor, and their progress."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from allma_server.engine import Engine
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.providers.chat import scripted
from tests.protocol.editor import BARS, begun, editor, indexed

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_every_operation_is_a_command_and_a_request_in_both_spellings(
    provider: EngineProvider,
) -> None:
    async with editor(provider) as wire:
        by_command = await wire.command("allma.conversations.list", {"limit": 1})
        by_request = await wire.result("allma/conversations.list", {"limit": 1})
        by_path = await wire.result("allma/conversations/list", {"limit": 1})
        assert by_command == by_request == by_path
        snake = await wire.result("allma/search", {"query": "glacier", "top_k": 1})
        camel = await wire.result("allma/search", [{"query": "glacier", "topK": 1}])
        assert len(snake["passages"]) == len(camel["passages"]) == 1
        assert snake["passages"][0]["startLine"] == 1
        assert (await wire.command("allma.status"))["dataDir"]


@pytest.mark.parametrize("command", [True, False])
async def test_an_answer_is_streamed_then_its_sources_then_the_result(
    provider: EngineProvider, command: bool
) -> None:
    asked = {"question": "How long is the glacier?", "partialResultToken": "p1"}
    async with editor(provider) as wire:
        if command:
            answer = await wire.command("allma.ask", asked)
        else:
            answer = await wire.result("allma/ask", asked)
        started, *between, sources = wire.chunks("p1")
        shown = await wire.result("allma/conversations/show", {"id": answer["conversationId"]})
    chunks = [each for each in between if each["kind"] == "chunk"]
    assert [chunk["seq"] for chunk in chunks] == list(range(len(chunks)))
    assert "".join(chunk["text"] for chunk in chunks) == answer["text"]
    assert sources == {"kind": "sources", "citations": answer["citations"]}
    assert started == {
        "kind": "started",
        "conversationId": shown["id"],
        "messageId": shown["messages"][0]["id"],
    }
    assert answer["citations"][0]["passage"]["documentId"]


async def test_tokens_are_batched_into_few_messages(
    provider: EngineProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripted, "PAUSE_SECONDS", 0.002)
    async with editor(provider) as wire:
        id = wire.begin("allma/ask", {"question": "x", "model": "slow", "partialResultToken": 1})
        await wire.until(lambda: len(wire.chunks(1)) == 7)
        wire.notify("$/cancelRequest", {"id": id})
        assert (await wire.answer(id))["error"]["code"] == -32800
    assert all(len(chunk["text"].split()) > 1 for chunk in wire.chunks(1)[3:6])


async def test_chunks_are_custom_notifications_if_the_client_asks_for_them(
    provider: EngineProvider,
) -> None:
    async with editor(provider, options={"streamNotification": True}) as wire:
        asked = {"question": "How long is the glacier?", "partialResultToken": "p1"}
        answer = await wire.result("allma/ask", asked)
        reported = [n["params"] for n in wire.notes if n["method"] == "allma/chunk"]
    assert {part["token"] for part in reported} == {"p1"}
    assert "".join(part["text"] for part in reported if part["kind"] == "chunk") == answer["text"]
    assert reported[0]["kind"] == "started"
    assert reported[-1]["kind"] == "sources"
    assert not wire.chunks("p1")


@pytest.mark.parametrize("how", ["$/cancelRequest", "allma/cancel", "allma.cancel", "bar"])
@pytest.mark.parametrize("command", [True, False])
async def test_cancelling_stops_the_model(
    provider: EngineProvider, engine: Engine, command: bool, how: str
) -> None:
    asked = {"question": "x", "model": "slow", "partialResultToken": "c", "workDoneToken": 17}
    async with editor(provider) as wire:
        id = wire.begin_command("allma.ask", asked) if command else wire.begin("allma/ask", asked)
        await wire.until(lambda: begun(wire, "c"))
        match how:
            case "$/cancelRequest":
                wire.notify(how, {"id": id})
            case "allma/cancel":
                assert await wire.result(how, {"token": "c"}) == {"cancelled": True}
            case "allma.cancel":
                assert await wire.command(how, {"token": 17}) == {"cancelled": True}
            case _:
                wire.notify("window/workDoneProgress/cancel", {"token": 17})
        assert (await wire.answer(id))["error"]["code"] == -32800
        assert engine.chat.generating == 0  # type: ignore[attr-defined]
        heard = len(wire.chunks("c"))
        assert await wire.result("allma/cancel", {"token": "c"}) == {"cancelled": False}
        assert len(wire.chunks("c")) == heard
        assert [step["kind"] for step in wire.chunks(17)][::len(wire.chunks(17)) - 1] == [
            "begin", "end"
        ]  # fmt: skip


async def test_a_stopped_first_answer_can_be_continued(provider: EngineProvider) -> None:
    async with editor(provider) as wire:
        id = wire.begin(
            "allma/ask", {"question": "stop me?", "model": "slow", "partialResultToken": "s"}
        )
        await wire.until(lambda: begun(wire, "s"))
        wire.notify("$/cancelRequest", {"id": id})
        stopped = (await wire.answer(id))["error"]
        assert stopped["code"] == -32800
        conversation = wire.chunks("s")[0]["conversationId"]
        assert stopped["data"] == {"conversationId": conversation}
        answer = await wire.result("allma/ask", {"question": "on?", "conversationId": conversation})
        assert answer["conversationId"] == conversation


async def test_a_failed_question_reports_its_conversation(provider: EngineProvider) -> None:
    async with editor(provider) as wire:
        failed = await wire.request("allma/ask", {"question": "kept?", "model": "vector"})
        conversation = failed["error"]["data"]["conversationId"]
        shown = await wire.result("allma/conversations/show", {"id": conversation})
    assert [message["content"] for message in shown["messages"]] == ["kept?"]


async def test_a_regenerated_answer_replaces_the_earlier_one(provider: EngineProvider) -> None:
    async with editor(provider) as wire:
        first = await wire.result("allma/ask", {"question": "How long is the glacier?"})
        id = first["conversationId"]
        await wire.result("allma/ask", {"question": "And the river?", "conversationId": id})
        before = await wire.result("allma/conversations/show", {"id": id})
        again = {"question": "How old is the glacier?", "replaces": first["messageId"]}

        failed = await wire.request("allma/ask", again | {"model": "none"})
        assert failed["error"]["data"]["code"] == "model_not_found"
        assert await wire.result("allma/conversations/show", {"id": id}) == before

        answer = await wire.result("allma/ask", again | {"partialResultToken": "r"})
        shown = await wire.result("allma/conversations/show", {"id": id})
        assert wire.chunks("r")[0]["messageId"] == shown["messages"][0]["id"]
    assert answer["conversationId"] == id
    assert [m["content"] for m in shown["messages"]] == [again["question"], answer["text"]]
    assert shown["title"] == again["question"]


async def test_cancelling_an_unknown_request_is_ignored(provider: EngineProvider) -> None:
    async with editor(provider) as wire:
        wire.notify("$/cancelRequest", {"id": "nobody"})
        wire.notify("$/cancelRequest", {"no": "id"})
        wire.notify("window/workDoneProgress/cancel", {"token": "nobody"})
        await wire.result("allma/status")


async def test_indexing_reports_progress_with_the_client_s_token(
    provider: EngineProvider, tmp_path: Path
) -> None:
    (tmp_path / "a.md").write_text("# Ice\n\nWater that is cold.\n")
    async with editor(provider) as wire:
        report = await wire.command(
            "allma.ingest", {"paths": [str(tmp_path)], "workDoneToken": "w"}
        )
        assert report["indexed"] == 1
        steps = wire.chunks("w")
        assert [steps[0]["kind"], steps[-1]["kind"]] == ["begin", "end"]
        assert steps[0]["cancellable"] is True and steps[0]["title"] == "Allma: ingest"
        await wire.command("allma.forget", {"path": str(tmp_path)})


async def test_progress_is_created_only_for_clients_that_support_it(
    provider: EngineProvider, tmp_path: Path
) -> None:
    (tmp_path / "a.md").write_text("# Ice\n\nWater that is cold.\n")
    async with editor(provider, capabilities=BARS) as wire:
        await wire.result("allma/ingest", {"paths": [str(tmp_path)]})
        [created] = wire.asked
        assert created["method"] == "window/workDoneProgress/create"
        kinds = [step["kind"] for step in wire.chunks(created["params"]["token"])]
        assert [kinds[0], kinds[-1]] == ["begin", "end"]
    async with editor(provider) as wire:
        await wire.result("allma/sync", {"path": str(tmp_path)})
        await wire.result("allma/forget", {"path": str(tmp_path)})
        assert not wire.asked


async def test_pulling_a_model_reports_progress(provider: EngineProvider) -> None:
    async with editor(provider) as wire:
        done = await wire.result("allma/models/pull", {"name": "echo", "workDoneToken": "w"})
        assert done == {"message": "Installed echo."}
        assert [step["kind"] for step in wire.chunks("w")][-1] == "end"


@pytest.fixture
def gate(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """One document is published; no other before it is set."""
    opened = asyncio.Event()
    publish = engine.catalog.publish
    published: list[object] = []

    async def publish_later(_: object, *args: Any, **kwargs: Any) -> Any:
        if published:
            await opened.wait()
        published.append(args)
        return await publish(*args, **kwargs)

    monkeypatch.setattr(type(engine.catalog), "publish", publish_later)
    return opened


async def test_cancelling_the_progress_stops_indexing(
    provider: EngineProvider, engine: Engine, tmp_path: Path, gate: asyncio.Event
) -> None:
    for n in range(3):
        (tmp_path / f"{n}.md").write_text(f"# Ice {n}\n\nWater that is cold.\n")
    async with editor(provider, capabilities=BARS) as wire:
        id = wire.begin("allma/ingest", {"paths": [str(tmp_path)]})
        await wire.until(lambda: bool(wire.asked))
        token = wire.asked[0]["params"]["token"]
        await wire.until(lambda: begun(wire, token))
        wire.notify("window/workDoneProgress/cancel", {"token": token})
        assert (await wire.answer(id))["error"]["code"] == -32800
        await wire.until(lambda: wire.chunks(token)[-1]["kind"] == "end")
        gate.set()
        assert (await wire.result("allma/status"))["jobs"] == []
        assert (await wire.result("allma/cancel", {"token": token})) == {"cancelled": False}
        await wire.result("allma/forget", {"path": str(tmp_path)})


async def test_folders_continue_to_be_indexed_after_the_editor_exits(
    provider: EngineProvider, engine: Engine, tmp_path: Path, gate: asyncio.Event
) -> None:
    for n in range(3):
        (tmp_path / f"{n}.md").write_text(f"# Ice {n}\n\nWater that is cold.\n")
    async with editor(provider, folders=(str(tmp_path),), capabilities=BARS) as wire:
        await wire.until(lambda: bool(wire.asked))
    gate.set()
    async with editor(provider) as wire:
        async with asyncio.timeout(20):
            while await indexed(wire, tmp_path) != 3:
                pass
        await wire.result("allma/forget", {"path": str(tmp_path)})
