"""Settings, folders and documents of an editor."""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.lsp import parent_process
from allma_server.types import LOCAL
from tests.protocol.editor import BARS, editor, indexed, raw, shown
from tests.protocol.wire import Frames, Message

pytestmark = pytest.mark.asyncio(loop_scope="module")


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

    async def reported() -> Engine:
        return replace(await provider(), settings=lambda: config)

    async with editor(reported, options={"chatModel": "auto"}) as wire:
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
        assert explain["title"] == "Ask Allma about this"
        assert "glacier\nlong" in explain["command"]["arguments"][0]["question"]
        command = relate["command"]
        assert (
            command["command"] == "allma.search" and "glacier" in command["arguments"][0]["query"]
        )
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
        assert relate["arguments"] == [{"query": "glacier", "show": True}]
        wire.notify(
            "textDocument/didChange",
            {"textDocument": {"uri": "untitled:draft", "version": 2}, "contentChanges": [change]},
        )
        [_, relate] = await wire.result("textDocument/codeAction", selection(end=4))
        assert relate["arguments"] == [
            {
                "query": "form\ffeed\u2028and\x85more\rmac\r\nlinux\nglacier",
                "show": True,
            }
        ]


async def test_a_process_is_detected_while_it_runs() -> None:
    assert parent_process.alive(os.getpid())
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await child.wait()
    assert not parent_process.alive(child.pid)
