"""An editor without a plugin: search in its picker of symbols, code actions, `allma:` documents."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.types import LOCAL
from tests.protocol.editor import editor, raw, shown
from tests.protocol.wire import Frames, Message

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAIN: Message = {
    "workspace": {"symbol": {}},
    "textDocument": {"hover": {}, "documentLink": {}, "codeAction": {}},
}
ABLE: Message = PLAIN | {
    "workspace": {"symbol": {}, "textDocumentContent": {}},
    "window": {"showDocument": {"support": True}},
}
PAGE = "<html><body><h1>Firn</h1><p>Firn is snow of last year.</p></body></html>"


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def page(engine: Engine, notes: Path) -> AsyncGenerator[Path]:
    """A document whose passages have no lines in its file."""
    path = notes / "firn.html"
    path.write_text(PAGE)
    await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(notes)]})
    yield path


async def symbols(wire: Frames, query: str) -> list[Message]:
    return await wire.result("workspace/symbol", {"query": query})


async def test_what_the_client_has_no_use_for_is_not_offered(provider: EngineProvider) -> None:
    documents = {"hoverProvider", "documentLinkProvider"}
    for capabilities, offered in (
        ({}, set[str]()),
        (PLAIN, {"workspaceSymbolProvider"}),
        (ABLE, documents | {"workspaceSymbolProvider"}),
    ):
        async with raw(provider) as wire:
            can = (await wire.initialize(capabilities=capabilities))["capabilities"]
        assert can.keys() & (documents | {"workspaceSymbolProvider"}) == offered


async def test_words_find_lines_and_headings(provider: EngineProvider, notes: Path) -> None:
    async with editor(provider, capabilities=PLAIN) as wire:
        [first, *_] = await symbols(wire, "melt water riv")
        assert first["name"] == "Its melt water feeds the river Rhone."
        assert first["containerName"].startswith("glacier.md")
        assert first["location"]["uri"] == (notes / "glacier.md").as_uri()
        assert first["location"]["range"]["start"] == {"line": 6, "character": 0}
        assert any(each["name"] == "def melt(ice):" for each in await symbols(wire, "def melt"))


@pytest.mark.parametrize("query", ["", "  ", "*", "the"])
async def test_a_query_without_words_finds_no_symbols(provider: EngineProvider, query: str) -> None:
    async with editor(provider, capabilities=PLAIN) as wire:
        assert await symbols(wire, query) == []


async def test_symbols_come_from_the_folders_of_the_editor(
    provider: EngineProvider, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "other.md").write_text("# Glacier\n\nAnother glacier.\n")
    await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(tmp_path)]})
    async with editor(provider, capabilities=PLAIN, folders=(str(tmp_path),)) as wire:
        found = {each["location"]["uri"] for each in await symbols(wire, "glacier")}
        assert found == {(tmp_path / "other.md").as_uri()}
    await BY_NAME["forget"](Call(engine, LOCAL), {"path": str(tmp_path)})


async def test_a_document_without_lines_opens_as_its_text_where_the_editor_can(
    provider: EngineProvider, page: Path
) -> None:
    async with editor(provider, capabilities=PLAIN) as wire:
        [found, *_] = await symbols(wire, "snow of last year")
        assert found["location"]["uri"] == page.as_uri()
    async with editor(provider, capabilities=ABLE) as wire:
        [found, *_] = await symbols(wire, "snow of last year")
        location = found["location"]
        assert location["uri"].startswith("allma://document/")
        text = (await wire.result("workspace/textDocumentContent", {"uri": location["uri"]}))[
            "text"
        ]
        assert "snow of last year" in text


async def test_the_next_search_ends_the_one_in_progress(provider: EngineProvider) -> None:
    async with editor(provider, capabilities=PLAIN) as wire:
        ids = [wire.begin("workspace/symbol", {"query": "glacier"[:n]}) for n in range(3, 8)]
        answers = [await wire.answer(id) for id in ids]
        assert {answer["error"]["code"] for answer in answers[:-1]} == {-32801}
        assert answers[-1]["result"]


async def test_citations_of_an_answer_are_links_with_hovers(
    provider: EngineProvider, notes: Path
) -> None:
    async with editor(provider, capabilities=ABLE) as wire:
        asked = await wire.result("allma/ask", {"question": "How long is the glacier?"})
        for uri in (
            f"allma://answer/{asked['messageId']}.md",
            f"allma://conversation/{asked['conversationId']}.md",
        ):
            document = {"textDocument": {"uri": uri}}
            text = (await wire.result("workspace/textDocumentContent", {"uri": uri}))["text"]
            links = await wire.result("textDocument/documentLink", document)
            listed = [link for link in links if "glacier.md" in link["target"]][-1]
            at = listed["range"]["start"]
            line = text.split("\n")[at["line"]]
            assert line.startswith("1. `") and str(notes) in line
            hover = await wire.result("textDocument/hover", {**document, "position": at})
            assert hover["contents"]["kind"] == "plaintext"
            assert "Aletsch" in hover["contents"]["value"] or "Rhone" in hover["contents"]["value"]
            top = {**document, "position": {"line": 0, "character": 0}}
            assert await wire.result("textDocument/hover", top) is None
        other = {"textDocument": {"uri": (notes / "glacier.md").as_uri()}}
        assert await wire.result("textDocument/documentLink", other) is None


def document(text: str) -> Message:
    return {"uri": "untitled:draft", "languageId": "text", "version": 1, "text": text}


async def chosen_action(wire: Frames, title: str) -> Any:
    """Run a code action on a selection as an editor does; return the answer to its command."""
    wire.notify("textDocument/didOpen", {"textDocument": document("glacier water\n")})
    params = {
        "textDocument": {"uri": "untitled:draft"},
        "range": {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}},
        "context": {"diagnostics": []},
    }
    actions = await wire.result("textDocument/codeAction", params)
    [command] = [each for each in actions if each["title"] == title]
    return await wire.command(command["command"], command["arguments"][0])


async def test_an_answer_is_shown_as_a_document_or_a_message(provider: EngineProvider) -> None:
    async with editor(provider, capabilities=ABLE) as wire:
        wire.replies["window/showDocument"] = {"success": True}
        assert await chosen_action(wire, "Ask Allma about this") is None
        await wire.until(lambda: any(a["method"] == "window/showDocument" for a in wire.asked))
        assert wire.asked[-1]["params"]["uri"].startswith("allma://answer/")
    async with editor(provider, capabilities=PLAIN) as wire:
        await chosen_action(wire, "Ask Allma about this")
        await wire.note(lambda note: note["method"] == "window/showMessage")
        assert shown(wire, "window/showMessage")[0].startswith("You asked: Explain this selection")


async def test_a_related_passage_is_chosen_and_opened(
    provider: EngineProvider, notes: Path
) -> None:
    async with editor(provider, capabilities=ABLE) as wire:
        found = await wire.result("allma/search", {"query": "glacier water"})
        wire.silent = True
        await chosen_action(wire, "Find related passages")
        await wire.until(lambda: bool(wire.asked))
        [question] = wire.asked
        first = question["params"]["actions"][0]
        assert first["title"].startswith("1. glacier.md:")
        wire.send({"jsonrpc": "2.0", "id": question["id"], "result": first})
        await wire.until(lambda: len(wire.asked) == 2)
        opened = wire.asked[1]["params"]
        assert opened["uri"] == (notes / "glacier.md").as_uri()
        assert opened["selection"]["start"]["line"] == found["passages"][0]["startLine"] - 1


@pytest.mark.parametrize("refused", [set[str](), {"window/showMessageRequest"}])
async def test_related_passages_are_a_message_where_the_editor_cannot_ask(
    provider: EngineProvider, refused: set[str]
) -> None:
    async with editor(provider, capabilities=ABLE if refused else PLAIN) as wire:
        wire.refused = refused
        await chosen_action(wire, "Find related passages")
        await wire.note(lambda note: note["method"] == "window/showMessage")
        assert "glacier.md:" in shown(wire, "window/showMessage")[0]


async def test_a_failure_of_a_code_action_is_shown(provider: EngineProvider) -> None:
    async with editor(provider, capabilities=PLAIN) as wire:
        await wire.command("allma.search", {"query": " ", "show": True})
        await wire.note(lambda note: note["method"] == "window/showMessage")
        assert "empty" in shown(wire, "window/showMessage")[0]
