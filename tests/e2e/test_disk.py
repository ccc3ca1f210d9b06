"""A full disk and a read-only one, as small file systems of their own where one may be mounted."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import program
from tests.protocol.wire import Lines

MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_EMBEDDER", "hashing/words-256")
    monkeypatch.setenv("ALLMA_CHAT_PROVIDER", "scripted")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of 12 MB that holds the data directory."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "allma-test", str(place)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system takes Linux and its administrator")
    monkeypatch.setenv("ALLMA_DATA_DIR", str(place / "data"))
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leaves no room on the disk but for a few bytes."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(os.urandom(4096))
            file.flush()
    return filler


async def failed_checks(how: list[str]) -> list[Any]:
    """What `allma doctor` says has failed."""
    doctor = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "allma_server", "doctor", "--json", *how[1:]),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await doctor.communicate()
    return [check for check in json.loads(out)["checks"] if check["state"] == "failed"]


async def names(client: Lines, query: str) -> list[str]:
    found = (await client.tool("search", query=query))["structuredContent"]
    return [Path(passage["path"]).name for passage in found["passages"]]


async def test_on_a_full_disk_the_index_is_served_and_freed_space_is_used(
    disk: Path, folder: Path
) -> None:
    async with program("mcp") as (client, _):
        await client.initialize()
        await client.tool("index", action="add", path=str(folder))
        filler = fill(disk)
        for number in range(200):
            text = "\n\n".join(f"Whale {number} {n} " + "swims far " * 40 for n in range(8))
            (folder / f"whale{number}.md").write_text(text)
        failed = await client.tool("index", action="sync")
        assert failed["isError"], failed
        assert failed["structuredContent"]["code"] == "disk_full"
        assert "No space is left" in failed["content"][0]["text"]
        assert (await names(client, "salty rivers"))[0] == "sea.md"
        filler.unlink()
        healed = await client.tool("index", action="sync")
        assert not healed.get("isError"), healed
        assert (await names(client, "whale 199"))[0].startswith("whale")


async def test_on_a_full_disk_a_new_index_is_refused_with_a_message(
    disk: Path, folder: Path
) -> None:
    filler = fill(disk)
    async with program("mcp") as (client, _):
        await client.initialize()
        failed = await client.tool("index", action="add", path=str(folder))
        assert failed["isError"]
        assert failed["structuredContent"]["code"] == "disk_full"
        filler.unlink()
        healed = await client.tool("index", action="add", path=str(folder))
        assert not healed.get("isError"), healed


@pytest.mark.parametrize("how", [["mcp"], ["mcp", "--solo"]])
async def test_a_read_only_data_directory_is_served_until_it_is_writable_again(
    disk: Path, folder: Path, how: list[str]
) -> None:
    async with program("mcp", "--solo") as (client, _):
        await client.initialize()
        await client.tool("index", action="add", path=str(folder))
        kept = (await client.tool("ask", question="Is the sea salty?"))["structuredContent"]
    remount(disk, "ro")
    (folder / "whale.md").write_text("Whales swim far.\n")
    async with program(*how) as (client, _):
        await client.initialize()
        found = (await client.tool("search", query="salty rivers"))["structuredContent"]
        assert Path(found["passages"][0]["path"]).name == "sea.md"
        assert "cannot be written: Read-only file system." in found["notice"]
        answer = (await client.tool("ask", question="Is the sea salty?"))["structuredContent"]
        assert answer["citations"] and "This answer was not saved." in answer["notice"]
        assert answer["conversation_id"] == "", "there is none to continue"
        shown = await client.tool("conversations", action="show", id=kept["conversation_id"])
        assert not shown.get("isError"), shown
        [workspace] = (await client.tool("status"))["structuredContent"]["workspaces"]
        assert "Read-only file system" in workspace["reason"] and workspace["documents"] >= 1
        assert [check["name"] for check in await failed_checks(how)] == ["Data directory"]
        for refused in (
            await client.tool("index", action="add", path=str(folder)),
            await client.tool("index", action="sync"),
            await client.tool(
                "conversations", action="rename", id=kept["conversation_id"], title="Sea"
            ),
        ):
            assert refused["isError"] and refused["structuredContent"]["code"] == "data_read_only"
            assert "Make it writable, which keeps" in refused["content"][0]["text"]
        remount(disk, "rw")
        healed = await client.tool("index", action="sync")
        assert not healed.get("isError"), healed
        found = (await client.tool("search", query="whales"))["structuredContent"]
        assert Path(found["passages"][0]["path"]).name == "whale.md"
        assert "cannot be written" not in (found["notice"] or "")


async def test_a_read_only_data_directory_has_any_number_of_readers_and_one_owner(
    disk: Path, folder: Path
) -> None:
    async with program("mcp", "--solo") as (client, _):
        await client.initialize()
        await client.tool("index", action="add", path=str(folder))
    remount(disk, "ro")
    async with program("mcp", "--solo") as (one, _), program("mcp", "--solo") as (other, _):
        for client in (one, other):
            await client.initialize()
            assert (await names(client, "salty rivers"))[0] == "sea.md"
        remount(disk, "rw")
        refused = await one.tool("index", action="sync")
        assert refused["structuredContent"]["code"] == "data_directory_busy"
        assert (await names(one, "salty rivers"))[0] == "sea.md"


async def test_a_snapshot_of_a_running_engine_includes_its_last_changes(
    disk: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLMA_DATA_DIR", str(tmp_path / "data"))
    async with program("mcp", "--solo") as (client, _):
        await client.initialize()
        await client.tool("index", action="add", path=str(folder))
        shutil.copytree(
            tmp_path / "data", disk / "data", ignore=shutil.ignore_patterns("vectors", "full_text")
        )
    assert (disk / "data" / "allma.sqlite3-wal").stat().st_size > 0
    remount(disk, "ro")
    monkeypatch.setenv("ALLMA_DATA_DIR", str(disk / "data"))
    async with program("mcp", "--solo") as (client, _):
        await client.initialize()
        assert (await names(client, "salty rivers"))[0] == "sea.md"
    remount(disk, "rw")
    (disk / "data" / "allma.sqlite3-shm").unlink()
    remount(disk, "ro")
    async with program("mcp", "--solo") as (client, _):
        await client.initialize()
        failed = await client.tool("search", query="salty rivers")
        assert failed["structuredContent"]["code"] == "data_read_only"
        assert "The latest changes are only in allma.sqlite3-wal" in failed["content"][0]["text"]


async def test_a_read_only_directory_without_an_index_is_reported(disk: Path) -> None:
    (disk / "data").mkdir()
    remount(disk, "ro")
    async with program("mcp", "--solo") as (client, _):
        await client.initialize()
        failed = await client.tool("search", query="salty")
        assert failed["structuredContent"]["code"] == "data_read_only"
        assert "cannot be written: Read-only file system" in failed["content"][0]["text"]


async def test_an_engine_that_starts_on_a_full_disk_serves_the_index(
    disk: Path, folder: Path
) -> None:
    async with program("mcp", "--solo") as (client, _):
        await client.initialize()
        await client.tool("index", action="add", path=str(folder))
        asked = (await client.tool("ask", question="Is the sea salty?"))["structuredContent"]
    filler = fill(disk)
    async with program("mcp", "--solo") as (client, _):
        await client.initialize()
        for _ in range(5):
            assert (await names(client, "salty rivers"))[0] == "sea.md"
        read = await client.tool("read", source=str(folder / "sea.md"))
        assert "salty" in read["content"][0]["text"]
        answer = (await client.tool("ask", question="Is the sea salty?"))["structuredContent"]
        assert answer["citations"] and "not saved" in answer["notice"]
        shown = await client.tool("conversations", action="show", id=asked["conversation_id"])
        assert not shown.get("isError"), shown
        further = await client.tool(
            "ask", question="And why?", conversation_id=asked["conversation_id"]
        )
        assert not further.get("isError"), further
        filler.unlink()
        kept = (await client.tool("ask", question="Is it kept now?"))["structuredContent"]
        assert "not saved" not in (kept["notice"] or "")
        shown = await client.tool("conversations", action="show", id=kept["conversation_id"])
        assert not shown.get("isError"), shown


async def test_an_engine_answers_after_its_disk_filled_up(disk: Path, folder: Path) -> None:
    async with program("mcp", "--solo") as (client, _):
        await client.initialize()
        await client.tool("index", action="add", path=str(folder))
        fill(disk)
        while not (answer := await client.tool("ask", question="Why?")).get("isError"):
            if "not saved" in (answer["structuredContent"]["notice"] or ""):
                break
        assert not answer.get("isError"), answer
        assert (await names(client, "salty rivers"))[0] == "sea.md"
