"""Indexing a real project: time against embedding alone, memory, the unchanged run, search.

    python -m tests.benchmarks.ingest [FOLDER] [--files N]

Without a folder, the first N source files of the installed packages are taken. The ratio's
denominator is embedding the same chunks alone, in the same process, with the same threads.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles

import psutil

from allma_server.config import Config
from allma_server.engine import open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.providers.embedding import open_embedder
from allma_server.types import LOCAL

EMBEDDER = "local/all-MiniLM-L6-v2-int7"
QUERIES = (
    "where are proxies configured", "retry with exponential backoff", "parse the version string",
    "how is the cache key computed", "render a table with columns", "unicode width of a character",
    "resolve dependency conflicts", "read the configuration file", "def get_terminal_size",
    "download progress bar", "verify the hash of a wheel", "exception when the network is down",
)  # fmt: skip


class PeakMemory:
    """The largest sum of resident memory of this process and its children, in megabytes."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(0.1):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.peak = max(self.peak, total / 1e6)


def sample(target: Path, files: int) -> Path:
    """`files` files of installed packages, as a project folder."""
    packages = Path(json.__file__).parents[1] / "site-packages"
    if not (packages / "pip").exists():
        packages = Path(psutil.__file__).parents[1]
    found = [
        path
        for name in ("pip", "rich", "httpx", "anyio", "starlette", "pygls", "typer", "click", "mcp")
        for path in sorted((packages / name).rglob("*.py"))
        if path.stat().st_size > 0
    ]
    for path in found[:files]:
        copy = target / path.relative_to(packages)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return target


def cpu_seconds() -> float:
    """Of this process and its children: those that read files and the vector store's."""
    times = os.times()
    total = times.user + times.system + times.children_user + times.children_system
    for process in psutil.Process().children(recursive=True):
        try:
            own = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += own.user + own.system
    return total


async def index(config: Config, folder: Path) -> tuple[list[str], float, float]:
    """Index until the vector store is current; return the chunks' texts, wall and CPU seconds."""
    began, used = time.perf_counter(), cpu_seconds()
    async with open_engine(config) as engine:
        report = await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(folder)]})
        wall = time.perf_counter() - began
        await engine.vectors.wait_until_current()
        cpu = cpu_seconds() - used
        print(f"  {report.indexed} files, {report.chunks} chunks, {len(report.skipped)} skipped, "
              f"{len(report.failed)} failed")  # fmt: skip
        texts: list[str] = []
        for workspace in await engine.catalog.workspaces():
            for document in await engine.catalog.documents(workspace.id):
                chunks = await engine.catalog.chunks_of(document.id)
                texts += [chunk.embedded_text for chunk in chunks]
        times: list[float] = []
        for query in QUERIES * 3:
            start = time.perf_counter()
            await BY_NAME["search"](Call(engine, LOCAL), {"query": query})
            times.append((time.perf_counter() - start) * 1000)
        print(f"  search in process: p50 {median(times):.0f} ms, "
              f"p95 {quantiles(times, n=20)[-1]:.0f} ms")  # fmt: skip
    return texts, wall, cpu


async def embed_alone(config: Config, texts: list[str]) -> tuple[float, float]:
    async with open_embedder(EMBEDDER, config) as embedder:
        await embedder.embed_query("warm")
        began, used = time.perf_counter(), cpu_seconds()
        await embedder.embed_documents(texts)
        return time.perf_counter() - began, cpu_seconds() - used


def shell(config: Config, *arguments: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "allma_server", *arguments, "--data", str(config.data_dir)],
        capture_output=True,
        check=True,
    )
    assert done.stdout
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--files", type=int, default=585)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or sample(Path(scratch) / "project", options.files)
        config = Config(
            data_dir=Path(scratch) / "data", embedder=EMBEDDER, embed_threads=options.threads
        )
        print(f"{folder}, {options.threads} embedding threads, load {os.getloadavg()[0]:.1f}")
        with PeakMemory() as memory:
            texts, wall, cpu = asyncio.run(index(config, folder))
        alone, alone_cpu = asyncio.run(embed_alone(config, texts))
        print(f"  index: {wall:.1f} s, {cpu:.1f} CPU-s; peak memory {memory.peak:.0f} MB")
        print(f"  embedding alone: {alone:.1f} s, {alone_cpu:.1f} CPU-s")
        print(f"  ratio: {wall / alone:.2f} (wall), {cpu / alone_cpu:.2f} (CPU)")
        print(f"  CPU a chunk: {alone_cpu / len(texts) * 1000:.1f} ms for the embedding of "
              f"{sum(map(len, texts)) / len(texts):.0f} characters, "
              f"{(cpu - alone_cpu) / len(texts) * 1000:.1f} ms for the rest")  # fmt: skip
        again = [shell(config, "index", str(folder), "--solo") for _ in range(3)]
        print(f"  unchanged run, fresh process: {median(again):.2f} s")
        fresh = [shell(config, "search", query, "--solo") for query in QUERIES[:3]]
        print(f"  search, fresh process: {median(fresh):.2f} s")


if __name__ == "__main__":
    main()
