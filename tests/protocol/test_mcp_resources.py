"""Resources, prompts and completion of MCP."""

import json
from pathlib import Path

import pytest
from mcp.shared.exceptions import MCPError

from allma_server import __version__
from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.operations.text import LONGEST_TEXT
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.mcp import resources
from allma_server.types import LOCAL
from tests.protocol.ai_client import legacy, library
from tests.protocol.wire import Lines

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
