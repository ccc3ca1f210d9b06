"""Kill the engine at random moments, and check that nothing is lost.

    python -m tests.benchmarks.crash daemon|worker|flush [-n N] [--seed S]

N kills each while files are indexed, edited and asked about; `flush` kills N times while Chroma
writes its index, where a kill destroys it. After each the next call must be answered with no
step by hand, every acknowledged message must be there, and once all is quiet the index must be
what a fresh one of the same files is.
"""

import argparse
import asyncio
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil

from allma_server.daemon.control import stop_daemon
from allma_server.storage.vectors.stores import chroma_health
from tests.audit import differences, faults, fresh, snapshot
from tests.benchmarks.running import Home, edit, grow, home, settled, text
from tests.e2e.program import program
from tests.protocol.wire import Lines

FILES = 60
BATCH = 60
"""Files that an indexing brings, in place of those the one before brought."""

FLUSHED = 40
"""Long files, whose chunks are more than Chroma keeps before it writes its index."""

Activity = Callable[["Trial"], Coroutine[Any, Any, None]]


class Trial:
    """One kill, and what is found after it."""

    def __init__(self, here: Home, client: Lines, chance: random.Random, victim: str) -> None:
        self.home = here
        self.client = client
        self.chance = chance
        self.victim = victim
        self.outcome: Counter[str] = Counter()
        self.acknowledged: dict[str, list[str]] = {}
        self.conversation: str | None = None

    async def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """A call that must succeed."""
        result = await self.client.tool(name, **arguments)
        assert not result.get("isError"), result["content"][0]["text"]
        return result["structuredContent"]

    async def kill(self, seconds: float) -> None:
        """Kills the victim at a random moment within so many seconds."""
        moment = self.chance.uniform(0, seconds)
        daemon = await self.home.daemon()
        if self.victim == "daemon":
            await asyncio.sleep(moment)
            daemon.kill()
            return
        await asyncio.sleep(moment)
        worker = worker_of(daemon)
        if worker is None:
            self.outcome["no worker was running"] += 1
            return
        self.home.engines.add(worker)
        worker.kill()

    # --- what is done meanwhile ---------------------------------------------------------------

    async def indexing(self) -> None:
        batch = self.home.folder / "batch"
        shutil.rmtree(batch, ignore_errors=True)
        grow(batch, BATCH, self.chance)
        syncing = self.client.begin_call("index", action="sync")
        await self.kill(2.0)
        answer = await self.client.answer(syncing)
        assert "error" not in answer and not answer["result"].get("isError"), answer

    async def editing(self) -> None:
        async with asyncio.TaskGroup() as group:
            killing = group.create_task(self.kill(2.0))
            while not killing.done():
                kind = await asyncio.to_thread(edit, self.home.folder, self.chance)
                self.outcome[f"edit: {kind}"] += 1
                await asyncio.sleep(self.chance.uniform(0, 0.1))
        for _ in range(5):
            await asyncio.to_thread(edit, self.home.folder, self.chance)

    async def asking(self) -> None:
        async with asyncio.TaskGroup() as group:
            killing = group.create_task(self.kill(1.5))
            while not killing.done():
                await self._ask(must_work=False)

    async def _ask(self, *, must_work: bool) -> None:
        question = f"What of {' '.join(self.chance.choices(['delta', 'ember', 'retry'], k=3))}?"
        arguments = {"conversation_id": self.conversation} if self.conversation else {}
        answer = await self.client.call("ask", question=question, **arguments)
        if "error" in answer or answer["result"].get("isError"):
            self.outcome["questions cut off"] += 1
            assert not must_work, answer
            return
        said = answer["result"]["structuredContent"]
        self.conversation = said["conversation_id"]
        self.acknowledged.setdefault(said["conversation_id"], []).append(said["message_id"])
        self.outcome["answers acknowledged"] += 1
        if len(self.acknowledged[said["conversation_id"]]) > 20:
            self.conversation = None

    async def flushing(self) -> None:
        batch = self.home.folder / "long"
        shutil.rmtree(batch, ignore_errors=True)
        batch.mkdir()
        for number in range(FLUSHED):
            parts = [text(self.chance, 12) for _ in range(4)]
            (batch / f"long{number:03}.md").write_text("\n".join(parts))
        daemon = await self.home.daemon()
        before = flushed_at(self.home.data)
        syncing = self.client.begin_call("index", action="sync")
        moment = await asyncio.to_thread(_wait_for_flush, self.home.data, before)
        self.outcome["flushes met" if moment else "no flush within a minute"] += 1
        await asyncio.sleep(self.chance.choice((0, 0, 0.002, 0.005, 0.01, 0.02)))
        worker = worker_of(daemon)
        if worker is not None:
            worker.kill()
            worker.wait(10)
        self.outcome["indexes torn by it"] += is_torn(self.home.data)
        if self.chance.random() < 0.5:
            daemon.kill()
            self.outcome["worker and daemon killed"] += 1
        answer = await self.client.answer(syncing)
        assert "error" not in answer and not answer["result"].get("isError"), answer

    # --- what is found afterwards -------------------------------------------------------------

    async def check(self, *, vectors: bool = False) -> list[str]:
        """What is wrong after the kill."""
        began = time.monotonic()
        for query in ("delta ember", "retry limit", "socket buffer"):
            found = await self.call("search", query=query)
            assert found["passages"], "nothing is found"
        self.outcome["seconds to the next answers"] += time.monotonic() - began  # type: ignore[assignment]
        await self._ask(must_work=True)
        await settled(self.client)
        await self.home.daemon()
        index = await asyncio.to_thread(snapshot, self.home.data)
        wrong = differences(index, await fresh(self.home.config, [self.home.folder]))
        wrong += await asyncio.to_thread(faults, self.home.data, vectors=vectors)
        for id, messages in self.acknowledged.items():
            shown = await self.call("conversations", action="show", id=id)
            kept = {message["id"] for message in shown["messages"]}
            wrong += [
                f"the message {message} is lost" for message in messages if message not in kept
            ]
        return wrong


