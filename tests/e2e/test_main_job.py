"""The main job over stdio, against a real model behind the Ollama API.

One folder holds each format; it is indexed, searched and asked about by an AI client and by an
editor, over the program's own standard input and output.
"""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from allma_server.types import FORMATS
from tests.contract.test_reader import SAMPLES
from tests.e2e.program import program
from tests.protocol.wire import Frames

MODEL = "smollm2:135m"
SUFFIXES = {name: suffixes[0] for name, suffixes in FORMATS.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "every format"
    folder.mkdir()
    for name, sample in SAMPLES.items():
        (folder / f"{name}{SUFFIXES[name]}").write_bytes(sample())
    (folder / "harbour.md").write_text(
        "# Harbour\n\nThe harbour master of Port Ellis is Marta Quill. She has two boats.\n"
    )
    return folder


@pytest.fixture(autouse=True)
def settings(ollama: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_OLLAMA_URL", ollama)
    monkeypatch.setenv("ALLMA_EMBEDDER", "local/all-MiniLM-L6-v2-int7")
    monkeypatch.setenv("ALLMA_CHAT_MODEL", MODEL)


async def stopped_answers(ollama: str) -> int:
    """Wait until the model is idle, and return how many answers were stopped."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return (await client.get(f"{ollama}/test/idle")).raise_for_status().json()["stopped"]


@pytest.mark.timeout(180)
async def test_an_ai_client_does_the_main_job(folder: Path, ollama: str) -> None:
    async with program("mcp", "--solo") as (client, _):
        client.deadline = 120
        await client.initialize()
        report = (await client.tool("index", action="add", path=str(folder)))["structuredContent"]
        assert report["indexed"] == len(SAMPLES) + 1, report

        for name, suffix in SUFFIXES.items():
            found = await client.tool("search", query="needle in the haystack", path=f"*{suffix}")
            passage = found["structuredContent"]["passages"][0]
            assert "needle" in passage["text"] and passage["path"].endswith(name + suffix)
            assert passage["page"] == (1 if suffix in (".pdf", ".pptx") else None)
            lines = f"L{passage['start_line']}-L{passage['end_line']}"
            assert passage["uri"].endswith("#page=1" if passage["page"] else f"#{lines}")

        asking = client.begin_call(
            "ask", "t1", question="Who is the harbour master of Port Ellis?", top_k=1
        )
        answer = (await client.answer(asking))["result"]["structuredContent"]
        streamed = [n for n in client.notes if n["method"] == "notifications/progress"]
        assert answer["mode"] == "generated" and answer["model"] == MODEL
        assert len(streamed) > 1, "the answer came as it was made"
        assert answer["citations"][0]["passage"]["path"] == str(folder / "harbour.md")
        assert "Quill" in answer["text"], answer["text"]

        id = answer["conversation_id"]
        again = client.begin_call(
            "ask", None, question="How many boats?", conversation_id=id, top_k=1
        )
        assert (await client.answer(again))["result"]["structuredContent"]["conversation_id"] == id
        shown = await client.tool("conversations", action="show", id=id)
        roles = [m["role"] for m in shown["structuredContent"]["messages"]]
        assert roles == ["user", "assistant", "user", "assistant"]

        before = await stopped_answers(ollama)
        long = client.begin_call(
            "ask", "t2", question="Write a very long story about the sea.", use_rag=False
        )
        await client.note(
            lambda n: n["params"].get("progressToken") == "t2" and "message" in n["params"]
        )
        client.notify("notifications/cancelled", {"requestId": long, "reason": "enough"})
        assert await stopped_answers(ollama) > before
        await client.tool("status")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("as_command", [False, True], ids=["requests", "commands"])
async def test_an_editor_does_the_main_job(folder: Path, ollama: str, as_command: bool) -> None:
    async with program("lsp", "--solo", wire=Frames) as (client, _):
        client.deadline = 120
        await client.initialize()

        def begin(name: str, **arguments: Any) -> int:
            if as_command:
                return client.begin_command(f"allma.{name}", arguments)
            return client.begin(f"allma/{name}", arguments)

        async def do(name: str, **arguments: Any) -> Any:
            answer = await client.answer(begin(name, **arguments))
            assert "error" not in answer, answer
            return answer["result"]

        report = await do("ingest", paths=[str(folder)])
        assert report["indexed"] == len(SAMPLES) + 1, report
        found = await do("search", query="needle in the haystack", topK=3)
        assert "needle" in found["passages"][0]["text"]

        answer = await do(
            "ask",
            question="Who is the harbour master of Port Ellis?",
            topK=1,
            partialResultToken="t1",
        )
        chunks = client.chunks("t1")
        assert [c["kind"] for c in chunks][-1] == "sources" and len(chunks) > 2
        assert "Quill" in answer["text"]
        assert answer["citations"][0]["passage"]["startLine"] == 1

        before = await stopped_answers(ollama)
        long = begin(
            "ask",
            question="Write a very long story about the sea.",
            useRag=False,
            partialResultToken="t2",
        )
        await client.until(lambda: any("text" in chunk for chunk in client.chunks("t2")))
        client.notify("$/cancelRequest", {"id": long})
        assert (await client.answer(long))["error"]["code"] == -32800
        assert await stopped_answers(ollama) > before


@pytest.mark.timeout(120)
async def test_without_ollama_ask_returns_passages_and_stores_the_question(
    folder: Path, unused_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLMA_OLLAMA_URL", unused_url)
    async with program("mcp", "--solo") as (client, _):
        await client.initialize()
        await client.tool("index", action="add", path=str(folder))
        result = await client.tool("ask", question="Who is the harbour master?")
        answer = result["structuredContent"]
        assert answer["mode"] == "passages_only" and "ollama serve" in answer["text"]
        assert "Marta Quill" in json.dumps(result["content"])
        shown = await client.tool("conversations", action="show", id=answer["conversation_id"])
        assert shown["structuredContent"]["messages"][0]["content"] == "Who is the harbour master?"


async def test_a_missing_model_is_reported_with_the_next_step(folder: Path) -> None:
    async with program("mcp", "--solo") as (client, _):
        await client.initialize()
        result = await client.tool("ask", question="Who?", model="nobody:7b", use_rag=False)
        assert result["isError"] and "allma models pull nobody:7b" in result["content"][0]["text"]
