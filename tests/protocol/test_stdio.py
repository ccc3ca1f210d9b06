"""The real program on real pipes: its start, its output and its exit."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from allma_server.config import LiveSettings
from allma_server.errors import UnknownSetting
from allma_server.protocols import stdio
from allma_server.protocols.framing import LARGEST_LINE
from allma_server.protocols.in_process import engine_on_demand
from allma_server.protocols.stdio import HIGH_WATER, MESSAGE_LIMIT, FdWriter, read_from
from tests.protocol.conftest import GLACIER
from tests.protocol.wire import Frames, Lines, envelope

PROGRAM = ("-m", "allma_server")
# A library that prints when it is imported, and a child process that does.
PRINTING = """
import os, subprocess, sys
from allma_server.protocols import stdio

take = stdio.open_stdio

def open_stdio():
    wire = take()
    print("stray text", flush=True)
    os.write(1, b"more stray text")
    subprocess.run([sys.executable, "-c", "print(7)"], check=True)
    sys.stdout.write("left in the buffer")
    return wire

stdio.open_stdio = open_stdio
from allma_server.__main__ import main

main()
"""


@asynccontextmanager
async def started(
    protocol: str, data: Path, *arguments: str, program: tuple[str, ...] = PROGRAM
) -> AsyncGenerator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *program,
        protocol,
        "--solo",
        "--data",
        str(data),
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=MESSAGE_LIMIT,
        env={
            **os.environ,  # noqa: TID251
            "ALLMA_EMBEDDER": "hashing/words-256",
            "ALLMA_CHAT_PROVIDER": "scripted",
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def lines(process: Process) -> Lines:
    assert process.stdin and process.stdout
    return Lines(process.stdout, process.stdin, seconds=60)


def frames(process: Process) -> Frames:
    assert process.stdin and process.stdout
    return Frames(process.stdout, process.stdin, seconds=60)


async def ended(process: Process, seconds: float = 30) -> int:
    async with asyncio.timeout(seconds):
        return await process.wait()


@pytest.mark.invariant(9)
async def test_mcp_writes_only_messages_and_ends_with_its_input(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "glacier.md").write_text(GLACIER)
    workspaces = ["--workspace", str(folder), "--workspace", "/", "--workspace", "/no/such"]
    async with started("mcp", tmp_path / "data", *workspaces, program=("-c", PRINTING)) as process:
        wire = lines(process)
        await wire.initialize()
        assert not (tmp_path / "data").exists()
        wire.writer.write(b"{nonsense\n")
        assert (await wire.answer(None))["error"]["code"] == -32700
        found = await wire.tool("search", query="glacier")
        assert [p["path"] for p in found["structuredContent"]["passages"]] == [
            str(folder / "glacier.md")
        ]
        assert "/no/such" in found["structuredContent"]["notice"]
        wrong = await wire.tool("search", query="glacier", top_k="many")
        assert wrong["isError"]
        wire.writer.close()
        assert await ended(process) == 0
        assert process.stdout and await process.stdout.read() == b""
        assert process.stderr
        said = await process.stderr.read()
        assert b"stray text" in said and b"Traceback" not in said


async def test_a_modern_mcp_client_is_served_after_a_line_over_the_limit(
    tmp_path: Path,
) -> None:
    async with started("mcp", tmp_path) as process:
        wire = lines(process)
        assert (await wire.result("server/discover", {"_meta": envelope()}))["supportedVersions"]
        wire.writer.write(b'{"id": 9, "x": "%b"}\n' % (b"x" * LARGEST_LINE))
        assert (await wire.answer(9))["error"]["code"] == -32600
        assert (await wire.result("server/discover", {"_meta": envelope()}))["supportedVersions"]
        wire.writer.close()
        assert await ended(process) == 0


async def test_opening_a_failed_engine_is_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"data_dir": tmp_path, "chat_provider": "scripted"}
    async with engine_on_demand(LiveSettings(settings)) as provider:
        monkeypatch.setenv("ALLMA_TOPK", "5")
        for _ in range(2):
            with pytest.raises(UnknownSetting, match="Did you mean 'top_k'?"):
                await provider()
        monkeypatch.delenv("ALLMA_TOPK")
        first, second = await asyncio.gather(provider(), provider())
        assert first is second and first.config.data_dir == tmp_path


async def test_a_crashed_engine_is_replaced(tmp_path: Path) -> None:
    async def fail() -> None:
        raise RuntimeError("a bug in a task of the engine")

    settings = {"data_dir": tmp_path, "chat_provider": "scripted"}
    async with engine_on_demand(LiveSettings(settings)) as provider:
        first = await provider()
        async with asyncio.timeout(20):
            first.tasks.create_task(fail())
            while (second := await provider()) is first:
                await first.vectors.status()
        assert await second.catalog.workspaces() == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("protocol", "names"), [("mcp", ("SIGTERM", "SIGINT")), ("lsp", ("SIGTERM", "SIGHUP"))]
)
async def test_a_signal_stops_it_cleanly_with_a_call_in_flight(
    protocol: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    async def one(number: signal.Signals) -> None:
        data = tmp_path / number.name
        async with started(protocol, data) as process:
            if protocol == "mcp":
                wire = lines(process)
                await wire.initialize()
                wire.begin_call("ask", token="t", question="x", model="slow")
                await wire.note(lambda note: note["method"] == "notifications/progress")
            else:
                wire = frames(process)
                await wire.initialize()
                asked = {"question": "x", "model": "slow", "partialResultToken": "t"}
                wire.begin("allma/ask", asked)
                await wire.until(lambda: bool(wire.chunks("t")))
            process.send_signal(number)
            began = time.monotonic()
            assert await ended(process) == 0
            assert time.monotonic() - began < 10
            assert process.stderr and b"Traceback" not in await process.stderr.read()
        # Closed, not left behind: the write-ahead log has been taken into the database.
        assert not list(data.glob("*-wal"))

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(one(signal.Signals[name]))


@pytest.mark.parametrize(("leave", "status"), [(True, 0), (False, 1)])
async def test_lsp_exits_with_the_status_of_the_protocol(
    tmp_path: Path, leave: bool, status: int
) -> None:
    async with started("lsp", tmp_path / "data", program=("-c", PRINTING)) as process:
        wire = frames(process)
        await wire.initialize(process_id=os.getpid())
        if leave:
            book = {"uri": "file:///book.md", "languageId": "markdown", "version": 1}
            opened = {"textDocument": book | {"text": "ice and water\n" * 400_000}}
            wire.notify("textDocument/didOpen", opened)
            large = await wire.result("allma/content", {"uri": "allma://status"})
            assert large["mediaType"] == "application/json"
            assert await wire.result("shutdown") is None
        wire.notify("exit")
        assert await ended(process) == status
        assert process.stdout and await process.stdout.read() == b""


async def test_requests_before_the_end_of_input_are_answered(tmp_path: Path) -> None:
    count = 500
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "glacier.md").write_text(GLACIER)
    async with started("mcp", tmp_path / "data", "--workspace", str(folder)) as process:
        wire = lines(process)
        await wire.initialize()
        await wire.tool("search", query="glacier")
        numbers = [
            wire.begin("tools/call", {"name": "search", "arguments": {"query": f"glacier {n}"}})
            for n in range(count)
        ]
        wire.writer.close()
        for number in numbers:
            assert not (await wire.answer(number))["result"]["isError"]
        assert await ended(process) == 0


async def test_writing_waits_for_a_client_that_does_not_read() -> None:
    source, sink = os.pipe()
    writer = FdWriter(sink, asyncio.get_running_loop())
    writer.write(b"x" * (2 * HIGH_WATER))
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(writer.drain())
        assert not (await asyncio.wait({waiting}, timeout=0.05))[0]
        reader = read_from(source, asyncio.get_running_loop())
        assert len(await reader.readexactly(2 * HIGH_WATER)) == 2 * HIGH_WATER
    writer.write(b"the last word")
    await asyncio.to_thread(writer.close)
    os.close(sink)
    assert await reader.read() == b"the last word"
    os.close(source)


async def test_the_last_words_to_a_slow_client_do_not_block_the_loop() -> None:
    source, sink = os.pipe()
    loop = asyncio.get_running_loop()

    async def serve(reader: asyncio.StreamReader, writer: stdio.Writer) -> int:
        writer.write(b"x" * HIGH_WATER)
        # Only the loop reads it: were the loop blocked, it would stay in the pipe.
        loop.call_later(0.1, read.set)
        return 0

    async def read_all() -> int:
        await read.wait()
        return len(await read_from(source, loop).readexactly(HIGH_WATER))

    read = asyncio.Event()
    null = os.open(os.devnull, os.O_RDONLY)
    began = loop.time()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read_all())
        ended = tasks.create_task(stdio._serve_until_signal(null, sink, serve, 10.0))
        await asyncio.wait({ended})
        assert reading.done() or loop.time() - began < 2.0
        await reading
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.remove_signal_handler(number)
    for descriptor in (source, sink, null):
        os.close(descriptor)


async def test_reading_limits_a_client_that_writes_too_fast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stdio, "MESSAGE_LIMIT", 1 << 12)
    source, sink = os.pipe()
    reader = read_from(source, asyncio.get_running_loop())
    total = 1 << 22
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(asyncio.to_thread(_write_all, sink, total))
        assert not (await asyncio.wait({writing}, timeout=0.1))[0]
        assert len(reader._buffer) < 1 << 18  # type: ignore[attr-defined]
        assert len(await reader.readexactly(total)) == total
    os.close(sink)
    assert await reader.read() == b""
    os.close(source)


def _write_all(fd: int, size: int) -> None:
    left = memoryview(b"x" * size)
    while left:
        left = left[os.write(fd, left) :]


async def test_the_mcp_handshake_needs_no_engine() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys, allma_server.protocols.mcp, allma_server.protocols.in_process\n"
        "heavy = {'allma_server.engine', 'allma_server.operations', 'numpy', 'aiosqlite'}\n"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)",
    )
    assert await ended(process) == 0


async def test_wrong_usage_is_reported_before_messages_are_written(tmp_path: Path) -> None:
    async with started("lsp", tmp_path, "--nonsense") as process:
        assert await ended(process) == 2
        assert process.stderr and b"--nonsense" in await process.stderr.read()
