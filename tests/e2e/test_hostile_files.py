"""Hostile files in a workspace: the daemon answers and continues to serve."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.program import program
from tests.protocol.wire import Lines

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_EMBEDDER", "hashing/words-256")
    monkeypatch.setenv("ALLMA_CHAT_PROVIDER", "scripted")
    monkeypatch.setenv("ALLMA_VECTOR_STORE", "exact")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _outside(path: Path) -> None:
    secret = path.parent.parent / "outside.md"
    secret.write_text("nobody may see this\n")
    path.symlink_to(secret)


@pytest.mark.parametrize(
    ("name", "make"), [(".gitignore", _pipe), ("sub/.ignore", _device), (".allmaignore", _pipe)]
)
async def test_a_hostile_ignore_file_does_not_stop_other_clients(
    folder: Path, name: str, make: Callable[[Path], None]
) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    make(folder / name)
    async with program("mcp") as (client, _), program("mcp") as (other, _):
        await client.initialize()
        await other.initialize()
        report = await client.tool("index", action="add", path=str(folder))
        reasons = {s["path"]: s["reason"] for s in report["structuredContent"]["skipped"]}
        assert "rules are not applied" in reasons[str(folder / name)]
        assert await _found(other, "salty rivers") == ["sea.md"]


@pytest.mark.parametrize("make", [_pipe, _device, _outside])
async def test_a_hostile_file_replacing_an_indexed_one_does_not_stop_other_clients(
    folder: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLMA_WATCH", "false")
    async with program("mcp") as (client, _), program("mcp") as (other, _):
        await client.initialize()
        await other.initialize()
        await client.tool("index", action="add", path=str(folder))
        path = folder / "sea.md"
        path.unlink()
        make(path)
        asked = [_ask(client, path) for _ in range(12)]
        assert await _found(other, "salty rivers") == ["sea.md"]
        for number in asked:
            reported = (await client.answer(number))["result"]
            assert reported["isError"] and "is not shown" in reported["content"][0]["text"]
            assert "nobody may see this" not in str(reported)
        await client.tool("index", action="sync")
        assert await _found(other, "salty rivers") == []


def _ask(client: Lines, path: Path) -> int:
    return client.begin("tools/call", {"name": "read", "arguments": {"source": str(path)}})


async def _found(client: Lines, query: str) -> list[str]:
    async with asyncio.timeout(20):
        found = await client.tool("search", query=query)
    return [Path(p["path"]).name for p in found["structuredContent"]["passages"]]
