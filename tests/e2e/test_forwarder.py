"""The forwarder as a real process: each request is answered exactly once."""

import asyncio
import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from allma_server.protocols.framing import LARGEST_LINE
from tests.e2e.program import program
from tests.protocol.wire import Frames, Lines


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_EMBEDDER", "hashing/words-256")
    monkeypatch.setenv("ALLMA_CHAT_PROVIDER", "scripted")
    monkeypatch.setenv("ALLMA_VECTOR_STORE", "exact")


ODD: list[Any] = [
    {"method": "notifications/cancelled", "params": None},
    {"method": "notifications/cancelled", "params": []},
    {"method": "notifications/cancelled", "params": {"requestId": {"a": []}}},
    {"method": "notifications/initialized", "params": None},
    {"method": "workspace/didChangeWorkspaceFolders", "params": None},
    {"method": "workspace/didChangeWorkspaceFolders", "params": {"event": {"added": [3, {}]}}},
    {"method": "$/cancelRequest", "params": {"id": []}},
    {"method": ["x"]},
    {"id": [], "method": "ping"},
    {"id": {"a": 1}, "method": "ping"},
    {"id": None, "method": "ping"},
    {"id": [], "result": 1},
    {"id": "never asked", "result": 1},
    {"id": 10**30, "result": 1},
    {"id": None, "error": {"code": 1, "message": "x"}},
]
BYTES = [
    b"\xff\xfe\x00",
    b"[" * 10_000,
    b'{"jsonrpc": "2.0", "id": 1e999, "method": "ping"}',
    b"null",
    b"[1, 2]",
    b'"text"',
    b"{}",
]


@pytest.mark.parametrize(("protocol", "wire"), [("mcp", Lines), ("lsp", Frames)])
async def test_a_forwarder_survives_invalid_input(protocol: str, wire: Any) -> None:
    async with program(protocol, wire=wire) as (client, process):
        await client.initialize()
        for message in ODD:
            client.send({"jsonrpc": "2.0", **message})
        for body in BYTES:
            client.writer.write(client.frame(body))
        deep = b'{"jsonrpc": "2.0", "params": ' + b"[" * 10_000 + b"]" * 10_000 + b', "id": "deep"}'
        client.writer.write(client.frame(deep))
        assert "nested" in (await client.answer("deep"))["error"]["message"]
        batch = [{"jsonrpc": "2.0", "id": f"b{n}", "method": "ping"} for n in range(3)]
        client.writer.write(client.frame(json.dumps(batch).encode()))
        for n in range(3):
            assert "Batches" in (await client.answer(f"b{n}"))["error"]["message"]
        unknown = await client.request("no/such")
        assert unknown["error"]["code"] == -32601
        assert process.returncode is None


async def test_a_line_that_is_too_large_is_refused_with_the_limit() -> None:
    async with program("mcp") as (client, process):
        await client.initialize()
        text = b"x" * (3 * LARGEST_LINE)
        client.writer.write(b'{"method": "ping", "params": {"x": "%b"}, "id": "large"}\n' % text)
        error = (await client.answer("large"))["error"]
        assert "bytes; the limit is 16,777,216" in error["message"]
        assert await client.result("ping") == {}
        assert psutil.Process(process.pid).memory_info().rss < 150e6


async def test_missing_headers_and_impossible_lengths_do_not_stop_the_forwarder() -> None:
    async with program("lsp", wire=Frames) as (client, process):
        await client.initialize()
        client.writer.write(b"x" * 8_600_000 + b"\r\n\r\n")
        client.writer.write(b"Content-Length: 100000000000000000\r\n\r\n")
        assert (await client.answer(None))["error"]["code"] in (-32700, -32600)
        assert (await client.result("allma/status"))["pid"]
        assert psutil.Process(process.pid).memory_info().rss < 150e6


async def test_a_notification_that_is_sent_as_a_request_is_answered() -> None:
    async with program("lsp", wire=Frames) as (client, _):
        await client.initialize()
        for method in (
            "workspace/didChangeConfiguration",
            "initialized",
            "exit",
            "$/cancelRequest",
        ):
            answer = await client.request(method, {"settings": {}})
            assert "is a notification" in answer["error"]["message"]
        for method in ("initialize", "shutdown", "workspace/executeCommand"):
            client.notify(method)
        assert (await client.result("allma/status"))["pid"]


async def test_each_request_is_answered_once_when_the_daemon_dies_and_the_client_does_not_read(
    folder: Path,
) -> None:
    """The pipe to the client is full when the daemon is killed, and more requests come after it."""
    async with program("mcp") as (client, process):
        await client.initialize()
        await client.tool("index", action="add", path=str(folder))
        pid = (await client.tool("status"))["structuredContent"]["pid"]
        forwarder = psutil.Process(process.pid)
        before = [client.begin_call("search", query=f"salty sea {n}") for n in range(400)]
        await asyncio.to_thread(_until_quiet, forwarder)
        os.kill(pid, signal.SIGKILL)
        after = [client.begin_call("search", query=f"minerals {n}") for n in range(20)]
        client.begin("tools/list")
        answers: Counter[Any] = Counter()
        wanted = {*before, *after}
        async with asyncio.timeout(100):
            while not wanted <= answers.keys():
                message = await client.receive()
                assert message is not None
                if "method" not in message:
                    answers[message["id"]] += 1
                    assert "error" not in message, message
            # What is asked last is answered last: nothing comes twice until then.
            last = client.begin("ping")
            while last not in answers:
                message = await client.receive()
                assert message is not None
                answers[message["id"]] += 1
        assert {id: n for id, n in answers.items() if n > 1} == {}


def _until_quiet(process: psutil.Process) -> None:
    """Returns when a process has done nothing for a moment."""
    last, still = process.cpu_times(), 0
    while still < 5:
        process.cpu_percent(0.1)
        now = process.cpu_times()
        still = still + 1 if now == last else 0
        last = now


async def test_a_late_response_for_a_dead_daemon_is_not_passed_to_the_next_one() -> None:
    """The second daemon asks under the same numbers as the first."""
    async with program("mcp") as (client, _):
        await client.initialize(capabilities={"elicitation": {}})
        said = await client.tool("ask", question="One?", use_rag=False)
        id = said["structuredContent"]["conversation_id"]
        client.silent = True
        client.begin_call("conversations", action="delete", id=id)
        await client.until(lambda: len(client.asked) == 1)
        first = client.asked[0]
        os.kill(await _daemon_pid(client), signal.SIGKILL)
        await _daemon_pid(client)
        client.begin_call("conversations", action="delete", id=id)
        await client.until(lambda: len(client.asked) == 2)
        second = client.asked[1]
        assert second["id"] != first["id"]
        client.send({"jsonrpc": "2.0", "id": first["id"], "result": {"action": "accept"}})
        shown = await client.tool("conversations", action="list")
        assert shown["structuredContent"]["total"] == 1
        client.send({"jsonrpc": "2.0", "id": second["id"], "result": {"action": "accept"}})
        while (await client.tool("conversations", action="list"))["structuredContent"]["total"]:
            pass


async def _daemon_pid(client: Lines) -> int:
    return (await client.tool("status"))["structuredContent"]["pid"]
