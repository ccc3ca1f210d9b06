"""The daemon: one engine, and a door for every client that comes to the meeting place.

A client says hello first: its build, its door, what it wants the door to know. A daemon that
meets a newer version leaves the place to it, finishes with the clients it has, and ends. Clients of
the same version, wherever it is installed, and of older ones are served.
"""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from allma_server._internal.file_lock import try_lock
from allma_server._internal.imports import imported
from allma_server._internal.private import private_opener
from allma_server.config import LiveSettings, question_defaults
from allma_server.daemon.link import NO_SOCKET, dial
from allma_server.locations import build, is_newer, socket_path
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineSource
from allma_server.protocols.in_process import engine_on_demand
from allma_server.protocols.shell import WIRE
from allma_server.protocols.stdio import last_resort
from allma_server.types import LOCAL

if TYPE_CHECKING:
    from allma_server.engine import Engine

HELLO_SECONDS = 5.0
HELLO_BYTES = 1 << 20
"""Of the longest hello, which is one line."""

DRAIN_SECONDS = 5.0
"""How long clients are still served after one of a newer version has come."""

SUCCESSION_SECONDS = 30.0
"""How long a daemon waits for the one before it to end."""

WAIT_SECONDS = 5.0
"""How long the engine waits for a process with --solo to let go of the data directory."""

CLOSING_SECONDS = 20.0
PAUSE_SECONDS = 0.02

DOORS = {"lsp", "mcp", "shell"}

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Client:
    """Somebody at a door."""

    door: str
    pid: int
    since: float = field(default_factory=time.monotonic)


class Daemon:
    """Serves one data directory until it is idle, told to stop, or replaced."""

    def __init__(
        self,
        engine: EngineSource,
        clients: dict[asyncio.Task[Any], Client],
        token: str | None,
        settings: LiveSettings,
    ) -> None:
        self._source = engine
        self._token = token
        self._live = settings
        self._build = build()
        self._clients = clients
        self._opened: Engine | None = None
        self._began = self._last_busy = time.monotonic()
        self.replaced = False
        self.leaving = asyncio.Event()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its hello to its end."""
        task = asyncio.current_task()
        assert task is not None
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                hello = await _read_hello(reader)
            if hello is None or (self._token and hello.get("token") != self._token):
                return  # a probe, or a stranger
            if (refusal := self._refusal(hello)) is not None:
                await _say(writer, refusal)
                return
            door = str(hello.get("door"))
            if door == "control":
                await _say(writer, {"ok": True} | self._control(hello))
                return
            pid = hello.get("pid")
            self._clients[task] = Client(door, pid if isinstance(pid, int) else 0)
            await _say(writer, {"ok": True, "pid": os.getpid()})
            await self._serve(door, hello, reader, writer)
        except (TimeoutError, ConnectionError, asyncio.CancelledError):
            # A cancelled callback of a stream server would be logged as an error of it.
            return
        except Exception:
            log.exception("a connection ended because of a bug")
        finally:
            self._clients.pop(task, None)
            self._last_busy = time.monotonic()
            writer.close()

    async def watch_idleness(self) -> None:
        """Returns when nobody has been here and nothing has been done for long enough."""
        while not self.leaving.is_set():
            if self._clients or (self._opened and self._opened.ingestion.is_busy):
                self._last_busy = time.monotonic()
            left = self._live.idle_minutes() * 60 - (time.monotonic() - self._last_busy)
            if left <= 0:
                log.info("nobody needs the engine: leaving")
                self.leaving.set()
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, 5.0) + 0.01):
                    await self.leaving.wait()

    async def drain(self, seconds: float) -> None:
        """Waits for the clients to end, then ends the ones that have not."""
        if self._clients:
            await asyncio.wait(self._clients, timeout=seconds)
        for task in list(self._clients):
            task.cancel()
        if self._clients:
            await asyncio.wait(list(self._clients), timeout=seconds)

    async def _engine(self) -> "Engine":
        self._opened = await self._source()
        return self._opened

    async def _serve(
        self,
        door: str,
        hello: Mapping[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        # Only the protocols that are spoken are imported: each takes a second, in which the others
        # are served.
        client = _context(hello)
        match door:
            case "lsp":
                await imported("allma_server.protocols.lsp")
                from allma_server.protocols.lsp import serve_lsp

                await serve_lsp(self._engine, reader, writer, client)
            case "mcp":
                await imported("allma_server.protocols.mcp")
                from allma_server.protocols.mcp import serve_mcp

                await serve_mcp(self._engine, reader, writer, client)
            case _:
                await imported("allma_server.protocols.shell.server")
                from allma_server.protocols.shell.server import serve_shell

                await serve_shell(self._engine, reader, writer, client)

    def _refusal(self, hello: Mapping[str, Any]) -> dict[str, Any] | None:
        """What a client is told instead of being served; None when it is served."""
        if hello.get("door") == "control":
            return None
        build = hello.get("build")
        theirs = cast(dict[str, Any], build) if isinstance(build, dict) else {}
        if self.leaving.is_set():
            return {"ok": False}  # it comes again, to the next daemon
        if is_newer(theirs, self._build):
            log.info("a client of a newer version has come: leaving")
            self.replaced = True
            self.leaving.set()
            return {"ok": False}
        if hello.get("door") not in DOORS or hello.get("wire", WIRE) != WIRE:
            ours, version = self._build["version"], theirs.get("version", "unknown")
            error = {
                "message": f"The engine is Allma {ours}, which this Allma {version} cannot use.",
                "hint": f"Update it to {ours}: `pip install -U allma-server`.",
            }
            return {"ok": False, "error": error}
        return None

    def _control(self, hello: Mapping[str, Any]) -> dict[str, Any]:
        said: dict[str, Any] = {"pid": os.getpid(), "stamp": self._build["version"]}
        match hello.get("command"):
            case "stop":
                self.leaving.set()
            case "settings":
                said["settings"] = self._live.in_force()
            case _:
                pass
        return said | {
            "uptime_seconds": round(time.monotonic() - self._began),
            "clients": [
                {"door": client.door, "pid": client.pid} for client in self._clients.values()
            ],
        }


async def _read_hello(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    try:
        hello = json.loads(await reader.readline())
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, Any], hello) if isinstance(hello, dict) else None


def _context(hello: Mapping[str, Any]) -> ClientContext:
    """The client as its hello describes it; only the owner of the engine can reach the socket."""
    cwd, project_folder = hello.get("cwd"), hello.get("hint")
    return ClientContext(
        LOCAL,
        cwd=cwd if isinstance(cwd, str) else None,
        workspaces=tuple(str(folder) for folder in hello.get("workspaces", [])),
        project_folder=project_folder if isinstance(project_folder, str) else None,
        defaults=question_defaults(hello.get("settings")),
    )


async def _say(writer: asyncio.StreamWriter, reply: Mapping[str, Any]) -> None:
    writer.write(json.dumps(reply).encode() + b"\n")
    await writer.drain()


async def serve(data: Path) -> int:
    """Serves `data` until it is time to leave; the process's exit status."""
    place = socket_path(data)
    run_file = await _served_alone(place)
    if run_file is None:
        return 0
    token = secrets.token_hex(16) if sys.platform == "win32" else None
    settings = LiveSettings({"data_dir": str(data)})
    clients: dict[asyncio.Task[Any], Client] = {}
    async with engine_on_demand(
        settings, wait_seconds=WAIT_SECONDS, clients=lambda: len(clients)
    ) as engine:
        daemon = Daemon(engine, clients, token, settings)
        try:
            async with _listening(daemon, place, token):
                _end_by_signal(daemon)
                await daemon.watch_idleness()
        except OSError:
            log.exception("no socket can be made at %s", place)
            return NO_SOCKET
        last_resort(CLOSING_SECONDS)
        await daemon.drain(DRAIN_SECONDS if daemon.replaced else 0.5)
    return 0


