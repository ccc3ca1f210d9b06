"""Many concurrent clients of both protocols and eras, while the searched files are edited.

    python -m tests.benchmarks.many_clients [--connections N] [--seconds S] [--files N] [--quick]

Every client searches and asks for so long; then the index must be what a fresh one is. One more
client only greets the daemon, again and again: how late its greeting is answered tells for how
long the daemon's event loop was held.
"""

import argparse
import asyncio
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

from allma_server.daemon.control import stop_daemon
from allma_server.daemon.link import connect, dial, greet
from allma_server.locations import socket_path
from tests.audit import differences, faults, fresh, snapshot
from tests.benchmarks.running import WORDS, Home, edit, grow, home, settled
from tests.protocol.wire import MODERN, Frames, Lines, Wire

META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}
PAUSE = 1.0
"""Seconds of thought between two calls of a client, on average."""


class Measured:
    """What all clients met."""

    def __init__(self) -> None:
        self.searches: list[float] = []
        self.asks: list[float] = []
        self.holds: list[float] = []
        self.errors: Counter[str] = Counter()
        self.edits = 0


class Client:
    """One connection; `kind` is mcp, modern (MCP without a handshake) or lsp."""

    def __init__(self, kind: str, wire: Any) -> None:
        self.kind = kind
        self.wire = wire

    @classmethod
    async def connected(cls, here: Home, kind: str) -> "Client":
        protocol = "lsp" if kind == "lsp" else "mcp"
        link = await asyncio.to_thread(connect, here.data, {"protocol": protocol})
        reader, writer = await asyncio.open_unix_connection(sock=link, limit=1 << 26)
        framing: type[Wire] = Frames if kind == "lsp" else Lines
        wire: Any = framing(reader, writer, seconds=120)
        if kind != "modern":
            await wire.initialize()
        return cls(kind, wire)

    async def call(self, name: str, **arguments: Any) -> Any:
        """The result; an AssertionError when there is none."""
        if self.kind == "lsp":
            return await self.wire.result(f"allma/{name}", arguments)
        params: dict[str, Any] = {"name": name, "arguments": arguments}
        if self.kind == "modern":
            params["_meta"] = META
        result = await self.wire.result("tools/call", params)
        assert not result.get("isError"), result["content"][0]["text"]
        return result["structuredContent"]

    async def leave(self) -> None:
        self.wire.writer.close()


async def use(client: Client, until: float, measured: Measured, chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(0, PAUSE))
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            if chance.random() < 0.7:
                found = await client.call("search", query=" ".join(chance.choices(WORDS, k=3)))
                assert found["passages"], "nothing was found"
                measured.searches.append(time.monotonic() - began)
            else:
                answer = await client.call("ask", question=f"What is {chance.choice(WORDS)}?")
                assert answer["citations"], "no sources"
                measured.asks.append(time.monotonic() - began)
        except (AssertionError, TimeoutError, OSError) as exc:
            measured.errors[f"{client.kind}: {type(exc).__name__}: {exc}"[:200]] += 1
        await asyncio.sleep(chance.uniform(0, 2 * PAUSE))


def greetings(
    place: Path, until: float, measured: Measured, over: Callable[[], bool] = lambda: False
) -> None:
    """In a thread of its own, so that this process's own loop is not what is measured."""
    while time.monotonic() < until and not over():
        began = time.monotonic()
        link = dial(place)
        assert isinstance(link, socket.socket)
        with link:
            assert greet(link, place, {"protocol": "control", "command": "status"}) is not None
        measured.holds.append(time.monotonic() - began)
        time.sleep(0.02)


async def edits(here: Home, until: float, measured: Measured, chance: random.Random) -> None:
    while time.monotonic() < until:
        await asyncio.to_thread(edit, here.folder, chance)
        measured.edits += 1
        await asyncio.sleep(chance.uniform(0, 0.3))


def line(name: str, seconds: list[float]) -> str:
    if len(seconds) < 2:
        return f"{name}: {len(seconds)}"
    cut = quantiles(seconds, n=100)
    return (f"{name}: {len(seconds)}, p50 {cut[49] * 1000:.0f} ms, p95 {cut[94] * 1000:.0f} ms, "
            f"most {max(seconds) * 1000:.0f} ms")  # fmt: skip


async def measure(connections: int, seconds: float, files: int, seed: int) -> int:
    chance = random.Random(seed)
    measured = Measured()
    async with home() as here:
        grow(here.folder, files, chance)
        owner = await Client.connected(here, "mcp")
        began = time.monotonic()
        await owner.call("index", action="add", path=str(here.folder))
        await settled(owner.wire, 900)
        print(f"{files} files indexed in {time.monotonic() - began:.1f} s", flush=True)
        began = time.monotonic()
        kinds = [("mcp", "modern", "lsp")[n % 3] for n in range(connections)]
        async with asyncio.TaskGroup() as group:
            coming = [group.create_task(Client.connected(here, kind)) for kind in kinds]
        clients = [task.result() for task in coming]
        print(f"{connections} connections in {time.monotonic() - began:.1f} s", flush=True)
        daemon = await here.daemon()
        memory = daemon.memory_info().rss / 1e6
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(use(client, until, measured, random.Random(chance.random())))
            group.create_task(edits(here, until, measured, chance))
            group.create_task(asyncio.to_thread(greetings, socket_path(here.data), until, measured))
        print(line("searches", measured.searches))
        print(line("answers", measured.asks))
        print(line("greetings", measured.holds))
        print(f"edits: {measured.edits}; the daemon's memory: {memory:.0f} MB before, "
              f"{daemon.memory_info().rss / 1e6:.0f} MB after")  # fmt: skip
        print(f"errors: {dict(measured.errors) or 'none'}", flush=True)
        try:
            await settled(owner.wire, 900)
        except AssertionError:
            for log in (*here.root.glob("run/allma/*.log"), here.data / "logs" / "allma.log"):
                print(log.name, log.read_text("utf-8")[-5000:])
            raise
        assert (await here.daemon()).pid == daemon.pid, "another daemon has come"
        index = await asyncio.to_thread(snapshot, here.data)
        wrong = differences(index, await fresh(here.config, [here.folder]))
        for client in (*clients, owner):
            await client.leave()
        await stop_daemon(here.data)
        left = await here.leftovers()
        wrong += await asyncio.to_thread(faults, here.data, vectors=True)
        print(f"audit of {len(index.documents)} documents, "
              f"{sum(map(len, index.chunks.values()))} chunks: {wrong[:5] or 'ok'}")  # fmt: skip
        print(f"left behind: {left or 'nothing'}")
    return bool(measured.errors or wrong or left)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="10 s and 1,000 files")
    o = parser.parse_args()
    if o.quick:
        o.seconds, o.files = 10, 1000
    sys.exit(asyncio.run(measure(o.connections, o.seconds, o.files, o.seed)))


if __name__ == "__main__":
    main()
