"""A full disk and a read-only one, as small file systems of their own where one may be mounted."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


async def names(client: Lines, query: str) -> list[str]:
    found = (await client.tool("search", query=query))["structuredContent"]
    return [Path(passage["path"]).name for passage in found["passages"]]


async def test_on_a_full_disk_the_old_index_serves_and_space_is_made_use_of(
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


async def test_on_a_full_disk_a_new_index_is_refused_in_a_sentence(
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


async def test_a_read_only_data_directory_is_told_and_works_again_when_it_is_not(
    disk: Path, folder: Path
) -> None:
    async with program("mcp", "--solo") as (client, _):
        await client.initialize()
        await client.tool("index", action="add", path=str(folder))
    remount(disk, "ro")
    async with program("mcp") as (client, _):
        await client.initialize()
        failed = await client.tool("search", query="salty")
        assert failed["isError"]
        assert "cannot be written: Read-only file system" in failed["content"][0]["text"]
        assert "Make it writable again" in failed["content"][0]["text"]
        remount(disk, "rw")
        assert (await names(client, "salty"))[0] == "sea.md"


async def test_on_a_full_disk_an_engine_that_starts_serves_what_was_indexed(
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
        assert answer["citations"] and "not kept" in answer["notice"]
        shown = await client.tool("conversations", action="show", id=asked["conversation_id"])
        assert not shown.get("isError"), shown
        further = await client.tool(
            "ask", question="And why?", conversation_id=asked["conversation_id"]
        )
        assert not further.get("isError"), further
        filler.unlink()
        kept = (await client.tool("ask", question="Is it kept now?"))["structuredContent"]
        assert "not kept" not in (kept["notice"] or "")
        shown = await client.tool("conversations", action="show", id=kept["conversation_id"])
        assert not shown.get("isError"), shown


async def test_a_disk_that_fills_while_an_engine_serves_lets_it_answer(
    disk: Path, folder: Path
) -> None:
    async with program("mcp", "--solo") as (client, _):
        await client.initialize()
        await client.tool("index", action="add", path=str(folder))
        fill(disk)
        while not (answer := await client.tool("ask", question="Why?")).get("isError"):
            if "not kept" in (answer["structuredContent"]["notice"] or ""):
                break
        assert not answer.get("isError"), answer
        assert (await names(client, "salty rivers"))[0] == "sea.md"
