"""Shared by benchmarks of a running engine: its home, files, edits, and waiting until idle."""

import asyncio
import contextlib
import os
import random
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from allma_server.config import Config, load_config
from allma_server.daemon.control import daemon_status, stop_daemon
from allma_server.locations import socket_path
from tests.protocol.wire import Lines

WORDS = (
    "anchor basalt canopy delta ember fjord glacier harbour island juniper kelp lagoon meadow "
    "nebula orchard prairie quarry river summit tundra upland valley willow yonder zephyr "
    "retry limit parse header socket buffer thread index vector chunk token cache ledger"
).split()


@dataclass(slots=True)
class Home:
    """A place for settings, data and files. `engines`: every process of Allma's that was seen."""

    root: Path
    folder: Path
    engines: set[psutil.Process] = field(default_factory=set[psutil.Process])

    @property
    def config(self) -> Config:
        return load_config()

    @property
    def data(self) -> Path:
        return self.root / "data"

    async def daemon(self) -> psutil.Process:
        """The daemon that serves now; it and its children are remembered."""
        status = await daemon_status(self.data)
        assert status.pid is not None, "no daemon is running"
        process = psutil.Process(status.pid)
        self.engines |= {process, *process.children(recursive=True)}
        return process

    async def leftovers(self) -> list[str]:
        """What is still there after everybody has left."""
        await asyncio.to_thread(psutil.wait_procs, self.engines, 15)
        found: list[str] = []
        for process in self.engines:
            # One that has ended just now, or was killed and is not collected yet, is gone.
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.is_running():
                    found.append(f"process {process.pid} {process.cmdline()[2:5]}")
        if socket_path(self.data).exists():
            found.append("the socket")
        if (self.data / "allma.lock").exists() and (self.data / "allma.lock").read_bytes():
            found.append("the lock")
        return found


@asynccontextmanager
async def home(base: Path | None = None, **settings: str) -> AsyncGenerator[Home]:
    """A separate home; its daemon is stopped at the end."""
    former = dict(os.environ)  # noqa: TID251
    with tempfile.TemporaryDirectory(dir=base, prefix="allma-") as root:
        here = Home(Path(root), Path(root) / "tree")
        here.folder.mkdir()
        runtime = here.root / "run"
        runtime.mkdir(mode=0o700)
        os.environ.update(  # noqa: TID251
            {
                "ALLMA_CONFIG": str(here.root / "config.toml"),
                "ALLMA_DATA_DIR": str(here.data),
                "XDG_RUNTIME_DIR": str(runtime),
                "ALLMA_EMBEDDER": "hashing/words-256",
                "ALLMA_CHAT_PROVIDER": "scripted",
                "ALLMA_CHAT_MODEL": "echo",
                **settings,
            }
        )
        try:
            yield here
        finally:
            await stop_daemon(here.data)
            os.environ.clear()  # noqa: TID251
            os.environ.update(former)  # noqa: TID251


async def settled(client: Lines, seconds: float = 180) -> dict[str, Any]:
    """The engine's status once nothing waits: neither for ingestion nor for the vector store."""
    quiet = 0
    async with asyncio.timeout(seconds):
        while True:
            status = (await client.tool("status"))["structuredContent"]
            busy = status["jobs"] or status["vectors"]["pending"]
            busy = busy or any(workspace["pending"] for workspace in status["workspaces"])
            quiet = 0 if busy or status["vectors"]["state"] != "ready" else quiet + 1
            if quiet == 4:
                return status
            await asyncio.sleep(0.15)


def text(chance: random.Random, paragraphs: int = 3) -> str:
    """A new Markdown document."""
    parts = [f"# {' '.join(chance.choices(WORDS, k=3))} {chance.getrandbits(32):x}"]
    for _ in range(paragraphs):
        parts.append(f"## {' '.join(chance.choices(WORDS, k=2))}")
        parts.append(" ".join(chance.choices(WORDS, k=chance.randint(20, 90))) + ".")
    return "\n\n".join(parts) + "\n"


def code(chance: random.Random) -> str:
    """A Python module, likewise."""
    return "\n\n".join(
        f"def {chance.choice(WORDS)}_{chance.getrandbits(24):x}(value):\n"
        f'    """{" ".join(chance.choices(WORDS, k=12))}."""\n'
        f"    return value + {chance.randint(0, 999)}"
        for _ in range(chance.randint(1, 4))
    )


def grow(folder: Path, files: int, chance: random.Random) -> None:
    """Fills a folder with small files of three kinds, in folders of forty."""
    for number in range(files):
        inside = folder / f"part{number // 40:03}"
        inside.mkdir(parents=True, exist_ok=True)
        kind = number % 3
        name = inside / f"file{number:05}{('.md', '.py', '.txt')[kind]}"
        name.write_text(code(chance) if kind == 1 else text(chance))


def edit(folder: Path, chance: random.Random) -> str:
    """One change such as people and their tools make; what kind it was."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    kind = chance.choice(list(_EDITS))
    if files or kind == "create":
        _EDITS[kind](folder, files, chance)
    return kind


def _rewrite(folder: Path, files: list[Path], chance: random.Random) -> None:
    chance.choice(files).write_text(text(chance))


def _append(folder: Path, files: list[Path], chance: random.Random) -> None:
    with chance.choice(files).open("a") as file:
        file.write(f"\n\n{text(chance, 1)}")


def _save_atomically(folder: Path, files: list[Path], chance: random.Random) -> None:
    path = chance.choice(files)
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(text(chance))
    os.replace(draft, path)


def _rename(folder: Path, files: list[Path], chance: random.Random) -> None:
    path = chance.choice(files)
    path.rename(path.with_name(f"renamed{chance.getrandbits(32):08x}{path.suffix}"))


def _rename_folder(folder: Path, files: list[Path], chance: random.Random) -> None:
    inside = chance.choice(files).parent
    if inside != folder:
        inside.rename(inside.with_name(f"folder{chance.getrandbits(32):08x}"))


def _delete(folder: Path, files: list[Path], chance: random.Random) -> None:
    if len(files) > 20:
        chance.choice(files).unlink()


def _create(folder: Path, files: list[Path], chance: random.Random) -> None:
    inside = folder / f"new{chance.getrandbits(4)}" / "deeper"
    inside.mkdir(parents=True, exist_ok=True)
    for _ in range(chance.randint(1, 3)):
        (inside / f"made{chance.getrandbits(32):08x}.md").write_text(text(chance))


def _copy(folder: Path, files: list[Path], chance: random.Random) -> None:
    path = chance.choice(files)
    shutil.copy(path, path.with_name(f"copy{chance.getrandbits(32):08x}{path.suffix}"))


_EDITS: dict[str, Callable[[Path, list[Path], random.Random], None]] = {
    "rewrite": _rewrite,
    "append": _append,
    "save": _save_atomically,
    "rename": _rename,
    "rename folder": _rename_folder,
    "delete": _delete,
    "create": _create,
    "copy": _copy,
}
