"""Unsaved texts of an editor: what every client of the same user finds, reads and cites."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from allma_server.engine import Engine
from allma_server.errors import DocumentNotFound
from allma_server.indexing import unsaved
from allma_server.operations import BY_NAME, Call
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.lsp import unsaved_buffers
from allma_server.protocols.lsp.connection import Editor
from allma_server.types import LOCAL, RIGHTS, Passage, Principal
from tests.protocol.ai_client import legacy
from tests.protocol.editor import editor, shown
from tests.protocol.wire import Frames, Message

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAVED = "# Harbour\n\nThe crane lifts forty tons.\n\n# Tides\n\nHigh water is at noon.\n"
OTHER = Principal("guest", RIGHTS["admin"], user="guest")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsaved_buffers, "DELAY_SECONDS", 0.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Path:
    folder = tmp_path_factory.mktemp("harbour")
    (folder / "harbour.md").write_text(SAVED)
    (folder / "town.md").write_text("# Town\n\nThe town hall opens at nine.\n")
    (folder / "crane.py").write_text("def lift(tons):\n    return tons <= 40\n")
    await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(folder)]})
    return folder


@pytest_asyncio.fixture(loop_scope="module")
async def wire(provider: EngineProvider) -> AsyncGenerator[Frames]:
    async with editor(provider) as opened:
        yield opened


@pytest.fixture
def path(folder: Path) -> Iterator[Path]:
    path = folder / "harbour.md"
    yield path
    assert path.read_text() == SAVED, "the file was written"


def begin(wire: Frames, path: Path, text: str = SAVED, version: int = 1) -> None:
    document = {"uri": path.as_uri(), "languageId": "text", "version": version, "text": text}
    wire.notify("textDocument/didOpen", {"textDocument": document})


def edit(
    wire: Frames,
    path: Path,
    text: str,
    *,
    at: tuple[int, int, int, int] | None = None,
    version: int,
) -> None:
    """Replace the whole text, or what is from one line and character to another."""
    change: Message = {"text": text}
    if at is not None:
        start, end = {"line": at[0], "character": at[1]}, {"line": at[2], "character": at[3]}
        change["range"] = {"start": start, "end": end}
    document = {"uri": path.as_uri(), "version": version}
    params = {"textDocument": document, "contentChanges": [change]}
    wire.notify("textDocument/didChange", params)


async def search(
    engine: Engine, query: str, principal: Principal = LOCAL, **more: Any
) -> list[Any]:
    return (await BY_NAME["search"](Call(engine, principal), {"query": query, **more})).passages


async def until_found(engine: Engine, word: str, query: str = "") -> Passage:
    """The passage with a word, once it is found."""
    async with asyncio.timeout(20):
        while True:
            for passage in await search(engine, query or word):
                if word in passage.text:
                    return passage


async def until_gone(engine: Engine, word: str) -> None:
    async with asyncio.timeout(20):
        while any(word in passage.text for passage in await search(engine, word)):
            pass


async def test_every_client_finds_reads_and_cites_an_edit_until_it_is_undone_or_closed(
    wire: Frames, provider: EngineProvider, engine: Engine, path: Path
) -> None:
    begin(wire, path)
    edit(wire, path, "sixty", at=(2, 16, 2, 21), version=2)
    passage = await until_found(engine, "sixty", "What does the crane lift?")
    assert passage.unsaved and not passage.stale
    assert (passage.start_line, passage.end_line) == (1, 7)
    async with legacy(provider) as agent:
        text = (await agent.tool("search", query="crane lifts tons"))["content"][0]["text"]
        assert "lifts sixty tons" in text and "forty" not in text
        assert "[unsaved: the text of an open editor]" in text
        read = (await agent.tool("read", source=str(path)))["content"][0]["text"]
        assert "sixty tons" in read and "unsaved text of an open editor" in read
        chunk = (await agent.tool("read", source=str(passage.chunk_id)))["content"][0]["text"]
        assert "sixty tons" in chunk
        edit(wire, path, "forty", at=(2, 16, 2, 21), version=3)
        await until_gone(engine, "sixty")
        assert not (await until_found(engine, "forty", "crane lifts tons")).unsaved
        edit(wire, path, "ninety", at=(2, 16, 2, 21), version=4)
        await until_found(engine, "ninety")
        wire.notify("textDocument/didClose", {"textDocument": {"uri": path.as_uri()}})
        await until_gone(engine, "ninety")
        read = (await agent.tool("read", source=str(path)))["content"][0]["text"]
        assert "forty" in read and "unsaved" not in read


async def test_an_answer_keeps_its_quote_marked_and_nothing_else_is_stored(
    wire: Frames, engine: Engine, path: Path
) -> None:
    begin(wire, path)
    edit(wire, path, "# Harbour\n\nThe pilot boards at buoy seven.\n", version=2)
    await until_found(engine, "buoy")
    database = engine.config.data_dir / "allma.sqlite3"
    assert not _stored(database, "buoy")
    answer = await BY_NAME["ask"](Call(engine, LOCAL), {"question": "Where does the pilot board?"})
    cited = [c.passage for c in answer.citations if "buoy seven" in c.passage.text]
    assert cited and cited[0].unsaved
    wire.notify("textDocument/didClose", {"textDocument": {"uri": path.as_uri()}})
    await until_gone(engine, "buoy")
    kept = await BY_NAME["conversations.show"](Call(engine, LOCAL), {"id": answer.conversation_id})
    [source] = [s for s in kept.messages[1].sources if "buoy seven" in s.text]
    assert source.unsaved
    exported = await BY_NAME["conversations.export"](
        Call(engine, LOCAL), {"id": answer.conversation_id}
    )
    assert "harbour.md`:1-3 (Harbour), unsaved" in exported.markdown
    assert _stored(database, "buoy") <= {"message_sources", "messages"}


def _stored(database: Path, word: str) -> set[str]:
    """The tables that contain a word."""
    with sqlite3.connect(database) as db:
        names = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    db.close()
    return {name for name, found in rows.items() if word in str(found)}


async def test_another_user_never_sees_it(wire: Frames, engine: Engine, path: Path) -> None:
    begin(wire, path)
    edit(wire, path, "sixty", at=(2, 16, 2, 21), version=2)
    await until_found(engine, "sixty")
    found = await search(engine, "crane lifts tons", OTHER)
    assert any("forty" in passage.text for passage in found)
    assert not any(passage.unsaved or "sixty" in passage.text for passage in found)
    read = await BY_NAME["read"](Call(engine, OTHER), {"source": str(path)})
    assert "forty" in read.text and read.source == "disk"


async def test_a_chunk_that_is_gone_is_said_to_be_gone(
    wire: Frames, engine: Engine, path: Path
) -> None:
    begin(wire, path)
    edit(wire, path, "sixty", at=(2, 16, 2, 21), version=2)
    passage = await until_found(engine, "sixty")
    wire.notify("textDocument/didClose", {"textDocument": {"uri": path.as_uri()}})
    await until_gone(engine, "sixty")
    with pytest.raises(DocumentNotFound, match="search again"):
        await BY_NAME["read"](Call(engine, LOCAL), {"source": str(passage.chunk_id)})


async def test_scopes_hold_for_it(wire: Frames, engine: Engine, path: Path, notes: Path) -> None:
    begin(wire, path)
    edit(wire, path, "sixty", at=(2, 16, 2, 21), version=2)
    await until_found(engine, "sixty")
    assert not any(p.unsaved for p in await search(engine, "sixty", path="*.py"))
    assert not any(p.unsaved for p in await search(engine, "sixty", workspace=str(notes)))
    assert any(p.unsaved for p in await search(engine, "sixty", path="harbour.*"))


async def test_deleting_everything_hides_the_saved_text(
    wire: Frames, engine: Engine, path: Path
) -> None:
    begin(wire, path)
    edit(wire, path, "", version=2)
    await until_gone(engine, "crane lifts")


async def test_code_is_found_by_the_words_of_an_edit(
    wire: Frames, engine: Engine, folder: Path
) -> None:
    path = folder / "crane.py"
    begin(wire, path, path.read_text())
    edit(wire, path, "def hoist_container(tons):\n    return tons <= 60\n", version=2)
    assert (await until_found(engine, "hoist_container")).unsaved


async def test_secrets_in_it_are_masked(wire: Frames, engine: Engine, path: Path) -> None:
    begin(wire, path)
    secret = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0hJ3kL6"
    edit(wire, path, f"# Lighthouse\n\nThe lighthouse token is {secret} today.\n", version=2)
    passage = await until_found(engine, "ighthouse", "lighthouse token")
    assert passage.unsaved and secret not in passage.text
    read = await BY_NAME["read"](Call(engine, LOCAL), {"source": str(path)})
    assert read.source == "unsaved" and secret not in read.text


@pytest.mark.parametrize("name", ["outside/notes.md", "harbour/.env", "harbour/ignored.md"])
async def test_a_file_that_is_not_indexed_is_not_taken_over(
    wire: Frames, engine: Engine, folder: Path, tmp_path: Path, name: str
) -> None:
    (folder / ".gitignore").write_text("ignored.md\n")
    path = (tmp_path if name.startswith("outside") else folder) / Path(name).name
    path.write_text("SALT=none\n")
    begin(wire, path, "# Anchor\n\nThe anchor chain is rusty.\n")
    begin(wire, folder / "town.md", "# Town\n\nThe ferry leaves at dawn.\n")
    await until_found(engine, "ferry")  # what was opened later
    assert not any("anchor" in p.text for p in await search(engine, "anchor chain rusty"))
    path.unlink()
    (folder / ".gitignore").unlink()


async def test_a_file_that_was_ignored_later_is_dropped(
    wire: Frames, engine: Engine, folder: Path, path: Path
) -> None:
    begin(wire, path)
    edit(wire, path, "sixty", at=(2, 16, 2, 21), version=2)
    await until_found(engine, "sixty")
    (folder / ".gitignore").write_text("harbour.md\n")
    try:
        edit(wire, path, "ninety", at=(2, 16, 2, 21), version=3)
        await until_gone(engine, "sixty")
        assert not any("ninety" in p.text for p in await search(engine, "ninety"))
        await wire.note(lambda note: "ignore file" in str(note["params"]))
    finally:
        (folder / ".gitignore").unlink()


async def test_an_edit_out_of_order_drops_the_text_until_it_is_whole_again(
    wire: Frames, engine: Engine, path: Path
) -> None:
    begin(wire, path, version=5)
    edit(wire, path, "sixty", at=(2, 16, 2, 21), version=7)
    await until_found(engine, "sixty")
    edit(wire, path, "fifty", at=(2, 16, 2, 21), version=6)
    await until_gone(engine, "sixty")
    assert not any(p.unsaved for p in await search(engine, "fifty"))
    edit(wire, path, SAVED.replace("forty", "eighty"), version=8)
    await until_found(engine, "eighty")


async def test_an_edit_right_after_a_save_is_found(
    wire: Frames, engine: Engine, path: Path
) -> None:
    begin(wire, path)
    edit(wire, path, "sixty", at=(2, 16, 2, 21), version=2)
    await until_found(engine, "sixty")
    wire.notify("textDocument/didSave", {"textDocument": {"uri": path.as_uri()}})
    edit(wire, path, "ninety", at=(2, 16, 2, 21), version=3)
    assert (await until_found(engine, "ninety")).unsaved


async def test_nothing_is_taken_over_when_the_editor_has_ended(
    provider: EngineProvider, engine: Engine, path: Path
) -> None:
    async with asyncio.TaskGroup() as background:
        opened = Editor(provider, cast(Any, None), ClientContext(LOCAL), background)
        buffers = unsaved_buffers.UnsavedBuffers(opened, background)
        buffers.changed(path.as_uri())
        buffers.close()
        buffers.changed(path.as_uri())
    assert engine.ingestion.unsaved.seen_by(LOCAL) == []


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ((2, 16, 2, 99999), "# Harbour\n\nThe crane lifts \N{SNOWFLAKE}\n\n# Tides"),
        ((99, 0, 99, 5), "noon.\n\N{SNOWFLAKE}"),
        ((2, 21, 2, 16), "The crane lifts \N{SNOWFLAKE} tons."),
        ((6, 5, 99, 0), "High \N{SNOWFLAKE}"),
    ],
)
async def test_positions_beyond_the_text_are_its_end(
    wire: Frames, engine: Engine, path: Path, at: tuple[int, int, int, int], expected: str
) -> None:
    begin(wire, path)
    edit(wire, path, "\N{SNOWFLAKE}", at=at, version=2)
    async with asyncio.timeout(20):
        while expected not in (await _text(engine, path)):
            pass


async def _text(engine: Engine, path: Path) -> str:
    return (await BY_NAME["read"](Call(engine, LOCAL), {"source": str(path)})).text


@pytest.mark.parametrize("line", [-1, "two", None])
async def test_an_edit_that_cannot_be_read_drops_the_text(
    wire: Frames, engine: Engine, path: Path, line: Any
) -> None:
    begin(wire, path)
    edit(wire, path, "sixty", at=(2, 16, 2, 21), version=2)
    await until_found(engine, "sixty")
    edit(wire, path, "ninety", at=(line, 16, 2, 21), version=3)
    await until_gone(engine, "sixty")
    assert not any("ninety" in p.text for p in await search(engine, "ninety"))


async def test_an_edit_of_a_document_that_is_not_open_is_ignored(
    wire: Frames, engine: Engine, path: Path
) -> None:
    edit(wire, path, "sixty", version=2)
    begin(wire, path)
    edit(wire, path, "ninety", at=(2, 16, 2, 21), version=3)
    await until_found(engine, "ninety")


async def test_a_buffer_of_eight_megabytes_is_searched_as_it_was_saved(
    wire: Frames, engine: Engine, path: Path
) -> None:
    begin(wire, path)
    edit(wire, path, "sixty", at=(2, 16, 2, 21), version=2)
    await until_found(engine, "sixty")
    edit(wire, path, "The crane lifts sixty tons of coal.\n" * 240_000, version=3)
    edit(wire, path, "x", at=(239_999, 3, 239_999, 4), version=4)
    await wire.note(lambda note: note["method"] == "window/logMessage")
    assert f"{unsaved.MAX_CHARACTERS:,} characters" in shown(wire, "window/logMessage")[-1]
    await until_gone(engine, "sixty")
    assert any("forty" in passage.text for passage in await search(engine, "crane lifts tons"))


async def test_the_latest_of_two_editors_counts_and_each_only_while_it_is_open(
    wire: Frames, provider: EngineProvider, engine: Engine, path: Path
) -> None:
    begin(wire, path)
    edit(wire, path, "sixty", at=(2, 16, 2, 21), version=2)
    await until_found(engine, "sixty")
    async with editor(provider) as other:
        begin(other, path)
        edit(other, path, "ninety", at=(2, 16, 2, 21), version=2)
        await until_found(engine, "ninety")
        await until_gone(engine, "sixty")
    await until_found(engine, "sixty")
    await until_gone(engine, "ninety")


async def test_passages_of_an_edit_are_joined_and_explained(
    wire: Frames, engine: Engine, path: Path
) -> None:
    begin(wire, path)
    sentences = "".join(f"Mooring rule {n} of the marina is about ropes.\n" for n in range(200))
    edit(wire, path, f"# Marina\n\n{sentences}", version=2)
    await until_found(engine, "Mooring")
    found = await search(engine, "mooring rule 100 of the marina", top_k=5)
    assert all(passage.unsaved for passage in found if passage.path == str(path))
    explained = await BY_NAME["explain"](Call(engine, LOCAL), {"query": "mooring rule marina"})
    assert any(each.passage.unsaved for each in explained.candidates)


# The last one: from here on, the index follows the disk.
async def test_a_save_drops_the_text_and_the_index_takes_over(
    wire: Frames, engine: Engine, folder: Path
) -> None:
    engine.ingestion.start_monitoring()
    path, text = folder / "town.md", "# Town\n\nThe town hall opens at eleven.\n"
    begin(wire, path, path.read_text())
    edit(wire, path, text, version=2)
    assert (await until_found(engine, "eleven")).unsaved
    path.write_text(text)
    wire.notify("textDocument/didSave", {"textDocument": {"uri": path.as_uri()}})
    async with asyncio.timeout(20):
        while (await until_found(engine, "eleven")).unsaved:
            pass
