"""The shell's protocol over real sockets: many operations on one connection, and its end."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from allma_server.engine import Engine
from allma_server.errors import InvalidArgument, StorageError
from allma_server.operations import NullProgress
from allma_server.protocols import framing
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.shell.server import serve_shell
from allma_server.types import LOCAL, Answer, Citation, DocumentPage, SearchResult
from tests.protocol.wire import Frames, connected, shell

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Heard(NullProgress):
    def __init__(self) -> None:
        self.conversation = ""
        self.words = ""
        self.cited: list[Citation] = []

    async def started(self, conversation_id: str, message_id: str) -> None:
        self.conversation = conversation_id

    async def text(self, delta: str) -> None:
        self.words += delta

    async def sources(self, citations: object) -> None:
        self.cited = list(citations)  # type: ignore[call-overload]


@asynccontextmanager
async def raw(provider: EngineProvider) -> AsyncGenerator[Frames]:
    async with connected(partial(serve_shell, provider, client=ClientContext(LOCAL))) as (
        reader,
        writer,
        _,
    ):
        yield Frames(reader, writer)


async def test_many_operations_run_on_one_connection(provider: EngineProvider) -> None:
    async with shell(provider) as client:
        for _ in range(3):
            found = await client.run("search", {"query": "glacier", "top_k": 1})
            assert isinstance(found, SearchResult) and len(found.passages) == 1
            page = await client.run("documents", {"limit": 1})
            assert isinstance(page, DocumentPage) and page.next_cursor
            with pytest.raises(InvalidArgument):
                await client.run("search", {"query": ""})


async def test_an_answer_is_streamed_while_it_is_generated(provider: EngineProvider) -> None:
    heard = Heard()
    async with shell(provider) as client:
        answer = await client.run("ask", {"question": "How long is the glacier?"}, heard)
    assert isinstance(answer, Answer)
    assert heard.words.strip() == answer.text.strip()
    assert heard.conversation == answer.conversation_id
    assert heard.cited == answer.citations


async def test_pipelined_requests_are_all_answered(
    provider: EngineProvider,
) -> None:
    async with raw(provider) as wire:
        ids = [wire.begin("documents", {"limit": 1}) for _ in range(50)]
        for id in reversed(ids):
            assert (await wire.answer(id))["result"]["documents"]


async def test_closing_the_connection_stops_the_model(
    engine: Engine, provider: EngineProvider
) -> None:
    async with raw(provider) as wire:
        wire.begin("ask", {"question": "x " * 500, "model": "slow", "use_rag": False})
        await wire.note(lambda note: "text" in note["params"])
        assert engine.chat.generating == 1  # type: ignore[attr-defined]
    assert engine.chat.generating == 0  # type: ignore[attr-defined]


async def test_an_invalid_request_is_answered_and_the_next_one_is_served(
    provider: EngineProvider,
) -> None:
    async with raw(provider) as wire:
        for body in (b"{nonsense", b"[]", b'{"jsonrpc": "2.0", "id": {}, "method": "search"}'):
            wire.writer.write(wire.frame(body))
            assert (await wire.answer(None))["error"]["code"] < -32000
        wire.writer.write(b"Content-Length: none\r\n\r\n")
        assert (await wire.answer(None))["error"]["code"] == -32700
        assert "no operation" in (await wire.request("nothing"))["error"]["message"]
        assert "by name" in (await wire.request("search", ["x"]))["error"]["message"]
        assert await wire.result("models.list")


async def test_a_request_that_is_too_large_is_refused_with_the_limit(
    provider: EngineProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing, "LARGEST_MESSAGE", 10_000)
    async with raw(provider) as wire:
        answer = await wire.request("search", {"query": "x" * 20_000})
        assert "the limit is 10,000" in answer["error"]["message"]
        assert await wire.result("models.list")


async def test_an_engine_that_exits_meanwhile_is_reported(provider: EngineProvider) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    from allma_server.protocols.shell.client import shell_client

    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=theirs)
    async with asyncio.TaskGroup() as tasks, shell_client(ours) as client:
        tasks.create_task(leave(reader, writer))
        with pytest.raises(StorageError, match="Try again"):
            await client.run("status", {})


async def test_relative_paths_are_resolved_against_the_working_directory(
    provider: EngineProvider, notes: Path
) -> None:
    async with shell(provider, cwd=str(notes)) as client:
        assert "Aletsch" in (await client.run("read", {"source": "glacier.md"})).text
        assert (await client.run("sync", {"path": "."})).unchanged == 2
        found = await client.run("search", {"query": "ice", "path": "./*.py"})
        assert {p.path for p in found.passages} == {str(notes / "melt.py")}
        found = await client.run("search", {"query": "ice", "workspace": "."})
        assert found.passages
    async with shell(provider, cwd="/") as client:
        with pytest.raises(InvalidArgument, match="absolute path"):
            await client.run("export", {"path": "relative.allma"})


async def test_settings_of_the_client_apply_to_its_requests(provider: EngineProvider) -> None:
    async with shell(provider, defaults={"model": "broken", "top_k": 1}) as client:
        found = await client.run("search", {"query": "glacier water ice"})
        assert len(found.passages) == 1
        found = await client.run("search", {"query": "glacier water ice", "top_k": 2})
        assert len(found.passages) == 2
        answer = await client.run("ask", {"question": "Hello", "use_rag": False})
        assert answer.model == "broken"
