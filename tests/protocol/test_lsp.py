"""LSP, driven byte by byte: the life of a connection, and failures."""

import asyncio
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from allma_server import __version__
from allma_server.engine import Engine
from allma_server.operations import OPERATIONS
from allma_server.protocols import framing
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.lsp import parent_process, serve_lsp, workspace_sync
from allma_server.types import LOCAL
from tests.protocol.editor import begun, editor, raw
from tests.protocol.wire import Frames, connected

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRONG_ARGUMENTS = (
    b'{"jsonrpc": "2.0", "id": 5, "method": "workspace/executeCommand", '
    b'"params": {"command": "allma.status", "arguments": 7}}'
)
WRONG_RANGE = (
    b'{"jsonrpc": "2.0", "id": 5, "method": "textDocument/codeAction", "params": {"range": 7}}'
)


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
