"""Unsaved text of an editor process, found by the process of an AI client."""

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.program import program
from tests.protocol.wire import Frames, Lines
from tests.seeds import seeds

EDITS = len(seeds(300, 10_000))
MAX_GROWTH = 4 << 20
"""Bytes; forty thousand edits were measured to take less than one."""
FIRST, SECOND = {"line": 0, "character": 0}, {"line": 1, "character": 0}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_EMBEDDER", "hashing/words-256")
    monkeypatch.setenv("ALLMA_CHAT_PROVIDER", "scripted")
    monkeypatch.setenv("ALLMA_VECTOR_STORE", "exact")


def change(editor: Frames, path: Path, version: int, text: str, line: int, width: int) -> None:
    start, end = {"line": line, "character": 0}, {"line": line, "character": width}
    content = {"range": {"start": start, "end": end}, "text": text}
    document = {"uri": path.as_uri(), "version": version}
    params = {"textDocument": document, "contentChanges": [content]}
    editor.notify("textDocument/didChange", params)


async def until(agent: Lines, word: str, *, found: bool = True) -> None:
    async with asyncio.timeout(20):
        while True:
            answer: dict[str, Any] = await agent.tool("search", query=word, path="sea.md")
            if (word in answer["content"][0]["text"]) is found:
                return


@pytest.mark.seeds
async def test_an_edit_is_found_until_it_is_undone_and_edits_keep_no_memory(folder: Path) -> None:
    path = folder / "sea.md"
    saved = path.read_text()
    async with program("mcp") as (agent, _), program("lsp", wire=Frames) as (editor, _):
        await agent.initialize()
        await editor.initialize()
        await agent.tool("index", action="add", path=str(folder))
        document = {"uri": path.as_uri(), "languageId": "markdown", "version": 1, "text": saved}
        editor.notify("textDocument/didOpen", {"textDocument": document})
        change(editor, path, 2, "barnacles\n", 0, 0)
        await until(agent, "barnacles")
        undone = {"range": {"start": FIRST, "end": SECOND}, "text": ""}
        params = {"textDocument": {"uri": path.as_uri(), "version": 3}, "contentChanges": [undone]}
        editor.notify("textDocument/didChange", params)
        await until(agent, "barnacles", found=False)

        editor.notify("textDocument/didOpen", {"textDocument": document})
        daemon = psutil.Process((await editor.result("allma/status"))["pid"])
        before = 0
        for number in range(EDITS):
            change(editor, path, number + 2, f"word{number:05}", 0, 9 if number else 0)
            if number == EDITS // 10:
                await until(agent, f"word{number:05}")
                before = daemon.memory_info().rss
            if number % 100 == 0:
                await editor.writer.drain()
        await until(agent, f"word{EDITS - 1:05}")
        assert daemon.memory_info().rss - before < MAX_GROWTH
        editor.notify("textDocument/didClose", {"textDocument": {"uri": path.as_uri()}})
        await until(agent, f"word{EDITS - 1:05}", found=False)
    assert path.read_text() == saved