async def _served_alone(place: Path) -> IO[bytes] | None:
    """The locked file of the one daemon at `place`; None when another one serves there.

    The lock goes with the process, so that whoever waits for it finds nothing of it left.
    """
    run_file = place.with_suffix(".run")
    file = await asyncio.to_thread(open, run_file, "a+b", buffering=0, opener=private_opener)
    deadline = time.monotonic() + SUCCESSION_SECONDS
    while not try_lock(file):
        link = await asyncio.to_thread(dial, place)
        if link is not None:
            link.close()
            return None
        if time.monotonic() > deadline:
            raise TimeoutError("the daemon before this one does not end")
        await asyncio.sleep(PAUSE_SECONDS)
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid(), "id": secrets.token_hex(8)}).encode())
    return file


@contextlib.asynccontextmanager
async def _listening(daemon: Daemon, place: Path, token: str | None) -> AsyncGenerator[None]:
    """Listens at the meeting place, which is this daemon's alone.

    Raises:
        OSError: no socket can be made.
    """
    if sys.platform == "win32":
        server = await asyncio.start_server(daemon.meet, "127.0.0.1", 0, limit=HELLO_BYTES)
        port = server.sockets[0].getsockname()[1]
        await asyncio.to_thread(
            place.write_text, json.dumps({"port": port, "token": token}), "utf-8"
        )
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place)  # left behind by a daemon that was killed
        mask = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(daemon.meet, place, limit=HELLO_BYTES)
        finally:
            os.umask(mask)
    try:
        yield
    finally:
        # First the place, so that nobody comes to a door that is closing.
        with contextlib.suppress(OSError):
            os.unlink(place)
        server.close()


def _end_by_signal(daemon: Daemon) -> None:
    if sys.platform != "win32":
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, daemon.leaving.set)
