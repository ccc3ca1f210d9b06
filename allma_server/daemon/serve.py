"""The daemon: one engine, and a server for each client that connects to its socket.

A client sends a hello first: its build, its protocol and its context. When a client of a newer
version connects, the daemon frees the socket for its successor, finishes with its own clients and
shuts down. Clients of the same version, wherever it is installed, and of older ones are served.
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
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from allma_server._internal.file_lock import try_lock
from allma_server._internal.private import private_opener
from allma_server.config import LiveSettings, question_defaults
from allma_server.daemon.link import NO_SOCKET, Reply, dial
from allma_server.locations import (
    build,
    forget_socket,
    is_newer,
    record_socket,
    socket_path,
)
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.in_process import engine_on_demand
from allma_server.protocols.registry import PROTOCOLS, serve_protocol
from allma_server.protocols.shell import WIRE
from allma_server.protocols.stdio import exit_after
from allma_server.types import LOCAL

if TYPE_CHECKING:
    from allma_server.engine import Engine

HELLO_SECONDS = 5.0
"""Seconds for a client to send its hello."""

HELLO_BYTES = 1 << 20
"""Bytes of the longest hello, which is one line."""

DRAIN_SECONDS = 5.0
"""Seconds that clients are still served after one of a newer version has connected."""

SUCCESSION_SECONDS = 30.0
"""Seconds to wait for the previous daemon to end."""

WAIT_SECONDS = 5.0
"""Seconds to wait for a process with --solo to release the data directory."""

CLOSING_SECONDS = 20.0
"""Seconds for the engine to close; then the process ends anyway."""

PAUSE_SECONDS = 0.02

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Client:
    """A connected client."""

    protocol: str
    pid: int


class Daemon:
    """Serves one data directory until it is idle, stopped or replaced."""

    def __init__(
        self,
        engine: EngineProvider,
        path: Path,
        clients: dict[asyncio.Task[Any], Client],
        token: str | None,
        settings: LiveSettings,
    ) -> None:
        self._provider = engine
        self._path = path
        self._token = token
        self._live = settings
        self._build = build()
        self._clients = clients
        self._opened: Engine | None = None
        self._began = self._last_busy = time.monotonic()
        self.replaced = False
        self.stopping = asyncio.Event()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, from its hello to its end."""
        task = asyncio.current_task()
        assert task is not None
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                hello = await _read_hello(reader)
            if hello is None or (self._token and hello.get("token") != self._token):
                return  # not a client of this user
            if (refusal := self._refusal(hello)) is not None:
                await _reply(writer, refusal)
                return
            protocol = _protocol(hello)
            if protocol == "control":
                await _reply(writer, await self._control(hello))
                return
            pid = hello.get("pid")
            self._clients[task] = Client(protocol, pid if isinstance(pid, int) else 0)
            await _reply(writer, {"ok": True, "pid": os.getpid()})
            await serve_protocol(protocol, self._engine, reader, writer, _context(hello))
        except (TimeoutError, ConnectionError, asyncio.CancelledError):
            # asyncio would log a cancelled callback of its server as an error.
            return
        except Exception:
            log.exception("unexpected error on a connection")
        finally:
            self._clients.pop(task, None)
            self._last_busy = time.monotonic()
            writer.close()

    async def watch_idleness(self) -> None:
        """Return when no client was connected and nothing was indexed for `idle_minutes`."""
        while not self.stopping.is_set():
            if self._clients or (self._opened and self._opened.ingestion.is_busy):
                self._last_busy = time.monotonic()
            minutes = await asyncio.to_thread(self._live.idle_minutes)
            left = minutes * 60 - (time.monotonic() - self._last_busy)
            if left <= 0:
                log.info("idle for %d s; shutting down", minutes * 60)
                self.stopping.set()
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, 5.0) + 0.01):
                    await self.stopping.wait()

    async def drain(self, seconds: float) -> None:
        """Wait for the clients to disconnect, then close the remaining connections."""
        if self._clients:
            await asyncio.wait(self._clients, timeout=seconds)
        for task in list(self._clients):
            task.cancel()
        if self._clients:
            await asyncio.wait(list(self._clients), timeout=seconds)

    async def _engine(self) -> "Engine":
        opened = await self._provider()
        if self._opened is not opened:
            self._opened = opened
            # A directory that cannot be written is served to each environment by its own daemon.
            with contextlib.suppress(OSError):
                await asyncio.to_thread(record_socket, opened.config.data_dir, self._path)
        return opened

    def _refusal(self, hello: Mapping[str, Any]) -> Reply | None:
        """Return the answer to a client that is not served; None if it is served."""
        if _protocol(hello) == "control":
            return None
        build = hello.get("build")
        theirs = cast(dict[str, object], build) if isinstance(build, dict) else {}
        if self.stopping.is_set():
            return {"ok": False}  # the client retries, and reaches the next daemon
        if is_newer(theirs, self._build):
            log.info("a client of a newer version connected; shutting down")
            self.replaced = True
            self.stopping.set()
            return {"ok": False}
        if _protocol(hello) not in PROTOCOLS or hello.get("wire", WIRE) != WIRE:
            ours, version = self._build["version"], theirs.get("version", "unknown")
            error = {
                "message": f"The engine is Allma {ours}, which this Allma {version} cannot use.",
                "hint": f"Update it to {ours}: `pip install -U allma-server`.",
            }
            return {"ok": False, "error": error}
        return None

    async def _control(self, hello: Mapping[str, Any]) -> Reply:
        reply: Reply = {
            "ok": True,
            "pid": os.getpid(),
            "stamp": self._build["version"],
            "uptime_seconds": round(time.monotonic() - self._began),
            "clients": [
                {"protocol": client.protocol, "pid": client.pid}
                for client in self._clients.values()
            ],
        }
        match hello.get("command"):
            case "stop":
                self.stopping.set()
            case "settings":
                reply["settings"] = await asyncio.to_thread(self._live.running_values)
            case _:
                pass
        return reply


