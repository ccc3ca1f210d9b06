"""Many users over HTTP: half ask (the scripted model), half search. Errors, times and memory.

python -m tests.benchmarks.http_load [--users 50] [--seconds 60]
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import quantiles

import httpx
import psutil

WORDS = "river glacier harbour lighthouse volcano walrus meadow thunder compass orchard".split()
EVENTS = {"accept": "text/event-stream"}


def settings(folder: Path) -> dict[str, str]:
    return os.environ | {  # noqa: TID251
        "ALLMA_DATA_DIR": str(folder / "data"),
        "ALLMA_CONFIG": str(folder / "config.toml"),
        "ALLMA_EMBEDDER": "hashing/words-256",
        "ALLMA_CHAT_PROVIDER": "scripted",
        "ALLMA_RATE_LIMIT": "100000/minute",
    }


def allma(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "allma_server", *arguments]
    return subprocess.run(
        command, env=settings(folder), check=True, capture_output=True, text=True
    ).stdout


async def use(url: str, token: str, asks: bool, until: float, times: list[float]) -> Counter[str]:
    seen: Counter[str] = Counter()
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        number = 0
        while time.monotonic() < until:
            number += 1
            word, began = WORDS[number % len(WORDS)], time.monotonic()
            try:
                if asks:
                    asked = {"question": f"What about the {word}?"}
                    answer = await client.post("/api/ask", json=asked, headers=EVENTS)
                    good = '"kind": "done"' in answer.text
                else:
                    answer = await client.post("/api/search", json={"query": word})
                    good = bool(answer.json().get("passages"))
            except httpx.HTTPError as exc:
                seen[type(exc).__name__] += 1
                continue
            seen["good" if good else str(answer.status_code)] += 1
            times.append(time.monotonic() - began)
    return seen


async def tokens_of(url: str, admin: str, users: int) -> list[str]:
    headers = {"authorization": f"Bearer {admin}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        names = [{"name": f"user{number}"} for number in range(users)]
        added = [await client.post("/api/tokens.add", json=name) for name in names]
    return [each.json()["token"] for each in added]


async def load(url: str, admin: str, users: int, seconds: float) -> int:
    """Use the server for so long; return the number of errors."""
    tokens = await tokens_of(url, admin, users)
    until = time.monotonic() + seconds
    times: dict[bool, list[float]] = {True: [], False: []}
    seen = await asyncio.gather(
        *(use(url, token, n % 2 == 0, until, times[n % 2 == 0]) for n, token in enumerate(tokens))
    )
    total = sum(seen, Counter[str]())
    errors = total.total() - total["good"]
    print(f"{dict(total)}; errors: {errors}")
    for asks, name in ((True, "ask"), (False, "search")):
        cut = quantiles(times[asks], n=100)
        print(f"{name}: {len(times[asks])} requests, p50 {cut[49]:.3f} s, p95 {cut[94]:.3f} s")
    return errors


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "docs").mkdir()
        for number in range(300):
            text = " ".join(WORDS[(number + n) % len(WORDS)] for n in range(40))
            (folder / "docs" / f"{number}.md").write_text(f"# Note {number}\n\n{text}\n")
        allma(folder, "index", str(folder / "docs"))
        added = allma(folder, "tokens", "add", "root", "--can", "admin", "--json")
        command = [sys.executable, "-m", "allma_server", "serve", "--port", "0", "--json"]
        with subprocess.Popen(
            command, env=settings(folder), stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            url = json.loads("".join(server.stdout.readline() for _ in range(3)))["url"]
            daemon = psutil.Process(json.loads(allma(folder, "status", "--json"))["pid"])
            before = daemon.cpu_times()
            token = json.loads(added)["token"]
            errors = asyncio.run(load(url, token, options.users, options.seconds))
            after = daemon.cpu_times()
            used = after.user + after.system - before.user - before.system
            print(f"engine: {daemon.memory_info().rss / 1e6:.0f} MB, {used:.1f} CPU-s")
            server.terminate()
        allma(folder, "daemon", "stop")
        sys.exit(min(1, errors))


if __name__ == "__main__":
    main()
