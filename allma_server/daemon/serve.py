"""The daemon: one engine, and a door for every client that comes to the meeting place.

A client says hello first: its build, its door, what it wants the door to know. A daemon that
meets a newer build leaves the place to it, finishes with the clients it has, and ends.
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
from typing import TYPE_CHECKING, Any, cast

from allma_server.config import load_config
from allma_server.doors.solo import engine_on_demand
from allma_server.doors.source import EngineSource
from allma_server.doors.streams import MESSAGE_LIMIT, last_resort
from allma_server.imports import imported
from allma_server.locations import build_stamp, meeting_place

if TYPE_CHECKING:
    from allma_server.engine import Engine

HELLO_SECONDS = 5.0
DRAIN_SECONDS = 10.0
"""How long clients of an old build are still served after a newer one has come."""

WAIT_SECONDS = 15.0
"""How long the engine waits for a predecessor to let go of the data directory."""

CLOSING_SECONDS = 30.0

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
        idle_seconds: float,
    ) -> None:
        self._source = engine
        self._token = token
        self._idle_seconds = idle_seconds
        self._stamp = build_stamp()
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
                hello = _read_hello(await reader.readline())
            if hello is None or (self._token and hello.get("token") != self._token):
                return  # a probe, or a stranger
            if self._refuses(hello):
                await _say(writer, {"ok": False, "stamp": self._stamp})
                return
            door = str(hello.get("door"))
            if door == "control":
                await _say(writer, {"ok": True} | self._control(hello))
                return
            self._clients[task] = Client(door, int(hello.get("pid", 0)))
            await _say(writer, {"ok": True, "stamp": self._stamp, "pid": os.getpid()})
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
            if self._clients or (self._opened and self._opened.ingestion.busy):
                self._last_busy = time.monotonic()
            left = self._idle_seconds - (time.monotonic() - self._last_busy)
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
        match door:
            case "lsp":
                await imported("allma_server.doors.lsp")
                from allma_server.doors.lsp import serve_lsp

                await serve_lsp(self._engine, reader, writer)
            case "mcp":
                await imported("allma_server.doors.mcp")
                from allma_server.doors.mcp import serve_mcp

                folders = [str(folder) for folder in hello.get("workspaces", [])]
                hint = hello.get("hint")
                await serve_mcp(self._engine, reader, writer, workspaces=folders, hint=hint)
            case "shell":
                from allma_server.daemon.calls import serve_calls

                await serve_calls(self._engine, reader, writer)
            case _:
                log.warning("there is no door %r", door)

    def _refuses(self, hello: Mapping[str, Any]) -> bool:
        if self.replaced:
            return True
        if hello.get("stamp") == self._stamp or hello.get("door") == "control":
            return False
        log.info("a client of another build has come: leaving")
        self.replaced = True
        self.leaving.set()
        return True

    def _control(self, hello: Mapping[str, Any]) -> dict[str, Any]:
        if hello.get("command") == "stop":
            self.leaving.set()
        return {
            "pid": os.getpid(),
            "stamp": self._stamp,
            "uptime_seconds": round(time.monotonic() - self._began),
            "clients": [
                {"door": client.door, "pid": client.pid} for client in self._clients.values()
            ],
        }


def _read_hello(line: bytes) -> dict[str, Any] | None:
    try:
        hello = json.loads(line)
    except ValueError:
        return None
    return cast(dict[str, Any], hello) if isinstance(hello, dict) else None


async def _say(writer: asyncio.StreamWriter, reply: Mapping[str, Any]) -> None:
    writer.write(json.dumps(reply).encode() + b"\n")
    await writer.drain()


async def serve(data: Path) -> int:
    """Serves `data` until it is time to leave; the process's exit status."""
    place = meeting_place(data)
    token = secrets.token_hex(16) if sys.platform == "win32" else None
    settings = {"data_dir": str(data)}
    config = load_config(settings)
    clients: dict[asyncio.Task[Any], Client] = {}
    async with engine_on_demand(
        settings, wait_seconds=WAIT_SECONDS, clients=lambda: len(clients)
    ) as engine:
        daemon = Daemon(engine, clients, token, config.idle_minutes * 60)
        async with _listening(daemon, place, token) as listening:
            if not listening:
                return 0
            _end_by_signal(daemon)
            await daemon.watch_idleness()
        await daemon.drain(DRAIN_SECONDS if daemon.replaced else 0.5)
        last_resort(CLOSING_SECONDS)
    return 0


@contextlib.asynccontextmanager
async def _listening(daemon: Daemon, place: Path, token: str | None) -> AsyncGenerator[bool]:
    """Listens at the meeting place; False when somebody else does already."""
    if sys.platform == "win32":
        server = await asyncio.start_server(daemon.meet, "127.0.0.1", 0, limit=MESSAGE_LIMIT)
        port = server.sockets[0].getsockname()[1]
        await asyncio.to_thread(
            place.write_text, json.dumps({"port": port, "token": token}), "utf-8"
        )
    else:
        if await _is_alive(place):
            yield False
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place)  # left behind by a daemon that was killed
        mask = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(daemon.meet, place, limit=MESSAGE_LIMIT)
        finally:
            os.umask(mask)
    own = os.stat(place).st_ino
    try:
        yield True
    finally:
        # First the place, so that nobody comes to a door that is closing.
        with contextlib.suppress(OSError):
            if os.stat(place).st_ino == own:
                os.unlink(place)
        server.close()


async def _is_alive(place: Path) -> bool:
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_unix_connection(place)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _end_by_signal(daemon: Daemon) -> None:
    if sys.platform != "win32":
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, daemon.leaving.set)