async def _read_hello(reader: asyncio.StreamReader) -> dict[str, object] | None:
    try:
        hello = json.loads(await reader.readline())
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, object], hello) if isinstance(hello, dict) else None


def _protocol(hello: Mapping[str, Any]) -> str:
    """Return the protocol that a client wants to speak, or `control` for one command."""
    return str(hello.get("protocol") or hello.get("door"))  # earlier versions send "door"


def _context(hello: Mapping[str, Any]) -> ClientContext:
    """Return the client that a hello describes; only the engine's user can open the socket."""
    cwd, project_folder = hello.get("cwd"), hello.get("project_folder", hello.get("hint"))
    return ClientContext(
        LOCAL,
        cwd=cwd if isinstance(cwd, str) else None,
        workspaces=tuple(str(folder) for folder in hello.get("workspaces", [])),
        project_folder=project_folder if isinstance(project_folder, str) else None,
        defaults=question_defaults(hello.get("settings")),
    )


async def _reply(writer: asyncio.StreamWriter, reply: Reply) -> None:
    writer.write(json.dumps(reply).encode() + b"\n")
    await writer.drain()


async def serve(data: Path) -> int:
    """Serve the data directory `data`; return the exit status of the process."""
    path = socket_path(data)
    run_file = await _lock(path)
    if run_file is None:
        return 0
    token = secrets.token_hex(16) if sys.platform == "win32" else None
    settings = LiveSettings({"data_dir": str(data)})
    clients: dict[asyncio.Task[Any], Client] = {}
    async with engine_on_demand(
        settings, wait_seconds=WAIT_SECONDS, clients=lambda: len(clients)
    ) as engine:
        daemon = Daemon(engine, path, clients, token, settings)
        try:
            async with _listening(daemon, path, token):
                _stop_by_signal(daemon)
                await daemon.watch_idleness()
        except OSError:
            log.exception("cannot create a socket at %s", path)
            return NO_SOCKET
        await asyncio.to_thread(forget_socket, data, path)
        exit_after(CLOSING_SECONDS)
        await daemon.drain(DRAIN_SECONDS if daemon.replaced else 0.5)
    return 0


async def _lock(path: Path) -> IO[bytes] | None:
    """Lock the file of the only daemon at `path`; None if another daemon serves there.

    The system releases the lock when the process ends, so a successor never meets a remnant of it.
    """
    run_file = path.with_suffix(".run")
    file = await asyncio.to_thread(open, run_file, "a+b", buffering=0, opener=private_opener)
    deadline = time.monotonic() + SUCCESSION_SECONDS
    while not try_lock(file):
        link = await asyncio.to_thread(dial, path)
        if link is not None:
            link.close()
            return None
        if time.monotonic() > deadline:
            raise TimeoutError("the previous daemon does not end")
        await asyncio.sleep(PAUSE_SECONDS)
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid(), "id": secrets.token_hex(8)}).encode())
    return file


@contextlib.asynccontextmanager
async def _listening(daemon: Daemon, path: Path, token: str | None) -> AsyncGenerator[None]:
    """Listen at the socket's path; only the daemon that holds the lock may.

    Raises:
        OSError: the socket cannot be created.
    """
    if sys.platform == "win32":
        server = await asyncio.start_server(daemon.accept, "127.0.0.1", 0, limit=HELLO_BYTES)
        port = server.sockets[0].getsockname()[1]
        await asyncio.to_thread(
            path.write_text, json.dumps({"port": port, "token": token}), "utf-8"
        )
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # left by a daemon that was killed
        mask = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(daemon.accept, path, limit=HELLO_BYTES)
        finally:
            os.umask(mask)
    try:
        yield
    finally:
        # Remove the path first, so that no client connects to a closing server.
        with contextlib.suppress(OSError):
            os.unlink(path)
        server.close()


def _stop_by_signal(daemon: Daemon) -> None:
    if sys.platform != "win32":
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, daemon.stopping.set)
