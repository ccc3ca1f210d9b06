"""A running engine during its first index and in rest after it.

    python -m tests.benchmarks.first_index [--files N]

One client has real sources indexed with the embedded model; another searches all the while, and a
third only greets the daemon: how late its greeting is answered tells for how long the daemon's
event loop was held. Each figure is shown beside the same one at rest.
"""

import argparse
import asyncio
import time

import psutil

from allma_server.locations import socket_path
from tests.benchmarks.ingest import EMBEDDER, QUERIES, sample
from tests.benchmarks.many_clients import Client, Measured, greetings, line
from tests.benchmarks.running import Home, home, settled

REST_SECONDS = 20.0
READERS_SECONDS = 35.0


async def searches(client: Client, seconds: list[float], over: asyncio.Event) -> None:
    number = 0
    while not over.is_set():
        began = time.monotonic()
        await client.call("search", query=f"{QUERIES[number % len(QUERIES)]} {number}")
        seconds.append(time.monotonic() - began)
        number += 1
        await asyncio.sleep(0.1)


async def measured(here: Home, client: Client, until: asyncio.Event, seconds: float) -> None:
    """Searches and greets until the event, or for so long; prints how that went."""
    found = Measured()
    greeting = asyncio.to_thread(
        greetings, socket_path(here.data), time.monotonic() + seconds, found, until.is_set
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(searches(client, found.searches, until))
        await greeting
        until.set()
    print("  " + line("searches", found.searches))
    print("  " + line("greetings", found.holds), flush=True)


async def rest(here: Home) -> str:
    """The memory and time of the daemon and its workers when idle."""
    daemon = await here.daemon()
    processes = [daemon, *daemon.children(recursive=True)]
    before = [sum(process.cpu_times()[:2]) for process in processes]
    await asyncio.sleep(REST_SECONDS)
    used = sum(sum(p.cpu_times()[:2]) for p in processes if p.is_running()) - sum(before)
    sizes = [process.memory_full_info() for process in processes if process.is_running()]
    return (f"{len(sizes)} processes, {sum(s.rss for s in sizes) / 1e6:.0f} MB resident "
            f"({sum(s.pss for s in sizes) / 1e6:.0f} MB without counting shared pages twice), "
            f"{used / REST_SECONDS:.2%} of a core")  # fmt: skip


async def run(files: int) -> None:
    async with home(ALLMA_EMBEDDER=EMBEDDER) as here:
        sample(here.folder, files)
        owner, client = [await Client.connected(here, kind) for kind in ("mcp", "lsp")]
        over = asyncio.Event()

        async def index() -> None:
            began = time.monotonic()
            await owner.call("index", action="add", path=str(here.folder))
            status = await settled(owner.wire, 1800)
            (workspace,) = status["workspaces"]
            print(
                f"{workspace['documents']} files, {workspace['chunks']} chunks in "
                f"{time.monotonic() - began:.1f} s, load {psutil.getloadavg()[0]:.1f}"
            )
            over.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(index())
            await measured(here, client, over, 3600)
        print("the same in rest:")
        await measured(here, client, asyncio.Event(), 20)
        # Workers that read files end when they have had nothing to do for a while.
        await asyncio.sleep(READERS_SECONDS)
        print(f"  {await rest(here)}")
        await client.leave()
        await owner.leave()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=495)
    asyncio.run(run(parser.parse_args().files))


if __name__ == "__main__":
    main()
