"""LSP, driven byte by byte."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from allma_server import __version__
from allma_server.engine import Engine
from allma_server.operations import BY_NAME, OPERATIONS, Call
from allma_server.protocols import framing
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.lsp import parent_process, serve_lsp, workspace_sync
from allma_server.providers.chat import scripted
from allma_server.types import LOCAL
from tests.protocol.wire import Frames, Message, connected

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRONG_ARGUMENTS = (
    b'{"jsonrpc": "2.0", "id": 5, "method": "workspace/executeCommand", '
    b'"params": {"command": "allma.status", "arguments": 7}}'
)
WRONG_RANGE = (
    b'{"jsonrpc": "2.0", "id": 5, "method": "textDocument/codeAction", "params": {"range": 7}}'
)
BARS = {"window": {"workDoneProgress": True}}


@asynccontextmanager
async def raw(provider: EngineProvider) -> AsyncGenerator[Frames]:
    async with connected(partial(serve_lsp, provider, client=ClientContext(LOCAL))) as (
        reader,
        writer,
        _,
    ):
        yield Frames(reader, writer)


@asynccontextmanager
async def editor(provider: EngineProvider, **options: Any) -> AsyncGenerator[Frames]:
    async with raw(provider) as wire:
        await wire.initialize(**options)
        yield wire


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_sync, "IDLE_SECONDS", 0.0)


def shown(wire: Frames, method: str) -> list[str]:
    return [n["params"]["message"] for n in wire.notes if n["method"] == method]


def begun(wire: Frames, token: int | str) -> bool:
    return any(chunk["kind"] != "started" for chunk in wire.chunks(token))


# --- beginning and end ------------------------------------------------------------------------


async def test_initialize_returns_the_capabilities(provider: EngineProvider) -> None:
    async with raw(provider) as wire:
        result = await wire.initialize()
    assert result["serverInfo"] == {"name": "allma", "version": __version__}
    can = result["capabilities"]
    commands = set(can["executeCommandProvider"]["commands"])
    assert commands == {f"allma.{operation.name}" for operation in OPERATIONS} | {"allma.cancel"}
    assert can["executeCommandProvider"]["workDoneProgress"] is True
    assert can["workspace"]["textDocumentContent"] == {"schemes": ["allma"]}
    assert can["workspace"]["workspaceFolders"]["supported"] is True
    assert can["codeActionProvider"] == {"codeActionKinds": ["allma"]}
    assert can["textDocumentSync"]["save"] == {"includeText": False}
    assert "hoverProvider" not in can and "completionProvider" not in can


OF_ANOTHER_REVISION = {
    "workspace": {
        "symbol": {"symbolKind": {"valueSet": [1, 255]}, "tagSupport": {"valueSet": [-1]}},
        "workspaceEdit": {"resourceOperations": ["create", "zap"], "failureHandling": "magic"},
        "workspaceFolders": True,
    },
    "textDocument": {
        "hover": {"contentFormat": ["html", "markdown", 7]},
        "completion": {"completionItem": {"documentationFormat": ["html"]}},
        "codeAction": {"codeActionLiteralSupport": "yes"},
    },
    "window": {"workDoneProgress": True, "showMessage": []},
    "general": {"positionEncodings": ["utf-99", "utf-16"], "markdown": None},
    "vendor": {"anything": {"at": ["all"]}},
}


async def test_unknown_values_of_other_protocol_versions_are_ignored(
    provider: EngineProvider,
) -> None:
    async with raw(provider) as wire:
        result = await wire.result(
            "initialize",
            {"processId": None, "trace": "compact", "capabilities": OF_ANOTHER_REVISION},
        )
        wire.notify("initialized")
        wire.notify("$/setTrace", {"value": "everything"})
        assert result["serverInfo"]["name"] == "allma"
        assert (await wire.result("allma/status"))["version"] == __version__


async def test_a_client_that_only_initializes_does_not_open_the_engine(tmp_path: Path) -> None:
    async def provider() -> Engine:
        raise AssertionError("the engine was asked for")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(workspace_sync, "IDLE_SECONDS", 60.0)
        async with raw(provider) as wire:
            await wire.initialize(folders=(str(tmp_path),))
            await wire.result("shutdown")
            wire.notify("exit")
            assert await wire.receive() is None


@pytest.mark.parametrize(
    ("messages", "status"), [(["exit"], 1), (["shutdown", "exit"], 0), ([], 0)]
)
async def test_the_exit_status_depends_on_a_preceding_shutdown(
    provider: EngineProvider, messages: list[str], status: int
) -> None:
    async with connected(partial(serve_lsp, provider, client=ClientContext(LOCAL))) as (
        reader,
        writer,
        serving,
    ):
        wire = Frames(reader, writer)
        await wire.initialize()
        for method in messages:
            wire.begin(method) if method == "shutdown" else wire.notify(method)
        writer.write_eof()
        assert await serving == status


async def test_shutdown_cancels_and_answers_requests_in_flight(
    provider: EngineProvider, engine: Engine
) -> None:
    async with editor(provider) as wire:
        ask = {"question": "glacier?", "model": "slow", "partialResultToken": "s"}
        ids = [wire.begin("allma/ask", ask), wire.begin_command("allma.ask", ask)]
        await wire.until(lambda: begun(wire, "s"))
        assert await wire.result("shutdown") is None
        for id in ids:
            assert (await wire.answer(id))["error"]["code"] == -32800
        assert engine.chat.generating == 0  # type: ignore[attr-defined]
        assert (await wire.request("allma/status"))["error"]["code"] == -32600
        wire.notify("exit")
        assert await wire.receive() is None


async def test_disconnecting_cancels_the_requests_of_the_client(
    provider: EngineProvider, engine: Engine
) -> None:
    async with editor(provider) as wire:
        wire.begin("allma/ask", {"question": "x", "model": "slow", "partialResultToken": 1})
        await wire.until(lambda: begun(wire, 1))
    assert engine.chat.generating == 0  # type: ignore[attr-defined]


async def test_the_connection_ends_with_the_process_of_the_editor(
    provider: EngineProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent_process, "POLL_SECONDS", 0.05)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=subprocess.PIPE
    )
    async with editor(provider, process_id=child.pid) as wire:
        await wire.result("allma/status")
        await child.communicate(b"\n")
        async with asyncio.timeout(5):
            while await wire.receive() is not None:
                pass


async def test_an_editor_in_another_process_namespace_is_served(provider: EngineProvider) -> None:
    async with editor(provider, process_id=2**22 + 12345) as wire:
        await wire.result("allma/status")


async def test_many_editors_share_an_engine(provider: EngineProvider) -> None:
    async def one() -> int:
        async with editor(provider) as wire:
            return len((await wire.result("allma/search", {"query": "glacier"}))["passages"])

    async with asyncio.TaskGroup() as tasks:
        found = [tasks.create_task(one()) for _ in range(6)]
    assert {task.result() for task in found} == {found[0].result()} != {0}


# --- questions --------------------------------------------------------------------------------


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
        started, *chunks, sources = wire.chunks("p1")
        shown = await wire.result("allma/conversations/show", {"id": answer["conversationId"]})
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
        await wire.until(lambda: len(wire.chunks(1)) == 6)
        wire.notify("$/cancelRequest", {"id": id})
        assert (await wire.answer(id))["error"]["code"] == -32800
    assert all(len(chunk["text"].split()) > 1 for chunk in wire.chunks(1)[2:5])


async def test_chunks_are_custom_notifications_if_the_client_asks_for_them(
    provider: EngineProvider,
) -> None:
    async with editor(provider, options={"streamNotification": True}) as wire:
        asked = {"question": "How long is the glacier?", "partialResultToken": "p1"}
        answer = await wire.result("allma/ask", asked)
        told = [n["params"] for n in wire.notes if n["method"] == "allma/chunk"]
    assert {part["token"] for part in told} == {"p1"}
    assert "".join(part["text"] for part in told if part["kind"] == "chunk") == answer["text"]
    assert told[0]["kind"] == "started"
    assert told[-1]["kind"] == "sources"
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


# --- progress bars ----------------------------------------------------------------------------


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


# --- failures ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "argument", "code", "allma"),
    [
        ("allma.search", {}, -32602, "invalid_argument"),
        ("allma.search", {"query": "x", "queri": 1}, -32602, "invalid_argument"),
        ("allma.search", {"query": "x", "topK": "many"}, -32602, "invalid_argument"),
        ("allma.search", "glacier", -32602, "invalid_argument"),
        ("allma.search", {"query": "x", "workDoneToken": {}}, -32602, "invalid_argument"),
        ("allma.nothing", {}, -32602, "invalid_argument"),
        ("allma.cancel", {}, -32602, "invalid_argument"),
        ("allma.read", {"source": "/no/such"}, -32803, "document_not_found"),
        ("allma.ingest", {"paths": ["/no/such"]}, -32803, "path_not_found"),
        ("allma.ingest", {"paths": ["/"]}, -32803, "folder_not_allowed"),
        ("allma.models.show", {"name": "none"}, -32803, "model_not_found"),
    ],
)
async def test_an_expected_error_has_the_error_object(
    provider: EngineProvider, name: str, argument: Any, code: int, allma: str
) -> None:
    async with editor(provider) as wire:
        error = (await wire.answer(wire.begin_command(name, argument)))["error"]
        assert error["code"] == code
        assert set(error["data"]) == {"code", "message", "hint"}
        assert error["data"]["code"] == allma
        assert error["message"].startswith(error["data"]["message"])
        if isinstance(argument, dict) and name != "allma.nothing":
            again = (await wire.request(name.replace(".", "/", 1), argument))["error"]
            assert (again["code"], again["data"]["code"]) == (code, allma)


async def test_an_unexpected_error_reveals_no_details(
    provider: EngineProvider,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(*_: object) -> Any:
        raise RuntimeError("a secret")

    monkeypatch.setattr(engine.chat, "list", broken)
    async with editor(provider) as wire:
        answers = [
            await wire.request("allma/models/list"),
            await wire.answer(wire.begin_command("allma.models.list")),
        ]
        await wire.result("allma/search", {"query": "x"})
        notes = wire.notes
    assert {answer["error"]["code"] for answer in answers} == {-32603}
    assert "secret" not in json.dumps([answers, notes])
    assert "raceback" not in json.dumps([answers, notes])
    assert "a secret" in caplog.text


async def test_a_failure_to_open_the_engine_answers_each_request(
    provider: EngineProvider, tmp_path: Path
) -> None:
    from allma_server.errors import DataDirectoryBusy

    async def busy() -> Engine:
        raise DataDirectoryBusy("Somebody else has it.", "Wait for them.")

    async with editor(busy, folders=(str(tmp_path),)) as wire:
        error = (await wire.request("allma/status"))["error"]
        assert error["data"]["code"] == "data_directory_busy"
        note = await wire.note(lambda n: n["method"] == "window/logMessage")
        assert note["params"]["message"] == "Somebody else has it. Wait for them."


@pytest.mark.parametrize(
    ("body", "code", "id"),
    [
        (b"{nonsense", -32700, None),
        (b"[]", -32600, None),
        (b'{"id": 5, "method": "allma/status"}', -32600, 5),
        (b'{"jsonrpc": "2.0", "id": 5}', -32600, 5),
        (b'{"jsonrpc": "2.0", "id": [], "method": "allma/status"}', -32600, None),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "no/such"}', -32601, 5),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "initialize", "params": {}}', -32600, 5),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "allma/search", "params": 3}', -32602, 5),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "allma/search", "params": [1, 2]}', -32602, 5),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "workspace/executeCommand"}', -32602, 5),
        (WRONG_ARGUMENTS, -32602, 5),
        (WRONG_RANGE, -32602, 5),
    ],
    ids=lambda value: value[:70].decode() if isinstance(value, bytes) else None,
)
async def test_an_invalid_message_is_answered_and_the_next_one_is_served(
    provider: EngineProvider, body: bytes, code: int, id: int | None
) -> None:
    async with editor(provider) as wire:
        wire.writer.write(wire.frame(body))
        answer = await wire.answer(id)
        assert answer["error"]["code"] == code
        await wire.result("allma/status")


@pytest.mark.parametrize(
    "noise",
    [
        b"Content-Length: 3\r\n\r\n" + b'{"jsonrpc": "2.0", "id": 99, "method": "allma/status"}',
        b"Content-Length: many\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"X-Nothing: here\r\n\r\n",
    ],
)
async def test_a_wrong_content_length_is_answered_and_the_next_message_is_found(
    provider: EngineProvider, noise: bytes
) -> None:
    async with editor(provider) as wire:
        wire.writer.write(noise)
        assert (await wire.answer(None))["error"]["code"] == -32700
        await wire.result("allma/status")


async def test_headers_are_accepted_in_every_form_of_the_protocol(
    provider: EngineProvider,
) -> None:
    async with editor(provider) as wire:
        body = b'{"jsonrpc": "2.0", "id": "h", "method": "allma/status"}'
        header = b"content-type: application/vscode-jsonrpc\r\ncontent-length:%d\r\n\r\n"
        wire.writer.write(header % len(body) + body)
        assert (await wire.answer("h"))["result"]


async def test_a_message_over_the_limit_is_answered_and_skipped(
    provider: EngineProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing, "LARGEST_MESSAGE", 1000)
    async with editor(provider) as wire:
        wire.writer.write(wire.frame(b"x" * 300_000))
        assert (await wire.answer(None))["error"]["code"] == -32600
        await wire.result("allma/status")


async def test_requests_before_initialize_are_refused(provider: EngineProvider) -> None:
    async with raw(provider) as wire:
        assert (await wire.request("allma/status"))["error"]["code"] == -32002
        wire.notify("allma/nothing")
        assert (await wire.initialize())["serverInfo"]["name"] == "allma"


# --- settings ---------------------------------------------------------------------------------


async def test_settings_apply_to_the_requests_of_their_connection(provider: EngineProvider) -> None:
    async with editor(provider, options={"topK": 1, "model": "none"}) as wire:
        assert len((await wire.result("allma/search", {"query": "glacier water"}))["passages"]) == 1
        found = await wire.result("allma/search", {"query": "glacier water", "topK": 2})
        assert len(found["passages"]) == 2
        error = (await wire.request("allma/ask", {"question": "glacier?"}))["error"]
        assert error["data"]["code"] == "model_not_found"
        answer = await wire.result("allma/ask", {"question": "glacier?", "model": "echo"})
        assert answer["model"] == "echo"
        assert not shown(wire, "window/showMessage")


async def test_settings_are_requested_from_the_client_and_again_when_they_change(
    provider: EngineProvider,
) -> None:
    can = {
        "workspace": {
            "configuration": True,
            "didChangeConfiguration": {"dynamicRegistration": True},
            "didChangeWatchedFiles": {"dynamicRegistration": True},
        }
    }
    async with raw(provider) as wire:
        wire.replies["workspace/configuration"] = [
            {"topK": 1, "server": {"path": "x"}, "model": None}
        ]
        await wire.initialize(capabilities=can)
        await wire.until(lambda: len(wire.asked) == 2)
        registered = {r["method"] for r in wire.asked[0]["params"]["registrations"]}
        assert registered == {
            "workspace/didChangeWatchedFiles", "workspace/didChangeConfiguration"
        }  # fmt: skip
        await wire.result("allma/status")
        assert len((await wire.result("allma/search", {"query": "glacier ice"}))["passages"]) == 1
        wire.replies["workspace/configuration"] = [{"topK": 2}]
        wire.notify("workspace/didChangeConfiguration", {"settings": None})
        await wire.until(lambda: len(wire.asked) == 3)
        await wire.result("allma/status")
        assert len((await wire.result("allma/search", {"query": "glacier ice"}))["passages"]) == 2
        assert not shown(wire, "window/showMessage")


async def test_an_unset_setting_uses_the_server_s_value(
    provider: EngineProvider,
) -> None:
    async with raw(provider) as wire:
        wire.replies["workspace/configuration"] = [{"topK": None, "chatModel": ""}]
        can = {"workspace": {"configuration": True}}
        await wire.initialize(capabilities=can, options={"topK": 1, "chatModel": "none"})
        await wire.until(lambda: len(wire.asked) == 1)
        await wire.result("allma/status")
        assert len((await wire.result("allma/search", {"query": "glacier ice"}))["passages"]) > 1
        assert (await wire.result("allma/ask", {"question": "glacier?"}))["model"] == "echo"


async def test_auto_overrides_the_server_s_setting(
    engine: Engine, provider: EngineProvider
) -> None:
    config = engine.config.model_copy(update={"chat_model": "slow"})

    async def told() -> Engine:
        return replace(await provider(), settings=lambda: config)

    async with editor(told, options={"chatModel": "auto"}) as wire:
        assert (await wire.result("allma/ask", {"question": "glacier?"}))["model"] == "echo"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"topK": 3, "tpK": 3}, "Allma has no setting named 'tpK'. Did you mean 'topK'?"),
        ({"topK": "three"}, "The setting topK of Allma is a whole number."),
        ({"topK": 99}, "The setting topK of Allma is a whole number from 1 to 50."),
        ({"streamNotification": 1}, "The setting streamNotification of Allma is true or false."),
        (["topK"], "The settings of Allma are a JSON object."),
    ],
)
async def test_an_invalid_setting_is_reported_once(
    provider: EngineProvider, given: Any, complaint: str
) -> None:
    async with editor(provider, options=given) as wire:
        note = await wire.note(lambda n: n["method"] == "window/showMessage")
        assert note["params"] == {"type": 2, "message": complaint}
        await wire.result("allma/status")
        assert len(shown(wire, "window/showMessage")) == 1


async def test_a_conflicting_setting_of_the_data_directory_is_reported(
    provider: EngineProvider,
) -> None:
    async with editor(provider, options={"chunkSize": 500, "chunkOverlap": 200}) as wire:
        note = await wire.note(lambda n: n["method"] == "window/logMessage")
        assert "allma config set chunk_size 500" in note["params"]["message"]
        await wire.result("allma/status")
        assert len(shown(wire, "window/logMessage")) == 1


# --- folders and files ------------------------------------------------------------------------


async def indexed(wire: Frames, folder: Path) -> int:
    status = await wire.result("allma/status")
    return sum(w["documents"] for w in status["workspaces"] if w["path"] == str(folder))


async def test_relative_paths_are_resolved_against_the_editor_s_folder(
    provider: EngineProvider, tmp_path: Path
) -> None:
    (tmp_path / "bell.md").write_text("# Bell\n\nThe bell weighs nine tons.\n")
    async with editor(provider, folders=(str(tmp_path),)) as wire:
        await wire.result("allma/ingest", {"paths": ["."]})
        assert "nine tons" in (await wire.result("allma/read", {"source": "bell.md"}))["text"]
        await wire.result("allma/export", {"path": "copy.allma"})
        assert (tmp_path / "copy.allma").exists()
        await wire.result("allma/forget", {"path": str(tmp_path)})


@pytest.mark.parametrize("key", ["rootUri", "rootPath"])
@pytest.mark.parametrize("folders", [{}, {"workspaceFolders": None}, {"workspaceFolders": []}])
async def test_root_uri_and_root_path_count_as_a_workspace_folder(
    provider: EngineProvider, tmp_path: Path, key: str, folders: dict[str, Any]
) -> None:
    (tmp_path / "a.md").write_text("# Glacier\n\nOld ice.\n")
    root = tmp_path.as_uri() if key == "rootUri" else str(tmp_path)
    async with raw(provider) as wire:
        await wire.result(
            "initialize", {"processId": None, "capabilities": {}, key: root, **folders}
        )
        wire.notify("initialized")
        async with asyncio.timeout(20):
            while not await indexed(wire, tmp_path):
                pass
        await wire.result("allma/forget", {"path": str(tmp_path)})


async def test_added_folders_are_indexed_and_limit_searches_until_removed(
    provider: EngineProvider, engine: Engine, notes: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / f"{folder.name}.md").write_text(f"# Glacier\n\nThe {folder.name} ice.\n")

    async def found(wire: Frames) -> set[str]:
        passages = (await wire.result("allma/search", {"query": "glacier ice"}))["passages"]
        return {passage["workspace"] for passage in passages}

    async with editor(provider, folders=(str(first),), capabilities=BARS) as wire:
        async with asyncio.timeout(20):
            while not await indexed(wire, first):
                pass
        assert await found(wire) == {str(first)}
        added = {"uri": second.as_uri(), "name": "second"}
        wire.notify(
            "workspace/didChangeWorkspaceFolders", {"event": {"added": [added], "removed": []}}
        )
        async with asyncio.timeout(20):
            while not await indexed(wire, second):
                pass
        assert await found(wire) == {str(first), str(second)}
        removed = {"uri": first.as_uri(), "name": "first"}
        wire.notify(
            "workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": [removed]}}
        )
        assert await found(wire) == {str(second)}
        assert await indexed(wire, first)
        everywhere = await wire.result(
            "allma/search", {"query": "glacier ice", "workspace": "all", "topK": 20}
        )
        assert str(notes) in {p["workspace"] for p in everywhere["passages"]}
    for folder in (first, second):
        await BY_NAME["forget"](Call(engine, LOCAL), {"path": str(folder)})


async def test_folders_are_not_indexed_if_the_setting_is_off(
    provider: EngineProvider, tmp_path: Path, notes: Path
) -> None:
    (tmp_path / "a.md").write_text("# Glacier\n")
    options = {"indexWorkspaceFolders": False}
    async with editor(provider, folders=(str(tmp_path),), options=options) as wire:
        found = await wire.result("allma/search", {"query": "glacier"})
        assert {p["workspace"] for p in found["passages"]} == {str(notes)}
        assert not await indexed(wire, tmp_path)


async def test_a_refused_folder_is_reported_and_stops_no_request(provider: EngineProvider) -> None:
    async with editor(provider, folders=("/",)) as wire:
        note = await wire.note(lambda n: n["method"] == "window/logMessage")
        assert "/" in note["params"]["message"]
        assert (await wire.result("allma/search", {"query": "glacier"}))["passages"]
        assert not shown(wire, "window/showMessage")


async def test_a_saved_file_is_found_with_its_new_text(
    provider: EngineProvider, engine: Engine, notes: Path
) -> None:
    engine.ingestion.start_monitoring()
    path = notes / "saved.md"
    async with editor(provider) as wire:
        for word in ("penitentes", "sastrugi"):
            path.write_text(f"# {word}\n\nShapes of {word} in snow.\n")
            if word == "penitentes":
                change = {"uri": path.as_uri(), "type": 1}
                wire.notify("workspace/didChangeWatchedFiles", {"changes": [change]})
            else:
                wire.notify("textDocument/didSave", {"textDocument": {"uri": path.as_uri()}})
            async with asyncio.timeout(20):
                while True:
                    found = await wire.result("allma/search", {"query": word, "topK": 1})
                    if any(word in p["text"] for p in found["passages"]):
                        break
    path.unlink()


# --- documents and code actions ---------------------------------------------------------------


async def test_allma_documents_open_in_the_editor(provider: EngineProvider) -> None:
    async with editor(provider) as wire:
        answer = await wire.result("allma/ask", {"question": "How long is the glacier?"})
        uri = f"allma://conversation/{answer['conversationId']}.md"
        text = (await wire.result("workspace/textDocumentContent", {"uri": uri}))["text"]
        assert text.startswith("# How long is the glacier?")
        whole = await wire.result("allma/content", {"uri": uri})
        assert whole == {"uri": uri, "text": text, "mediaType": "text/markdown"}
        answered = await wire.result(
            "allma/content", {"uri": f"allma://answer/{answer['messageId']}.md"}
        )
        assert answer["text"] in answered["text"] and "glacier.md" in answered["text"]
        id = answer["citations"][0]["passage"]["documentId"]
        document = await wire.result("allma/content", {"uri": f"allma://document/{id}"})
        assert "Glacier" in document["text"] or "melt" in document["text"]
        error = (await wire.request("workspace/textDocumentContent", {"uri": "allma://x/y"}))[
            "error"
        ]
        assert error["data"]["code"] == "not_found"


def selection(kinds: list[str] | None = None, end: int = 2) -> Message:
    context: Message = {"diagnostics": []}
    if kinds is not None:
        context["only"] = kinds
    return {
        "textDocument": {"uri": "untitled:draft"},
        "range": {"start": {"line": 0, "character": 0}, "end": {"line": end, "character": 0}},
        "context": context,
    }


async def test_a_selection_can_be_explained_and_searched_for(provider: EngineProvider) -> None:
    literals = {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": []}}}
    text = "\N{SNOWFLAKE}\N{SNOWFLAKE} glacier\nlong\n"
    document = {"uri": "untitled:draft", "languageId": "text", "version": 1, "text": text}
    async with editor(provider, capabilities={"textDocument": {"codeAction": literals}}) as wire:
        assert await wire.result("textDocument/codeAction", selection()) == []
        wire.notify("textDocument/didOpen", {"textDocument": document})
        explain, relate = await wire.result("textDocument/codeAction", selection())
        assert explain["title"] == "Allma: explain selection"
        assert "glacier\nlong" in explain["command"]["arguments"][0]["question"]
        command = relate["command"]
        found = await wire.command(command["command"], command["arguments"][0])
        assert found["passages"]
        assert await wire.result("textDocument/codeAction", selection(["quickfix"])) == []
        assert len(await wire.result("textDocument/codeAction", selection(["allma"]))) == 2
        assert await wire.result("textDocument/codeAction", selection(end=0)) == []
        bad = selection(end=9999)
        assert len(await wire.result("textDocument/codeAction", bad)) == 2
    async with editor(provider) as wire:
        wire.notify("textDocument/didOpen", {"textDocument": document})
        [plain, _] = await wire.result("textDocument/codeAction", selection())
        assert plain["command"] == "allma.ask"


async def test_a_selection_uses_the_protocol_s_positions(
    provider: EngineProvider,
) -> None:
    text = "form\ffeed\u2028and\x85more\rmac\r\nwindows\nglacier\n"
    document = {"uri": "untitled:draft", "languageId": "text", "version": 1, "text": text}
    last = selection(end=4)
    last["range"]["start"]["line"] = 3
    change = {
        "range": {"start": {"line": 2, "character": 0}, "end": {"line": 2, "character": 7}},
        "text": "linux",
    }
    async with editor(provider) as wire:
        wire.notify("textDocument/didOpen", {"textDocument": document})
        [_, relate] = await wire.result("textDocument/codeAction", last)
        assert relate["arguments"] == [{"query": "glacier"}]
        wire.notify(
            "textDocument/didChange",
            {"textDocument": {"uri": "untitled:draft", "version": 2}, "contentChanges": [change]},
        )
        [_, relate] = await wire.result("textDocument/codeAction", selection(end=4))
        assert relate["arguments"] == [
            {"query": "form\ffeed\u2028and\x85more\rmac\r\nlinux\nglacier"}
        ]


async def test_a_process_is_detected_while_it_runs() -> None:
    assert parent_process.alive(os.getpid())
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await child.wait()
    assert not parent_process.alive(child.pid)