def worker_of(daemon: psutil.Process) -> psutil.Process | None:
    """The process that owns Chroma."""
    try:
        for child in daemon.children():
            if "allma_server.storage.vectors.stores.chroma_worker" in child.cmdline():
                return child
    except psutil.NoSuchProcess:
        pass
    return None


def is_torn(data: Path) -> bool:
    """Whether Chroma's files contradict each other."""
    try:
        for directory in (data / "vectors").iterdir():
            chroma_health.inspect(directory)
    except (chroma_health.TornIndex, OSError):
        return True
    return False


def flushed_at(data: Path) -> dict[Path, int]:
    """When each index file was written last."""
    return {p: p.stat().st_mtime_ns for p in (data / "vectors").glob("*/*/header.bin")}


def _wait_for_flush(data: Path, before: dict[Path, int]) -> bool:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if flushed_at(data) != before:
                return True
        except OSError:
            continue
        time.sleep(0.0005)
    return False


async def series(victim: str, rounds: int, seed: int) -> int:
    """All kills of one kind; the number of those after which something was wrong."""
    chance = random.Random(seed)
    failures = 0
    async with home() as here, program("mcp") as (client, process):
        grow(here.folder, FILES, chance)
        here.engines.add(psutil.Process(process.pid))
        client.deadline = 180
        await client.initialize()
        trial = Trial(here, client, chance, victim)
        await trial.call("index", action="add", path=str(here.folder))
        await trial.check()
        names = ["flushing"] if victim == "flush" else ["indexing", "editing", "asking"]
        for number in range(rounds):
            for name in names:
                began = time.monotonic()
                try:
                    await getattr(trial, name)()
                    wrong = await trial.check()
                except (AssertionError, TimeoutError) as exc:
                    wrong = [f"{type(exc).__name__}: {exc}"]
                failures += bool(wrong)
                print(f"{victim} {number + 1}/{rounds} {name}: {wrong[:5] or 'ok'} "
                      f"({time.monotonic() - began:.1f} s)", flush=True)  # fmt: skip
        await trial.home.daemon()
        print(dict(trial.outcome))
        kept = sum(map(len, trial.acknowledged.values()))
        print(f"{victim}: {rounds * len(names)} kills, {failures} failures; "
              f"{kept} acknowledged answers")  # fmt: skip
        client.writer.close()
        await process.wait()
        await stop_daemon(here.data)
        left = await here.leftovers()
        wrong = await asyncio.to_thread(faults, here.data, vectors=True)
        print(f"left behind: {left or 'nothing'}; vectors in Chroma: {wrong or 'as in SQLite'}")
        failures += bool(left) + bool(wrong)
    return failures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("victim", choices=("daemon", "worker", "flush"))
    parser.add_argument("-n", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sys.exit(min(1, asyncio.run(series(options.victim, options.n, options.seed))))


if __name__ == "__main__":
    main()
