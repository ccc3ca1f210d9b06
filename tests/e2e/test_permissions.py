"""Files of Allma are readable by their user only, under any umask."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.protocol.wire import Lines

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")


@pytest.fixture(autouse=True)
def home(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, in which everything has its usual place."""
    home = isolated / "ann"
    home.mkdir(0o700)
    for name in ("ALLMA_CONFIG", "ALLMA_DATA_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    monkeypatch.setenv("ALLMA_EMBEDDER", "hashing/words-256")
    monkeypatch.setenv("ALLMA_CHAT_PROVIDER", "scripted")
    return home


def allma(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "allma_server", *arguments],
        capture_output=True,
        text=True,
        umask=0,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout


def open_to_others(*folders: Path) -> list[str]:
    """What others may read, write or enter below these folders, themselves included."""
    return [
        f"{path}: {stat.filemode(path.lstat().st_mode)}"
        for folder in folders
        for path in (folder, *folder.rglob("*"))
        if path.lstat().st_mode & 0o077 and not path.is_symlink()
    ]


async def served(*calls: tuple[str, dict[str, str]]) -> None:
    """MCP calls through a forwarder, which starts the daemon under an open umask."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "allma_server", "mcp"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
        umask=0,
    )
    assert process.stdin is not None and process.stdout is not None
    client = Lines(process.stdout, process.stdin)
    await client.initialize()
    for tool, arguments in calls:
        answer = await client.tool(tool, **arguments)
        assert not answer.get("isError"), answer
    process.stdin.close()
    async with asyncio.timeout(15):
        await process.wait()


def data_of(home: Path) -> Path:
    [database] = home.rglob("allma.sqlite3")
    return database.parent


def test_files_of_a_command_are_private(home: Path, folder: Path, tmp_path: Path) -> None:
    allma("index", str(folder), "--solo")
    allma("ask", "How is the sea?", "--solo")
    allma("config", "set", "top_k", "7")
    archive = tmp_path / "copy.allma"
    allma("export", str(archive), "--solo")
    assert open_to_others(home, archive) == []
    assert {"allma.sqlite3", "allma.lock", "logs"} <= set(os.listdir(data_of(home)))


async def test_files_of_the_shared_engine_are_private(home: Path, folder: Path) -> None:
    await served(
        ("index", {"action": "add", "path": str(folder)}),
        *[("search", {"query": "salty"})] * 4,  # enough for Chroma to be worth its start
        ("ask", {"question": "How is the sea?"}),
    )
    assert open_to_others(home) == []
    allma("daemon", "stop")
    assert open_to_others(home) == []


def test_a_readable_data_directory_is_made_private(home: Path, folder: Path) -> None:
    allma("index", str(folder), "--solo")
    data = data_of(home)
    for path in (data, *data.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    stranger = data / "notes.txt"
    stranger.write_text("not Allma's\n")
    stranger.chmod(0o644)
    allma("status", "--solo")
    assert open_to_others(data) == [f"{stranger}: -rw-r--r--"]


def test_a_shared_folder_is_not_made_private(home: Path) -> None:
    shared = home / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    allma("status", "--solo", "--data", str(shared))
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    assert open_to_others(*shared.iterdir()) == []
