"""A damaged data directory, through the command line."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import program


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_EMBEDDER", "hashing/words-256")
    monkeypatch.setenv("ALLMA_CHAT_PROVIDER", "scripted")


def allma(*arguments: str) -> tuple[int, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "allma_server", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


async def test_doctor_reports_damage_and_repair_keeps_conversations(
    isolated: Path, folder: Path
) -> None:
    database = isolated / "data" / "allma.sqlite3"
    async with program("mcp", "--solo") as (client, _):
        await client.initialize()
        await client.tool("index", action="add", path=str(folder))
        asked = await client.tool("ask", question="Is the sea salty?")
    content = await asyncio.to_thread(database.read_bytes)
    await asyncio.to_thread(database.write_bytes, os.urandom(100) + content[100:])

    # An AI client starts the shared engine, which cannot open it.
    async with program("mcp") as (client, _):
        await client.initialize()
        failed = await client.tool("search", query="salty")
        assert failed["structuredContent"]["code"] == "data_damaged"
        assert "doctor --repair" in failed["content"][0]["text"]
        code, reported = await asyncio.to_thread(allma, "doctor")
        assert (code, reported["code"]) == (1, "data_damaged")

        code, repaired = await asyncio.to_thread(allma, "doctor", "--repair")
        assert (code, repaired["healthy"]) == (0, True), repaired
        damage = repaired["checks"][0]
        assert damage["name"] == "Damage" and "1 conversation" in damage["detail"]

        found = await client.tool("search", query="salty")
        assert found["structuredContent"]["passages"], found
        id = asked["structuredContent"]["conversation_id"]
        shown = await client.tool("conversations", action="show", id=id)
        assert not shown.get("isError"), shown
